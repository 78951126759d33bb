"""Sending commands to devices: leased, sent side by side, tried again until they expire, recorded."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from typing import Any

import orjson

from shared.integrations.sealing import open_provider
from shared.provider.base import Outcome, Provider
from shared.provider.messages import Command
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import NotSupported, Problem
from shared.runtime.idle_watch import Pulse
from shared.runtime.log import get_log

AT_ONCE = 128
"""No more than 16 of them of one integration: `lease_commands` sees to it."""

LEASE_SECONDS = 60
POLL_SECONDS = 0.25
BACKOFF = Backoff(5.0, 300.0)
RESULT_LIMIT = 65_536
"""Bytes of a device's answer that are kept."""


def run_commands(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Send what is due until `deadline`; the counts of `finish_commands`.

    A device that takes its time to answer holds up its own command only.
    """
    counts: Counter[str] = Counter()
    sending: set[Future[dict[str, Any]]] = set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="command") as threads:
        while sending or not deadline.expired:
            room = 0 if deadline.expired else AT_ONCE - len(sending)
            leased = _lease(database, room, counts) if room else {"commands": []}
            for row in leased["commands"]:
                sending.add(threads.submit(_send, leased["integrations"], row))
            if not sending:
                time.sleep(min(POLL_SECONDS, deadline.remaining()))
                continue
            with pulse.busy():
                sent, sending = wait(sending, POLL_SECONDS)
                _finish(database, [each.result() for each in sent], counts)
    return counts


def _lease(database: Database, room: int, counts: Counter[str]) -> dict[str, Any]:
    try:
        leased: dict[str, Any] = database.call("lease_commands", p_limit=room, p_lease_seconds=LEASE_SECONDS)
    except Problem as problem:
        get_log().warning("commands could not be leased", code=problem.code, detail=problem.detail)
        counts["failed_leases"] += 1
        return {"commands": []}
    return leased


def _send(integrations: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    result = {"id": row["id"], "lease_token": row["lease_token"]}
    try:
        outcome = _open(integrations.get(row["integration_id"])).send(_make_command(row))
    except Problem as problem:
        if problem.is_final:
            return result | {"outcome": "failed", "error": problem.detail}
        pause = BACKOFF.pause(row["attempts"])
        return result | {"outcome": "retry", "retry_seconds": pause, "error": problem.detail}
    except Exception:  # noqa: BLE001 - one command's defect must not end the others' tick
        get_log().exception("a command could not be sent", command=row["id"])
        return result | {"outcome": "failed", "error": "It could not be sent; the log has the details."}
    return result | _describe(outcome)


def _describe(outcome: Outcome) -> dict[str, Any]:
    body = orjson.dumps(outcome.result)
    kept = len(body) <= RESULT_LIMIT
    return {
        "outcome": "confirmed" if outcome.confirmed else "sent",
        "reference": outcome.reference,
        # Postgres has no text with NUL.
        "result": orjson.loads(body.replace(rb"\u0000", rb"\ufffd")) if kept else None,
        "error": None if kept else f"The device's answer of {len(body)} bytes is too large to be kept.",
    }


def _open(integration: Mapping[str, Any] | None) -> Provider:
    if integration is None:
        raise NotSupported("The integration of this device was deleted, so there is no way to reach it.")
    return open_provider(integration)


def _make_command(row: Mapping[str, Any]) -> Command:
    expires_at = datetime.fromisoformat(row["expires_at"])
    return Command(row["id"], row["device"], row["name"], row["payload"], expires_at)


def _finish(database: Database, results: list[dict[str, Any]], counts: Counter[str]) -> None:
    if not results:
        return
    try:
        counts.update(database.call("finish_commands", p_results=results))
    except Problem as problem:
        # Their leases run out, and they are sent again: at least once, like everything that goes out.
        get_log().warning("commands could not be recorded", code=problem.code, detail=problem.detail)
