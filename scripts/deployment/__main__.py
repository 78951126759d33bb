"""Deploy everything: migrations with the Supabase CLI, one image with Docker, the functions on Cloud Run.

The environment file has a line NAME=value for each variable of docs/deploy.md. Each service gets the variables it needs
and no others; secrets go to Secret Manager, and never on a command line. Run it again to update.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from scripts.deployment.cloud_run import CloudRun
from scripts.deployment.commands import ROOT, Commands, DeployError
from scripts.deployment.environment import EnvironmentFileError, check_environment, read_environment
from scripts.deployment.services import WORKER, change_sizes, list_functions, make_service

REQUIRED = ("SUPABASE_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SCHEDULER_SECRET")
PLATFORM = "linux/amd64"
"""What Cloud Run runs, whatever the machine is that builds."""


def main() -> int:
    """The command line; 0 when all is deployed (or shown, with --dry-run), 1 with the reason otherwise."""
    options = _read_options()
    try:
        _deploy(options)
    except (DeployError, EnvironmentFileError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _deploy(options: argparse.Namespace) -> None:
    functions = list_functions(ROOT / "functions")
    processes = [*functions, WORKER] if options.work_by == "worker" else functions
    environment = read_environment(options.env_file)
    missing = [name for name in REQUIRED if not environment.get(name)]
    if missing:
        raise DeployError(
            f"{options.env_file} does not set {', '.join(missing)}; docs/deploy.md says what they hold."
        )
    check_environment(environment, processes, options.env_file)
    environment.setdefault("GOOGLE_CLOUD_PROJECT", options.project)
    sizes = change_sizes(options.size)
    _check_programs(options)

    commands = Commands(dry_run=options.dry_run)
    cloud = CloudRun(commands, options.image, options.region, options.project, options.service_account)
    if options.migrate is not None:
        commands.run(_list_push_arguments(options.migrate))
    commands.run(["docker", "build", f"--platform={PLATFORM}", f"--tag={options.image}", str(ROOT)])
    commands.run(["docker", "push", options.image])
    services = [make_service(process, environment, sizes) for process in processes]
    secrets = {name: value for service in services for name, value in service.secrets.items()}
    references = {name: cloud.keep_secret(name, value) for name, value in secrets.items()}
    for service in services:
        cloud.deploy(service, references)
    urls = {service.function: cloud.find_url(service) for service in services if service.function != WORKER}
    if options.work_by == "ticks":
        (scheduler,) = (service for service in services if service.function == "scheduler")
        cloud.schedule(urls["scheduler"], environment["SCHEDULER_SECRET"], scheduler.timeout_seconds)
    _print_next(urls)


def _list_push_arguments(url: str) -> list[str]:
    if urlsplit(url).password:
        raise DeployError(
            "Leave the password out of --migrate's URL and set PGPASSWORD: command lines are no secret."
        )
    return ["supabase", "db", "push", f"--remote={url}" if url else "--remote", "--yes"]


def _print_next(urls: dict[str, str]) -> None:
    template = urls["integrations"].replace(
        "device-integrations-integrations", "device-integrations-{function}"
    )
    print("\nWhere the functions are:")
    for function, url in urls.items():
        print(f"  {function:<16} {url}")
    if any(template.replace("{function}", function) != url for function, url in urls.items()):
        template = "<an address in front of all of them>"
    print("\nSo that frontends and senders find them at the project's own address (docs/deploy.md):")
    print(f"  supabase secrets set 'DEVICE_INTEGRATIONS_URL={template}'")
    print("  supabase functions deploy --use-api")


def _check_programs(options: argparse.Namespace) -> None:
    wanted = ["docker", "gcloud", *(["supabase"] if options.migrate is not None else [])]
    missing = [name for name in wanted if shutil.which(name) is None]
    if missing and not options.dry_run:
        raise DeployError(f"Install {' and '.join(missing)} first, or see what would be done with --dry-run.")


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env-file", type=Path, required=True, help="the functions' environment")
    parser.add_argument("--image", required=True, help="name of the image, with its registry")
    parser.add_argument("--region", required=True, help="of Cloud Run, such as europe-west1")
    parser.add_argument("--project", required=True, help="of Google Cloud")
    parser.add_argument(
        "--service-account", help="the functions run as (default: device-integrations@PROJECT.iam…)"
    )
    parser.add_argument(
        "--work-by",
        choices=("ticks", "worker"),
        default="ticks",
        help="who does the work: Cloud Scheduler's ticks, or a worker that stays (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="FUNCTION.PART=VALUE",
        help="another cpu, memory, concurrency, threads, min, max or workers for one function; may be repeated",
    )
    parser.add_argument(
        "--migrate",
        nargs="?",
        const="",
        metavar="URL",
        help="apply the migrations first: to the linked project, or to the database at URL with PGPASSWORD",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be run")
    options = parser.parse_args()
    options.service_account = (
        options.service_account or f"device-integrations@{options.project}.iam.gserviceaccount.com"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
