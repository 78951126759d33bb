"""Puts the local stack together: starts the parts in order and waits until each answers."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import tomllib
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit

from pydantic import BaseModel

from scripts.local.binaries import PostgresSource, find_binaries
from scripts.local.bootstrap import bootstrap_database
from scripts.local.data_folder import Credentials, DataFolder, Ports, write_private
from scripts.local.migrations import apply_migrations
from scripts.local.postgres import Postgres
from scripts.local.processes import Children, Program, StackError
from scripts.local.seed import User, list_users, seed_database
from scripts.local.tokens import Tokens

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.0/8,::1/128"


@dataclass(frozen=True, slots=True)
class Options:
    """What scripts/serve was asked for."""

    port: int
    data: Path
    ready_file: Path | None
    postgres: PostgresSource
    migrations: Path
    functions: Path
    worker: bool
    quiet: bool


class Report(BaseModel):
    """The content of the ready file."""

    url: str
    functions_url: str
    console_url: str
    anon_key: str
    service_role_key: str
    jwt_secret: str
    db_url: str
    mqtt_url: str
    scheduler_secret: str
    metrics_secret: str
    users: list[User]


def start_stack(options: Options, children: Children) -> Report:
    """Starts everything on a locked data folder; StackError when a part does not come up."""
    listener = _bind_port(options.port)
    folder = DataFolder(options.data)
    credentials, ports = folder.load_credentials(), folder.choose_ports()
    postgres = Postgres(find_binaries(options.postgres), folder, ports.postgres, credentials)
    report = _describe_stack(options.port, credentials, postgres, _choose_broker(ports))
    folder.save_credentials(credentials)

    if "MQTT_URL" not in os.environ:
        _start_broker(folder, ports, children)
    _say("Starting Postgres …")
    postgres.start(children)
    _prepare_database(postgres, options.migrations, report.users)
    _say("Starting the functions and the API …")
    environment = _functions_environment(report, credentials)
    write_private(folder.functions_env, _format_environment(environment))
    _start_gateway(options, listener, environment, children)
    children.wait_until(lambda: _answers(report), 60, f"The API at {report.url}")
    children.wait_until(lambda: _accepts(report.mqtt_url), 30, f"The MQTT broker at {report.mqtt_url}")
    if options.worker:
        _start_worker(folder, environment, children)
    write_private(folder.report, report.model_dump_json(indent=2) + "\n")
    return report


def _bind_port(port: int) -> socket.socket:
    """Bound here and handed on: between finding the port free and using it nobody else can take it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        raise StackError(
            f"Port {port} can't be used ({error.strerror}). "
            f"Stop what uses it, or choose another, such as --port {port + 10}."
        ) from None
    return listener


def _choose_broker(ports: Ports) -> str:
    return os.environ.get("MQTT_URL") or f"mqtt://127.0.0.1:{ports.mqtt}"


def _describe_stack(port: int, credentials: Credentials, postgres: Postgres, mqtt_url: str) -> Report:
    tokens, url = Tokens(credentials), f"http://127.0.0.1:{port}"
    functions_url = _choose_functions_url(url)
    return Report(
        url=url,
        functions_url=functions_url,
        console_url=f"{functions_url}/console/",
        anon_key=tokens.make_api_key("anon"),
        service_role_key=tokens.make_api_key("service_role"),
        jwt_secret=credentials.jwt_secret,
        db_url=postgres.url("postgres"),
        mqtt_url=mqtt_url,
        scheduler_secret=credentials.scheduler_secret,
        metrics_secret=credentials.metrics_secret,
        users=list_users(credentials),
    )


def _choose_functions_url(url: str) -> str:
    """The operator's FUNCTIONS_URL, say that of a tunnel; one of loopback is another stack's, from its scripts/env."""
    given = os.environ.get("FUNCTIONS_URL", "").rstrip("/")
    return (
        given
        if given and urlsplit(given).hostname not in {"127.0.0.1", "localhost"}
        else f"{url}/functions/v1"
    )


def _start_broker(folder: DataFolder, ports: Ports, children: Children) -> None:
    _say("Starting the MQTT broker …")
    argv = [sys.executable, "-m", "scripts.local.broker", "--port", str(ports.mqtt)]
    children.start(
        Program("The MQTT broker", argv, folder.logs / "broker.log", environment=_base_environment())
    )


def _prepare_database(postgres: Postgres, migrations: Path, users: list[User]) -> None:
    bootstrap_database(postgres)
    applied = apply_migrations(postgres.url("postgres"), migrations)
    if applied:
        _say(f"Applied {len(applied)} migration{'s' if len(applied) > 1 else ''}.")
    seed_database(postgres.url("postgres"), users)


def _start_gateway(
    options: Options, listener: socket.socket, environment: dict[str, str], children: Children
) -> None:
    arguments: dict[str, str | Path] = {
        "--data": options.data,
        "--functions": options.functions,
        "--url": environment["SUPABASE_URL"],
        "--listen-fd": str(listener.fileno()),
        "--max-rows": str(read_max_rows()),
    }
    argv = [
        sys.executable,
        "-m",
        "scripts.local.gateway",
        *(part for pair in arguments.items() for part in pair),
    ]
    children.start(
        Program(
            "The API",
            argv,
            DataFolder(options.data).logs / "api.log",
            environment={**_base_environment(), **environment},
            pass_fds=[listener.fileno()],
        )
    )
    listener.close()


def _start_worker(folder: DataFolder, environment: dict[str, str], children: Children) -> None:
    """What moves data without being asked: scripts/worker does the same by hand."""
    argv = [sys.executable, "-m", "shared.scheduler.worker"]
    log = folder.logs / "worker.log"
    children.start(Program("The worker", argv, log, environment={**_base_environment(), **environment}))


def read_max_rows() -> int:
    """The most rows that one answer of /rest/v1 has, as `supabase start` and hosted projects keep to it too."""
    config = tomllib.loads((ROOT / "supabase" / "config.toml").read_text(encoding="utf-8"))
    return int(config["api"]["max_rows"])


def _functions_environment(report: Report, credentials: Credentials) -> dict[str, str]:
    return {
        "SUPABASE_URL": report.url,
        "SUPABASE_ANON_KEY": report.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": report.service_role_key,
        "SUPABASE_JWT_SECRET": report.jwt_secret,
        "INTEGRATION_KEYS": os.environ.get("INTEGRATION_KEYS", credentials.integration_keys),
        "SCHEDULER_SECRET": report.scheduler_secret,
        "METRICS_SECRET": report.metrics_secret,
        "FUNCTIONS_URL": report.functions_url,
        "OUTBOUND_ALLOW": os.environ.get("OUTBOUND_ALLOW", LOOPBACK),
    }


def _format_environment(environment: dict[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items())


def _base_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _answers(report: Report) -> bool:
    request = urllib.request.Request(f"{report.url}/auth/v1/health", headers={"apikey": report.anon_key})  # noqa: S310 - our own loopback address
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - as above
            return bool(reply.status == HTTPStatus.OK)
    except (URLError, OSError):
        return False


def _accepts(mqtt_url: str) -> bool:
    address = urlsplit(mqtt_url)
    try:
        socket.create_connection((address.hostname or "", address.port or 1883), timeout=5).close()
    except OSError:
        return False
    return True


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
