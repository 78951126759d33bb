"""The environment as one typed model: every variable the functions know, its default, its check, and who needs it.

The table of docs/deploy.md, what scripts/deploy gives each function and what scripts/doctor looks at are made of it.
Errors: RuntimeError names every variable that is missing or malformed and what it should hold, never what it holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.runtime.setting_checks import (
    check_anon_key,
    check_networks,
    check_origins,
    check_ping_url,
    check_secret,
    check_service_key,
    check_text,
    check_url,
    read_days,
    read_megabytes,
    read_seconds,
)

USERS = ("integrations", "commands")
RECEIVERS = ("golioth-webhook", "receive")
WORK = ("scheduler", "worker")
CONSOLE = "console"
METRICS = "metrics"
ALL = (*USERS, *RECEIVERS, *WORK, CONSOLE, METRICS)
"""The functions by their names in URLs, and the worker, which is a process and no function."""

SEALING = ("integrations", *RECEIVERS, *WORK)
"""Those that seal or open credentials, and call what integrations name."""

TRACED = (*USERS, *RECEIVERS, *WORK, METRICS)
"""Those whose traces and metrics go to a collector, where the operator has one."""


def _setting(default: Any, about: str, *used_by: str, needed_by: tuple[str, ...] = (), **more: Any) -> Any:
    """A field: `used_by` are the functions that read it, `needed_by` those that can't do without."""
    parts: Any = {"used_by": used_by, "needed_by": needed_by}
    return Field(default=default, description=about, json_schema_extra=parts, validate_default=False, **more)


Days = Annotated[int, BeforeValidator(read_days)]
Megabytes = Annotated[int, BeforeValidator(read_megabytes)]
Seconds = Annotated[float, BeforeValidator(read_seconds)]
Url = Annotated[str, BeforeValidator(check_url)]


class Settings(BaseModel):
    """What the operator sets. Names are the environment's, in lower case; secrets are not in its repr."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    supabase_url: Url = _setting("", "the project's URL", *ALL, needed_by=ALL)
    supabase_anon_key: Annotated[str, BeforeValidator(check_anon_key)] = _setting(
        "",
        "the publishable key (`sb_publishable_…`), or the legacy anon key",
        *USERS,
        CONSOLE,
        needed_by=(*USERS, CONSOLE),
    )
    supabase_service_role_key: Annotated[str, BeforeValidator(check_service_key)] = _setting(
        "",
        "a secret key (`sb_secret_…`), or the legacy service role key; `integrations` needs it only where the vault's "
        "keys are in Supabase Vault",
        *RECEIVERS,
        *WORK,
        METRICS,
        needed_by=(*RECEIVERS, *WORK, METRICS),
        repr=False,
    )
    supabase_jwt_secret: Annotated[str, BeforeValidator(check_text)] = _setting(
        "",
        "only while sessions are still signed with the legacy HS256 secret: that secret",
        *USERS,
        repr=False,
    )
    supabase_jwt_issuer: Annotated[str, BeforeValidator(check_text)] = _setting(
        "",
        "only where sessions name another issuer than `SUPABASE_URL` with `/auth/v1`: on a custom domain, self-hosted",
        *USERS,
    )
    supabase_public_url: Url = _setting(
        "",
        "only where `SUPABASE_URL` is an address that browsers can't reach, as beside a self-hosted project: the one "
        "that they know",
        CONSOLE,
    )
    functions_url: Url = _setting(
        "",
        "the address under which the outside reaches the functions; default: `SUPABASE_URL` with `/functions/v1`, "
        "where the Edge Functions are",
        *SEALING,
        CONSOLE,
    )
    integration_keys: Annotated[str, BeforeValidator(check_text)] = _setting(
        "",
        "the vault's keys, `<id>:<base64url of 32 bytes>`, comma-separated, the first seals; empty where they are in "
        "Supabase Vault",
        *SEALING,
        repr=False,
    )
    key_rotation_days: Days = _setting(
        0,
        "where the vault's keys are in Supabase Vault: after how many days another one seals, by itself; 0 for never",
        *WORK,
    )
    scheduler_secret: Annotated[str, BeforeValidator(check_secret)] = _setting(
        "",
        "a long random text, sent by whoever calls `/scheduler` as `X-Scheduler-Secret`",
        "scheduler",
        repr=False,
    )
    scheduler_seconds: Seconds = _setting(50.0, "how long a tick lasts at most", "scheduler")
    metrics_secret: Annotated[str, BeforeValidator(check_secret)] = _setting(
        "",
        "a long random text, brought by Prometheus as bearer token; without it `/metrics` is not there",
        METRICS,
        repr=False,
    )
    heartbeat_url: Annotated[str, BeforeValidator(check_ping_url)] = _setting(
        "",
        "the address of a dead man's switch: each tick, and a worker every minute, asks it by GET as long as all parts "
        "are at work, so that it tells you when that ends",
        *WORK,
        repr=False,
    )
    outbound_allow: Annotated[str, BeforeValidator(check_networks)] = _setting(
        "",
        "private networks that integrations may reach, e.g. `10.20.0.0/16`, comma-separated; empty allows none",
        *SEALING,
    )
    allowed_origins: Annotated[str, BeforeValidator(check_origins)] = _setting(
        "*", "origins of your frontends, e.g. `https://app.example.com`, comma-separated", *USERS
    )
    memory_mb: Megabytes = _setting(
        512,
        "the memory that a process may have, in megabytes; where its container has less, that counts. A quarter is for "
        "what comes from outside, shared by organization",
        *USERS,
        *RECEIVERS,
        *WORK,
    )
    aws_iot_access_key_id: Annotated[str, BeforeValidator(check_text)] = _setting(
        "",
        "for integrations with AWS IoT that name a role and no key: an access key of your own AWS account, whose only "
        "right is `sts:AssumeRole`. Its name is not AWS's own, so that no key is lent to others by being there",
        *SEALING,
    )
    aws_iot_secret_access_key: Annotated[str, BeforeValidator(check_text)] = _setting(
        "", "the secret of that key", *SEALING, repr=False
    )
    google_cloud_project: Annotated[str, BeforeValidator(check_text)] = _setting(
        "", "on Google Cloud the project, so that Cloud Logging joins log lines to traces", *ALL
    )

    otel_exporter_otlp_endpoint: Url = _setting(
        "",
        "where traces and metrics of the processes are sent by OTLP over HTTP, e.g. `https://otlp.example.com`; empty "
        "sends none",
        *TRACED,
    )
    otel_exporter_otlp_headers: Annotated[str, BeforeValidator(check_text)] = _setting(
        "", "what goes along with them, e.g. `authorization=Bearer%20…`, comma-separated", *TRACED, repr=False
    )

    @property
    def jwt_issuer(self) -> str:
        """What session tokens have to name as their issuer."""
        return self.supabase_jwt_issuer or f"{self.supabase_url}/auth/v1"

    @property
    def public_url(self) -> str:
        """The functions' address as the outside knows it, without a slash at its end."""
        return self.functions_url or f"{self.supabase_url}/functions/v1"


