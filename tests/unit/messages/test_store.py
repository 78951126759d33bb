"""Storing batches when the database balks: one bad message never fails its batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shared.messages.store import COUNTS, LeaseHold, Store
from shared.provider import Message
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, LeaseLost, Unavailable


class Balking(Database):
    """Stands at the border to PostgREST: refuses messages named poison, is away a number of times."""

    def __init__(self, away: int = 0, *, lost: bool = False) -> None:
        self.calls: list[dict[str, Any]] = []
        self.away = away
        self.lost = lost

    def call_whole(self, function: str, document: Any) -> Any:
        assert function == "ingest_batch"
        if self.lost:
            raise LeaseLost
        if self.away:
            self.away -= 1
            raise Unavailable
        messages = read_rows(document["messages"])
        if any(message.event_id.startswith("poison") and message.error is None for message in messages):
            raise BadRequest("invalid input syntax")
        self.calls.append({"state": document["state"], "messages": messages})
        return dict.fromkeys(COUNTS, 0) | {
            "received": len(messages),
            "stored": sum(message.error is None for message in messages),
            "failed": sum(message.error is not None for message in messages),
        }


def read_rows(columns: dict[str, Sequence[Any]]) -> list[Message]:
    return [
        Message(**dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)
    ]


def make_messages(*names: str) -> list[Message]:
    return [Message(name, "device", payload={"a": 1}, raw="raw") for name in names]


def store(database: Database) -> Store:
    return Store(database, "integration", LeaseHold("token", 30))


def test_poison_is_kept_alone_with_the_reason_and_the_rest_is_stored() -> None:
    database = Balking()
    names = [f"m{number}" for number in range(7)]

    counts = store(database).store_batch(
        make_messages(*names[:3], "poison", *names[3:]), {"s": 1}, Deadline(5)
    )

    assert (counts["received"], counts["stored"], counts["failed"]) == (8, 7, 1)
    kept = [message for call in database.calls for message in call["messages"] if message.error]
    assert [(message.raw, message.payload) for message in kept] == [("raw", None)]


def test_poison_whose_body_is_its_payload_keeps_the_body() -> None:
    database = Balking()

    store(database).store_batch([Message("poison", payload={"a": "\x00"})], None, Deadline(5))

    ((kept,),) = (call["messages"] for call in database.calls)
    assert (kept.raw, kept.payload) == ('{"a":"\\u0000"}', None)


def test_a_split_batch_brings_its_state_with_its_last_part_only() -> None:
    database = Balking()

    store(database).store_batch(make_messages("poison", "a", "b", "c"), {"s": 1}, Deadline(5))

    states = [call["state"] for call in database.calls]
    assert states == [None] * (len(states) - 1) + [{"s": 1}]


def test_a_batch_is_tried_again_while_the_database_is_away() -> None:
    counts = store(Balking(away=2)).store_batch(make_messages("a"), None, Deadline(5))

    assert counts["stored"] == 1


def test_after_the_deadline_the_database_being_away_is_an_error() -> None:
    with pytest.raises(Unavailable):
        store(Balking(away=1000)).store_batch(make_messages("a"), None, Deadline(0.2))


def test_a_lost_lease_is_not_tried_again() -> None:
    with pytest.raises(LeaseLost):
        store(Balking(lost=True)).store_batch(make_messages("a"), None, Deadline(5))
