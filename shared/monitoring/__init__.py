"""How the work is going: the heartbeat of ticks and workers, and the alerts that are judged from what happened."""
