"""Which functions become services, and the part of the environment that each of them needs and gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.local.functions import url_name

PREFIX = "device-integrations"
SERVICE_KEY = "SUPABASE_SERVICE_ROLE_KEY"
SCHEDULER_MARGIN_SECONDS = 15
DEFAULT_TICK_SECONDS = 50.0
REQUEST_SECONDS = 60

SEALING = ("INTEGRATION_KEYS", "OUTBOUND_ALLOW")
FOR_USERS = ("SUPABASE_ANON_KEY", "SUPABASE_JWT_SECRET", "ALLOWED_ORIGINS", "RATE_LIMIT_")
"""What functions need that users call with their own sessions; `RATE_LIMIT_` stands for all that begin so."""

NEEDS = {
    "integrations": (*FOR_USERS, *SEALING),
    "commands": FOR_USERS,
    "scheduler": (SERVICE_KEY, "SCHEDULER_", "RETENTION_DAYS_", *SEALING),
}
FOR_RECEIVERS = (SERVICE_KEY, *SEALING, "RATE_LIMIT_")
"""What every other function gets: it is pushed to, and acts as the service."""


@dataclass(frozen=True, slots=True)
class Service:
    """One function as a service: its name, how long a request may take, and its environment."""

    name: str
    timeout_seconds: int
    environment: Mapping[str, str]


def list_services(folder: Path, environment: Mapping[str, str]) -> list[Service]:
    """A service for every function file in `folder`."""
    files = sorted(file for file in folder.glob("*.py") if file.stem != "__init__")
    return [_make_service(file, environment) for file in files]


def _make_service(file: Path, environment: Mapping[str, str]) -> Service:
    chosen = choose_variables(file.stem, environment)
    own = {"FUNCTION_SOURCE": f"functions/{file.name}", "FUNCTION_TARGET": file.stem}
    seconds = float(environment.get("SCHEDULER_SECONDS") or DEFAULT_TICK_SECONDS)
    tick = round(seconds) + SCHEDULER_MARGIN_SECONDS
    timeout = tick if file.stem == "scheduler" else REQUEST_SECONDS
    return Service(f"{PREFIX}-{url_name(file)}", timeout, chosen | own)


def choose_variables(function: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environment` that `function` needs.

    The service key goes to what acts as the service alone; to `integrations` only where the keys of the vault are in
    Supabase Vault, for it has to read them.
    """
    needs = ("SUPABASE_URL", *NEEDS.get(function, FOR_RECEIVERS))
    if function == "integrations" and not environment.get("INTEGRATION_KEYS"):
        needs = (*needs, SERVICE_KEY)
    return {
        name: value
        for name, value in environment.items()
        if any(name == need or (need.endswith("_") and name.startswith(need)) for need in needs)
    }
