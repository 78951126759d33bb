"""Say what a deployment still lacks, with the remedy for each thing: settings, keys, reach, migrations, cron, the last
tick, clocks, and the address that senders and frontends use.

It looks and changes nothing. Reads the file that scripts/deploy reads, or without --env-file the environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from scripts.deployment.environment import EnvironmentFileError, check_environment, read_environment
from scripts.deployment.services import list_functions
from scripts.diagnosis.database import look_at_database
from scripts.diagnosis.doors import look_at_doors
from scripts.diagnosis.finding import Finding
from scripts.diagnosis.project import look_at_project, look_at_work
from scripts.local.stack import ROOT
from shared.runtime.errors import Problem
from shared.runtime.settings import Settings, list_variables, load_settings
from shared.runtime.vault.ring import load_vault

MARKS = {"ok": "ok     ", "missing": "MISSING", "unknown": "?      "}


def main() -> int:
    """The command line; 0 when nothing is missing, 1 otherwise."""
    options = _read_options()
    if urlsplit(options.db_url or "").password:
        print(
            "Leave the password out of --db-url and set PGPASSWORD: command lines are no secret.",
            file=sys.stderr,
        )
        return 1
    missing = 0
    for finding in diagnose(options.env_file, options.db_url):
        missing += finding.state == "missing"
        print(f"{MARKS[finding.state]} {finding.name}: {finding.detail}", flush=True)
    print(f"\n{missing} missing." if missing else "\nNothing is missing.")
    return int(missing > 0)


def diagnose(env_file: Path | None, db_url: str | None) -> Iterator[Finding]:
    """Everything, from what all depends on to what depends on all."""
    try:
        settings = _read_settings(env_file)
    except EnvironmentFileError as error:
        yield Finding("settings", "missing", str(error))
        return
    yield Finding("settings", "ok", "complete and well formed")
    yield from look_at_project(settings)
    yield from _look_at_keys()
    yield from look_at_database(db_url)
    yield from look_at_doors(settings)
    yield look_at_work(settings)


def _look_at_keys() -> Iterator[Finding]:
    try:
        ids = load_vault().key_ids
    except (RuntimeError, Problem) as error:
        yield Finding("vault keys", "missing", str(error))
        return
    yield Finding(
        "vault keys", "ok", f"{', '.join(ids)}, the first seals. Is a copy kept apart from the backups?"
    )


def _read_settings(env_file: Path | None) -> Settings:
    environment: Mapping[str, str] = os.environ
    place = env_file or Path("the environment")
    if env_file:
        environment = read_environment(env_file)
        names = {variable.name for variable in list_variables()}
        os.environ.update({name: environment.get(name, "") for name in names})
        load_settings.cache_clear()
    return check_environment(environment, list_functions(ROOT / "functions"), place)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--env-file", type=Path, help="the functions' environment (default: that of the shell)"
    )
    parser.add_argument(
        "--db-url", help="of the database, without its password, which is read from PGPASSWORD"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
