"""The environment, read once: every variable the functions know, with its default.

Errors: RuntimeError names the variable that is missing or malformed and what it should hold.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache

MOST_DAYS = 36_500
LEAST_SECONDS, MOST_SECONDS = 0.1, 3_600
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator sets. Names are the environment's, in lower case."""

    supabase_url: str
    supabase_anon_key: str
    supabase_service_role_key: str
    supabase_jwt_secret: str
    integration_keys: str
    scheduler_secret: str
    scheduler_seconds: float
    outbound_allow: str
    allowed_origins: str
    rate_limit_writes_user: int
    rate_limit_writes_organization: int
    rate_limit_tests_user: int
    rate_limit_tests_organization: int
    rate_limit_commands_user: int
    rate_limit_commands_organization: int
    """Calls a minute through the API, 0 for no limit: creating, changing and deleting; connection tests; commands."""
    rate_limit_receive: int
    """Proven requests a minute that one integration may be sent, 0 for no limit."""
    retention_days_messages: int
    retention_days_history: int
    """How long messages are kept; and activity, metrics and commands that have ended."""


@cache
def load_settings() -> Settings:
    """The settings of this process; cached, so a change needs a new process (tests call `cache_clear`)."""
    read = os.environ.get
    return Settings(
        supabase_url=read("SUPABASE_URL", "").rstrip("/"),
        supabase_anon_key=read("SUPABASE_ANON_KEY", ""),
        supabase_service_role_key=read("SUPABASE_SERVICE_ROLE_KEY", ""),
        supabase_jwt_secret=read("SUPABASE_JWT_SECRET", ""),
        integration_keys=read("INTEGRATION_KEYS", ""),
        scheduler_secret=read("SCHEDULER_SECRET", ""),
        scheduler_seconds=_read_seconds("SCHEDULER_SECONDS", 50.0),
        outbound_allow=read("OUTBOUND_ALLOW", ""),
        allowed_origins=read("ALLOWED_ORIGINS", "*"),
        retention_days_messages=_read_days("RETENTION_DAYS_MESSAGES", 90),
        retention_days_history=_read_days("RETENTION_DAYS_HISTORY", 90),
        rate_limit_writes_user=_read_count("RATE_LIMIT_WRITES_USER", 600),
        rate_limit_writes_organization=_read_count("RATE_LIMIT_WRITES_ORGANIZATION", 1200),
        rate_limit_tests_user=_read_count("RATE_LIMIT_TESTS_USER", 60),
        rate_limit_tests_organization=_read_count("RATE_LIMIT_TESTS_ORGANIZATION", 120),
        rate_limit_receive=_read_count("RATE_LIMIT_RECEIVE", 6000),
        rate_limit_commands_user=_read_count("RATE_LIMIT_COMMANDS_USER", 600),
        rate_limit_commands_organization=_read_count("RATE_LIMIT_COMMANDS_ORGANIZATION", 1200),
    )


def require_setting(name: str) -> str:
    """The value of one setting that can't be empty here; RuntimeError names the variable otherwise."""
    value = getattr(load_settings(), name)
    if not value:
        raise RuntimeError(f"{name.upper()} is not set; see docs/deploy.md for what it holds.")
    return str(value)


def _read_seconds(name: str, default: float) -> float:
    text = os.environ.get(name, "") or str(default)
    if not _NUMBER.fullmatch(text) or not LEAST_SECONDS <= float(text) <= MOST_SECONDS:
        raise RuntimeError(f"{name} must be a number of seconds, from {LEAST_SECONDS} to {MOST_SECONDS}.")
    return float(text)


def _read_days(name: str, default: int) -> int:
    text = os.environ.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_DAYS):
        raise RuntimeError(f"{name} must be a whole number of days, from 1 to {MOST_DAYS}.")
    return int(text)


def _read_count(name: str, default: int) -> int:
    text = os.environ.get(name, "") or str(default)
    if not (text.isascii() and text.isdigit()):
        raise RuntimeError(f"{name} must be a whole number, 0 for no limit.")
    return int(text)
