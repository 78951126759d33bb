"""The Supabase project from outside: reach, keys, signing keys, issuer, clock, tables, and whether work gets done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypedDict

import httpx

from scripts.diagnosis.finding import Finding
from shared.runtime.database.access import ANON_KEY, SERVICE_KEY, check_access
from shared.runtime.database.client import as_service
from shared.runtime.errors import Problem
from shared.runtime.settings import Settings

SECONDS = 15.0
CLOCK_SECONDS = 10.0
"""What tokens and signatures forgive."""

OVERDUE_SECONDS = 180.0
"""Two ticks that did not come."""


class Schedule(TypedDict):
    """When an integration is due."""

    due_at: str


def look_at_project(settings: Settings) -> Iterator[Finding]:
    """All of it, in an order in which the first that is missing explains the rest."""
    for name, key in (("anon key", ANON_KEY), ("service key", SERVICE_KEY)):
        yield _try_key(name, key, settings)
    try:
        with httpx.Client(base_url=settings.supabase_url, timeout=SECONDS) as client:
            keys = client.get(
                "/auth/v1/.well-known/jwks.json", headers={"apikey": settings.supabase_anon_key}
            )
            yield compare_clock("clock of the project", keys)
            yield _judge_signing_keys(keys, settings)
            yield _judge_issuer(client, settings)
    except httpx.HTTPError as error:
        yield Finding(
            "reach",
            "missing",
            f"SUPABASE_URL does not answer ({type(error).__name__}): is it the project's URL?",
        )


def compare_clock(name: str, reply: httpx.Response) -> Finding:
    """This machine's clock against the one that dated `reply`."""
    date = reply.headers.get("Date")
    if not date:
        return Finding(name, "unknown", "Its replies carry no Date.")
    seconds = abs(time.time() - parsedate_to_datetime(date).timestamp())
    if seconds > CLOCK_SECONDS:
        return Finding(
            name, "missing", f"It differs by {seconds:.0f} s from this machine's: set both by NTP."
        )
    return Finding(name, "ok", "agrees with this machine's")


def look_at_work(settings: Settings) -> Finding:
    """Whether a tick or a worker has been there lately: whatever is due for long says that none has."""
    name = "last tick"
    if not settings.supabase_service_role_key:
        return Finding(name, "unknown", "SUPABASE_SERVICE_ROLE_KEY is needed to look.")
    query = {"order": "due_at.asc", "limit": "1"}
    try:
        rows = as_service().read(Schedule, "integration_schedules", query)
    except Problem as problem:
        return Finding(name, "unknown", problem.detail)
    overdue = _count_overdue(rows)
    if overdue > OVERDUE_SECONDS:
        return Finding(
            name,
            "missing",
            f"An integration is due for {overdue / 60:.0f} minutes: no tick or worker has been there. Look at the job "
            "that calls /scheduler and at the scheduler's log, or start a worker.",
        )
    if not rows:
        return Finding(
            name, "unknown", "Nothing is polled yet, so ticks leave no trace; add an integration first."
        )
    return Finding(name, "ok", "nothing is overdue")


def _count_overdue(rows: list[Schedule]) -> float:
    if not rows:
        return 0.0
    return (datetime.now(UTC) - datetime.fromisoformat(rows[0]["due_at"])).total_seconds()


def _try_key(name: str, key: str, settings: Settings) -> Finding:
    if not getattr(settings, key):
        return Finding(name, "unknown", f"{key.upper()} is not set here.")
    try:
        check_access(key)
    except Problem as problem:
        return Finding(name, "missing", problem.detail)
    return Finding(name, "ok", "accepted, and the tables are there")


def _judge_signing_keys(reply: httpx.Response, settings: Settings) -> Finding:
    count = len(reply.json().get("keys", [])) if reply.is_success else 0
    if count or settings.supabase_jwt_secret:
        return Finding("signing keys", "ok", f"{count} published" if count else "the legacy secret")
    return Finding(
        "signing keys",
        "missing",
        "The project publishes no signing key, so sessions can't be verified: migrate to signing keys in its settings "
        "(JWT Keys), or set SUPABASE_JWT_SECRET.",
    )


def _judge_issuer(client: httpx.Client, settings: Settings) -> Finding:
    reply = client.get(
        "/auth/v1/.well-known/openid-configuration", headers={"apikey": settings.supabase_anon_key}
    )
    told = reply.json().get("issuer") if reply.is_success else None
    if not isinstance(told, str):
        return Finding(
            "issuer",
            "unknown",
            "The project does not say; `iss` of a session token has to be " + settings.jwt_issuer,
        )
    if told != settings.jwt_issuer:
        return Finding("issuer", "missing", f"Sessions name {told}: set SUPABASE_JWT_ISSUER to it.")
    return Finding("issuer", "ok", told)
