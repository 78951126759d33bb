"""The main job, end to end: a fleet publishes, the scheduler ticks, Postgres holds it, a webhook hears of it."""
