"""Replaying failed messages: decoded again once the config is mended, for admins, as the database decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from typing_extensions import TypedDict

from shared.integrations.remote_calls import reach_provider
from shared.messages.bodies import ReplayedCounts, ReplayedMessages
from shared.messages.stored import DecodedRow, StoredMessage, cut_parts, decode_rows
from shared.provider import Decoder
from shared.runtime.errors import BadRequest
from shared.runtime.web.call import Call
from shared.runtime.web.paging import read_cursor, write_cursor

MESSAGES, MESSAGES_BYTES = 200, 4_194_304
"""As many are looked at in one call: `failed_messages` in supabase/migrations gives one more where there are more."""


class Counts(TypedDict):
    """What `replay_messages` answers: how many failed messages it took, and what became of those in their place."""

    taken: int
    stored: int
    duplicates: int


def replay_messages(call: Call, wanted: ReplayedMessages) -> ReplayedCounts:
    """Decode the oldest failed messages by today's config; what still fails stays as it is."""
    decoder = reach_provider(call, Decoder)
    found: list[StoredMessage] = call.database.call(
        "failed_messages", p_integration_id=call.integration_id, p_filter=_write_filter(wanted)
    )
    rows, next_cursor = _cut_rows(found)
    counts: Counter[str] = Counter()
    for part in cut_parts(decode_rows(decoder, rows)):
        counts.update(_store_messages(call, part))
    return {
        "replayed": len(rows),
        "stored": counts["stored"],
        "duplicates": counts["duplicates"],
        "failed": len(rows) - counts["taken"],
        "next_cursor": next_cursor,
    }


def _write_filter(wanted: ReplayedMessages) -> dict[str, str]:
    wished: dict[str, str] = wanted.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"cursor"}
    )
    if wanted.cursor:
        wished["after_received_at"], wished["after_id"] = read_cursor(wanted.cursor)
    return wished


def _cut_rows(rows: list[StoredMessage]) -> tuple[list[StoredMessage], str | None]:
    """What one call looks at, and the cursor for the rest where there is more."""
    size = sum(len(row["raw"].encode()) for row in rows if row["raw"])
    if len(rows) <= MESSAGES and size < MESSAGES_BYTES:
        return rows, None
    return rows[:-1], write_cursor(rows[-2]["received_at"], rows[-2]["id"])


def _store_messages(call: Call, decoded: Sequence[DecodedRow]) -> Counts:
    """Store them together, or, where the database refuses one, the others without it."""
    try:
        counts: Counts = call.database.call(
            "replay_messages", p_integration_id=call.integration_id, p_messages=decoded
        )
    except BadRequest:
        if len(decoded) == 1:
            return {"taken": 0, "stored": 0, "duplicates": 0}
        middle = len(decoded) // 2
        first, second = _store_messages(call, decoded[:middle]), _store_messages(call, decoded[middle:])
        return {
            "taken": first["taken"] + second["taken"],
            "stored": first["stored"] + second["stored"],
            "duplicates": first["duplicates"] + second["duplicates"],
        }
    return counts
