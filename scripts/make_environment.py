"""Makes `.venv` from the pinned requirements; run by environment.sh with any Python 3.11+ and nothing installed.

The lock is the operating system's, so that two scripts started at once build it once and a killed one leaves none.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / ".requirements"
STEP = 15
"""One line of progress for so many packages."""


def main() -> int:
    """Make the environment unless its stamp is already `argv[1]`; pip's own words and exit code when that fails."""
    wanted = sys.argv[1]
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if STAMP.exists() and STAMP.read_text().strip() == wanted:
            return 0
        if ENVIRONMENT.is_symlink():
            # What it leads to is somebody else's, and would be emptied.
            _say(
                ".venv is a link to an environment with other packages. Remove the link and run the script again."
            )
            return 1
        _say(
            f"Setting up .venv with Python {sys.version.split()[0]}: this happens once and takes about a minute."
        )
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        exit_code = _install_packages()
        if exit_code:
            _say(
                "The packages could not be installed; pip's message above says why. Run the script again to retry."
            )
            return exit_code
        STAMP.write_text(wanted + "\n")
        _say("The environment is ready.")
    return 0


def _install_packages() -> int:
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    argv = [*pip, "--progress-bar", "off", "-r", str(ROOT / "requirements-dev.txt")]
    collected = 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.startswith("Collecting "):
                collected += 1
                if collected % STEP == 0:
                    _say(f"  {collected} packages ... {line.split()[1]}")
            elif line.startswith("Installing collected"):
                _say(f"  {collected} packages, installing ...")
    return process.returncode


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
