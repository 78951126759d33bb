"""Decoding again what could not be decoded, once the config is mended: for admins, as the database decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.integrations.records import read_sealed
from shared.integrations.scope import read_id
from shared.integrations.sealing import open_provider
from shared.provider.base import Provider
from shared.provider.messages import decode_raw
from shared.runtime.database.client import Database, as_user
from shared.runtime.errors import BadRequest, NotSupported
from shared.runtime.web.paging import read_cursor, write_cursor
from shared.runtime.web.rate_limits import WRITES, take_tokens
from shared.runtime.web.routing import Call, Reply, Router

MESSAGES, MESSAGES_BYTES = 200, 4_194_304
"""As many are looked at in one call: `failed_messages` in supabase/migrations gives one more where there are more."""


class ReplayedMessages(BaseModel):
    """The body of POST …/messages/replay: everything that has failed, or what these fields narrow it to."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    from_: AwareDatetime | None = Field(None, alias="from")
    """Received then or later."""
    to: AwareDatetime | None = None
    """Received before."""
    cursor: str | None = Field(None, max_length=200)
    """`next_cursor` of the call before: go on from there."""


def add_message_routes(router: Router) -> None:
    """The call that decodes again, below an integration's path."""
    router.route("POST", "/{id}/messages/replay")(replay_messages)


def replay_messages(call: Call) -> Reply:
    """Decode the oldest failed messages by today's config; what still fails stays as it is.

    They keep the time they were received at, and are counted and delivered like any other from then on.
    """
    database, integration_id = as_user(call.user.token), read_id(call)
    wanted = call.json(ReplayedMessages) if call.body.strip() else ReplayedMessages()
    filters = _read_filters(wanted)
    take_tokens(call, database, WRITES, p_integration_id=integration_id)
    provider = open_provider(read_sealed(call, integration_id))
    if "decode" not in provider.capabilities():
        raise NotSupported(f"{provider.label} integrations can't decode again what they have stored.")
    found = database.call("failed_messages", p_integration_id=integration_id, p_filter=filters)
    rows, next_cursor = _cut_rows(found)
    decoded = list(_decode_rows(provider, rows))
    counts = _store_messages(database, integration_id, decoded) if decoded else {"stored": 0, "duplicates": 0}
    failed = len(rows) - counts["stored"] - counts["duplicates"]
    return Reply({"replayed": len(rows), **counts, "failed": failed, "next_cursor": next_cursor})


def _read_filters(wanted: ReplayedMessages) -> dict[str, Any]:
    filters = wanted.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"cursor"})
    if wanted.cursor:
        filters["after_received_at"], filters["after_id"] = read_cursor(wanted.cursor)
    return filters


def _cut_rows(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
    """What one call looks at, and the cursor for the rest where there is more."""
    size = sum(len(row["raw"].encode()) for row in rows if row["raw"])
    if len(rows) <= MESSAGES and size < MESSAGES_BYTES:
        return rows, None
    return rows[:-1], write_cursor(rows[-2]["received_at"], rows[-2]["id"])


def _decode_rows(provider: Provider, rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        raw = row["raw"]
        body = orjson.dumps(row["payload"]) if raw is None else decode_raw(raw, row["raw_encoding"])
        message = provider.decode(row["topic"] or "", body, row["event_id"])
        if message is not None and message.error is None:
            yield {"id": row["id"], "received_at": row["received_at"], "message": message}


def _store_messages(
    database: Database, integration_id: str, decoded: Sequence[Mapping[str, Any]]
) -> dict[str, int]:
    """Store them together, or, where the database refuses one, the others without it."""
    try:
        counts: dict[str, int] = database.call(
            "replay_messages", p_integration_id=integration_id, p_messages=decoded
        )
    except BadRequest:
        if len(decoded) == 1:
            return {"stored": 0, "duplicates": 0}
        middle = len(decoded) // 2
        first = _store_messages(database, integration_id, decoded[:middle])
        second = _store_messages(database, integration_id, decoded[middle:])
        return {name: first[name] + second[name] for name in first}
    return counts
