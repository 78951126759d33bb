"""Makes `.venv` from the pinned requirements; run by environment.sh with any Python 3.11+ and nothing installed.

`make_environment.py local` installs what the local stack needs, each file known by its hash, `dev` what the tests and
checks need besides, `browser` what those in a browser need. A lock of the operating system sees to it that two scripts
started at once build it once and a killed one leaves none.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
STEP = 15
"""One line of progress for so many packages."""
WITHOUT_PIP = (22, 3)
"""The first version of pip that installs into an environment that has none of its own (`pip --python`)."""
FILES = {
    "local": ("requirements-local.lock",),
    "dev": ("requirements.txt", "requirements-local.txt", "requirements-dev.txt"),
    "browser": ("requirements-browser.txt",),
}
"""What each part is made from; the same as in environment.sh."""
EXPLANATIONS = {
    "local": "this happens once and takes about half a minute",
    "dev": "what the tests and checks need; this happens once and takes about a minute",
    "browser": "what the tests in a browser need; this happens once and takes a few seconds",
}


def main() -> int:
    """Make the environment where its stamps do not fit; pip's own words and exit code when that fails."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with (ROOT / ".venv.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            parts = list(FILES)
            return _make_environment(parts[: 1 + parts.index(sys.argv[1])])
    except KeyboardInterrupt:
        _say("\nStopped; the script makes the environment when it runs again.")
        return 130
    except OSError as error:
        _say(f"{error.filename or ROOT} can't be written ({error.strerror}).")
        _say("The scripts keep their packages in .venv: clone the project to a folder that you may write to.")
        return 1


def _make_environment(wanted: Sequence[str]) -> int:
    if ENVIRONMENT.is_symlink() and not all(_is_current(name) for name in wanted):
        # What it leads to is somebody else's, and would be emptied.
        _say(
            ".venv is a link to an environment with other packages. Remove the link and run the script again."
        )
        return 1
    for name in wanted:
        exit_code = 0 if _is_current(name) else _install(name)
        if exit_code:
            _say(
                "The packages could not be installed; pip's message above says why. Run the script again to retry."
            )
            return exit_code
    return 0


def _is_current(name: str) -> bool:
    stamp = ENVIRONMENT / f".{name}"
    return stamp.exists() and stamp.read_text().strip() == _checksum(name)


def _checksum(name: str) -> str:
    content = b"".join((ROOT / file).read_bytes() for file in FILES[name])
    return subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout.decode().strip()


def _install(name: str) -> int:
    _say(f"Setting up .venv with Python {sys.version.split()[0]}: {EXPLANATIONS[name]}.")
    try:
        if name == "local":
            # This Python's own pip saves 10 seconds and 27 MB.
            venv.create(ENVIRONMENT, clear=True, symlinks=True, with_pip=_pip_version() < WITHOUT_PIP)
        exit_code = _run_pip(_list_requirements(name))
    except BaseException:
        if name == "local":
            # Half an environment helps nobody, and whoever stopped us wants nothing left behind.
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        raise
    if exit_code == 0:
        (ENVIRONMENT / f".{name}").write_text(_checksum(name) + "\n")
        _say("The environment is ready.")
    return exit_code


def _pip_version() -> tuple[int, ...]:
    argv = [sys.executable, "-m", "pip", "--version"]
    asked = subprocess.run(argv, capture_output=True, text=True, check=False)
    return tuple(int(part) for part in asked.stdout.split()[1].split(".")[:2]) if asked.stdout else ()


def _list_requirements(name: str) -> list[str]:
    if name != "local":
        return ["-r", str(ROOT / FILES[name][-1])]
    # Complete (a test sees to it): nothing has to be resolved, and what is not run is not compiled.
    return ["--no-deps", "--no-compile", "--require-hashes", "-r", str(ROOT / "requirements-local.lock")]


def _run_pip(requirements: Sequence[str]) -> int:
    has_pip = (ENVIRONMENT / "bin" / "pip").exists()
    pip = [str(PYTHON), "-m", "pip"] if has_pip else [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    argv = [*pip, "install", "--disable-pip-version-check", "--progress-bar", "off", *requirements]
    # Its own session: Ctrl-C reaches us alone, and we end pip with all it runs before it says a word about it.
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            _report_progress(process.stdout or ())
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode


def _report_progress(lines: Iterable[str]) -> None:
    collected = 0
    for line in lines:
        if line.startswith(("Collecting ", "Processing ")):
            collected += 1
            if collected % STEP == 0:
                _say(f"  {collected} packages ... {line.split()[1]}")
        elif line.startswith("Installing collected"):
            _say(f"  {collected} packages, installing ...")


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
