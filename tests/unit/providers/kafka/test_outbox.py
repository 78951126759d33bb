"""The outbox of records: what a fetch may come to is counted, and nothing is lost while no codec is free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.provider import Codec, CodedBody, Message, Unavailable
from shared.providers.kafka.outbox import FETCHED_FACTOR, RecordOutbox
from shared.providers.kafka.saved_state import Memory
from shared.runtime.memory import SMALL
from tests.fakes.kafka.site import make_kafka

PLAN = make_kafka("127.0.0.1:1").read_plan


def test_what_is_to_be_told_waits_with_the_records_for_a_codec() -> None:
    def refuse(_: Mapping[str, Any]) -> Codec:
        raise Unavailable

    memory = Memory({})
    outbox = RecordOutbox(replace(PLAN, open_codec=refuse), memory)
    outbox.collect(CodedBody(b"x", Message("1")), b"x")
    memory.note("warning", "something")

    with pytest.raises(Unavailable):
        outbox.make_batch({}, 0)

    assert (outbox.count, [note.message for note in memory.take_notes()]) == (1, ["something"])


def test_a_fetch_takes_memory_for_what_it_may_come_to_and_no_less_than_came() -> None:
    outbox = RecordOutbox(PLAN, Memory({}))

    outbox.has_room(SMALL)
    asked = outbox._holding.size
    outbox.note_fetched(10 * SMALL)
    came = outbox._holding.size
    outbox.has_room(1)
    kept = outbox._holding.size
    outbox.note_fetched(0)
    outbox.has_room(1)

    assert (asked, came, kept) == (FETCHED_FACTOR * SMALL, 10 * SMALL, 10 * SMALL)
    assert outbox._holding.size == 0