class Variable(NamedTuple):
    """One variable of the environment, as documents and deployments see it."""

    name: str
    about: str
    default: str
    used_by: tuple[str, ...]
    needed_by: tuple[str, ...]
    is_secret: bool


def list_variables() -> Iterator[Variable]:
    """Every variable there is, in the order of the model."""
    for name, field in Settings.model_fields.items():
        extra: Any = field.json_schema_extra
        yield Variable(
            name.upper(),
            field.description or "",
            f"{field.default:g}" if isinstance(field.default, float) else str(field.default),
            extra["used_by"],
            extra["needed_by"],
            is_secret=not field.repr,
        )


@cache
def load_settings() -> Settings:
    """The settings of this process; cached, so a change needs a new process (tests call `cache_clear`)."""
    return read_settings(os.environ)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings in `environment`, an empty variable being as good as none."""
    given = {name: environment.get(name.upper(), "").strip() for name in Settings.model_fields}
    try:
        return Settings.model_validate({name: value for name, value in given.items() if value})
    except ValidationError as error:
        wrong = {str(item["loc"][0]).upper(): str(item["ctx"]["error"]) for item in error.errors()}
        raise RuntimeError(" ".join(f"{name} {message}." for name, message in wrong.items())) from None


def list_missing(function: str, settings: Settings) -> list[str]:
    """The variables that `function` can't do without and that are not set."""
    missing = [
        variable.name
        for variable in list_variables()
        if function in variable.needed_by and not getattr(settings, variable.name.lower())
    ]
    keyless = not (settings.integration_keys or settings.supabase_service_role_key)
    return [*missing, *(["INTEGRATION_KEYS"] if function in SEALING and keyless else [])]


def require_setting(name: str) -> str:
    """The value of one setting that can't be empty here; RuntimeError names the variable otherwise."""
    value = getattr(load_settings(), name)
    if not value:
        raise RuntimeError(f"{name.upper()} is not set; see docs/deploy.md for what it holds.")
    return str(value)
