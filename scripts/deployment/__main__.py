"""Deploy everything: migrations with the Supabase CLI, one image with Docker, one Cloud Run service a function.

The environment file has a line NAME=value for each variable of docs/deploy.md. Each service gets the variables it needs
and no others; they go to gcloud in a file that only you can read, never on a command line. Run it again to update.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.deployment.services import Service, list_services

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SCHEDULER_SECRET")


class DeployError(Exception):
    """It can't be deployed; the message says what to do."""


def main() -> int:
    """The command line; 0 when all is deployed (or shown, with --dry-run), 1 with the reason otherwise."""
    options = _read_options()
    try:
        services = list_services(ROOT / "functions", read_environment(options.env_file))
        _check_programs(options)
        if options.db_url:
            _run(
                ["supabase", "db", "push", "--yes", "--db-url", options.db_url], options, hide=options.db_url
            )
        _run(["docker", "build", "--tag", options.image, str(ROOT)], options)
        _run(["docker", "push", options.image], options)
        for service in services:
            _deploy_service(service, options)
    except DeployError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def read_environment(file: Path) -> dict[str, str]:
    """The variables in `file`; DeployError names what is missing or malformed, without its value."""
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise DeployError(
            f"{file} can't be read ({error.strerror}); docs/deploy.md says what it holds."
        ) from None
    environment: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, equals, value = line.partition("=")
            if not equals or not name.strip().isidentifier():
                raise DeployError(f"Line {number} of {file} is not NAME=value.")
            environment[name.strip()] = " ".join(shlex.split(value))
    missing = [name for name in REQUIRED if not environment.get(name)]
    if missing:
        raise DeployError(f"{file} does not set {', '.join(missing)}; docs/deploy.md says what they hold.")
    return environment


def _check_programs(options: argparse.Namespace) -> None:
    wanted = ["docker", "gcloud", *(["supabase"] if options.db_url else [])]
    missing = [name for name in wanted if shutil.which(name) is None]
    if missing and not options.dry_run:
        raise DeployError(f"Install {' and '.join(missing)} first, or see what would be done with --dry-run.")


def _deploy_service(service: Service, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        variables = Path(folder) / "environment.yaml"
        variables.touch(mode=0o600)
        variables.write_text(json.dumps(dict(service.environment)))  # YAML reads JSON
        _run(_list_arguments(service, options, variables), options)


def _list_arguments(service: Service, options: argparse.Namespace, variables: Path) -> list[str]:
    flags = {
        "--image": options.image,
        "--region": options.region,
        "--timeout": str(service.timeout_seconds),
        "--env-vars-file": str(variables),
        **({"--project": options.project} if options.project else {}),
    }
    # Every function checks who calls it itself: users by their session, schedulers and senders by their secret.
    return [
        "gcloud",
        "run",
        "deploy",
        service.name,
        "--quiet",
        "--allow-unauthenticated",
        *(part for flag in flags.items() for part in flag),
    ]


def _run(argv: Sequence[str], options: argparse.Namespace, hide: str = "") -> None:
    print("$", shlex.join("***" if hide and part == hide else part for part in argv), flush=True)
    if options.dry_run:
        return
    done = subprocess.run(argv, check=False, cwd=ROOT, env=os.environ)
    if done.returncode:
        raise DeployError(
            f"{argv[0]} ended with {done.returncode}; what it says above has to be mended first."
        )


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env-file", type=Path, required=True, help="the functions' environment")
    parser.add_argument("--image", required=True, help="name of the image, with its registry")
    parser.add_argument("--region", required=True, help="of Cloud Run, such as europe-west1")
    parser.add_argument("--project", help="of Google Cloud (default: that of gcloud's configuration)")
    parser.add_argument("--db-url", help="apply the migrations to this database first")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
