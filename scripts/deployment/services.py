"""What is deployed: each function as a service, with its size and the part of the environment that it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from scripts.local.functions import url_name
from shared.runtime.settings import list_variables

PREFIX = "device-integrations"
SERVICE_KEY = "SUPABASE_SERVICE_ROLE_KEY"
WORKER = "worker"
SCHEDULER_MARGIN_SECONDS = 15
DEFAULT_TICK_SECONDS = 50.0
REQUEST_SECONDS = 60

SECRETS = frozenset(variable.name for variable in list_variables() if variable.is_secret)


@dataclass(frozen=True, slots=True)
class Size:
    """What one instance has, and how many there may be."""

    cpu: str = "1"
    memory: str = "512Mi"
    concurrency: int = 40
    """Requests of one instance at once."""
    threads: int = 0
    """For these (THREADS); 0 where each has one."""
    min: int = 0
    max: int = 10
    workers: int = 1
    """Processes of one instance (WORKERS): more only with more cores."""


USUAL_SIZE = Size()
SIZES = {
    "integrations": Size(memory="1Gi"),  # firmware of 16 MB comes in here
    "console": Size(memory="256Mi", max=3),
    "metrics": Size(
        memory="256Mi", concurrency=8, max=1
    ),  # each instance asks the database once in ten seconds
    # An event loop serves these: a push mostly waits, and slow ones are in nobody's way.
    "golioth-webhook": Size(concurrency=500, threads=64, max=20),
    "receive": Size(concurrency=500, threads=64, max=20),
    "scheduler": Size(memory="1Gi", concurrency=1, max=3),  # a tick fills an instance
    WORKER: Size(memory="1Gi", min=1),
}
PROBE_THREADS = 4
"""At the least, so that probes are answered while a tick runs."""


@dataclass(frozen=True, slots=True)
class Service:
    """One function as a service, or the worker: its environment, split into what is secret and what is not."""

    function: str
    timeout_seconds: int
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    size: Size

    @property
    def name(self) -> str:
        """Its name at the cloud."""
        return f"{PREFIX}-{self.function}"


def list_functions(folder: Path) -> list[str]:
    """The names, as in URLs, of all function files in `folder`."""
    return [url_name(file) for file in sorted(folder.glob("*.py")) if file.stem != "__init__"]


def make_service(function: str, environment: Mapping[str, str], sizes: Mapping[str, Size]) -> Service:
    """The service of one function, or of the worker."""
    chosen = choose_variables(function, environment)
    size = sizes.get(function, USUAL_SIZE)
    return Service(
        function,
        _choose_timeout(function, environment),
        {name: value for name, value in chosen.items() if name not in SECRETS}
        | _own_variables(function, size),
        {name: value for name, value in chosen.items() if name in SECRETS and value},
        size,
    )


def choose_variables(function: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of `environment` that `function` reads.

    The service key goes to what acts as the service alone; to `integrations` only where the keys of the vault are in
    Supabase Vault, for it has to read them.
    """
    names = {variable.name for variable in list_variables() if function in variable.used_by}
    if function == "integrations" and not environment.get("INTEGRATION_KEYS"):
        names.add(SERVICE_KEY)
    return {name: value for name, value in environment.items() if name in names}


def change_sizes(changes: list[str]) -> dict[str, Size]:
    """`SIZES` with changes such as `receive.max=40`; ValueError says what is wrong with one."""
    sizes = dict(SIZES)
    for change in changes:
        place, _, value = change.partition("=")
        function, _, part = place.rpartition(".")
        known = {name: type(getattr(USUAL_SIZE, name)) for name in Size.__slots__}
        if not function or part not in known or not value:
            raise ValueError(f"{change} is not FUNCTION.PART=VALUE, PART being one of {', '.join(known)}.")
        sizes[function] = replace(sizes.get(function, USUAL_SIZE), **{part: known[part](value)})
    return sizes


def _own_variables(function: str, size: Size) -> dict[str, str]:
    if function == WORKER:
        return {}
    target = function.replace("-", "_")
    threads = str(size.threads or max(size.concurrency, PROBE_THREADS))
    named = {"FUNCTION_SOURCE": f"functions/{target}.py", "FUNCTION_TARGET": target}
    return {**named, "THREADS": threads, "WORKERS": str(size.workers)}


def _choose_timeout(function: str, environment: Mapping[str, str]) -> int:
    seconds = float(environment.get("SCHEDULER_SECONDS") or DEFAULT_TICK_SECONDS)
    return round(seconds) + SCHEDULER_MARGIN_SECONDS if function == "scheduler" else REQUEST_SECONDS
