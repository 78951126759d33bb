"""`scripts/demo`: starts the local stack, connects a broker and a webhook, and shows what arrives."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Runs the demo; see scripts/demonstration/demo.py."""
    # The imports take a moment, and there is nothing yet to be stopped: Ctrl-C ends us without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # environment.sh has held it back until now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    from scripts.demonstration.demo import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
