"""`scripts/serve`: the local stack on one port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Runs the stack; see scripts/local/serve.py."""
    # The imports take a moment, and there is nothing yet to be stopped: Ctrl-C ends us without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # environment.sh has held it back until now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from scripts.local.serve import serve

    return serve()


if __name__ == "__main__":
    sys.exit(main())
