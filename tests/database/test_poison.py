"""One message that the database refuses, in a batch of others: kept with the reason, and the others as they are."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from shared.messages.receive_store import Post, store_posts
from shared.messages.store import Store
from shared.provider import Message
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.errors import NotFound
from tests.inside import environment_of
from tests.stack import Stack


@pytest.fixture
def store(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    with stack.connect() as connection:
        row = connection.execute(
            "insert into device_integrations (organization_id, integration_type, name, status)"
            " values (%s, 'mqtt', %s, 'inactive') returning id",
            (stack.user("admin", 0).organization_id, str(uuid.uuid4())),
        ).fetchone()
    assert row is not None
    with environment_of(stack, monkeypatch):
        yield Store(as_service(), str(row[0]))


@pytest.mark.parametrize(
    "poison",
    [
        {"payload": {"text": "a\x00b"}},
        {"observed_at": "the day before"},
        {"device": "d" * 600},
        {"kind": "nonsense"},
        {"device": "b", "device_status": "asleep"},
        {"topic": "a\x00b", "raw": "a\x00b"},
    ],
)
def test_a_message_the_database_refuses_is_kept_as_text_and_the_others_as_they_are(
    store: Store, stack: Stack, poison: dict[str, object]
) -> None:
    messages = [Message(str(uuid.uuid4()), "a", payload={"n": number}) for number in range(9)]
    poisoned = Message(**{"event_id": "poison", "device": "a", "raw": "as it came", **poison})  # type: ignore[arg-type]

    counts = store.store_batch([*messages[:5], poisoned, *messages[5:]], None, Deadline(10))

    with stack.connect() as connection:
        rows = connection.execute(
            "select payload ->> 'n', error is null, raw from device_messages where integration_id = %s"
            " order by payload ->> 'n'",
            (store.integration_id,),
        ).fetchall()
    assert (counts["received"], counts["stored"], counts["failed"]) == (10, 9, 1)
    assert rows[:9] == [(str(number), True, None) for number in range(9)]
    assert rows[9][:2] == (None, False)
    assert rows[9][2] in {"as it came", "a\ufffdb"}


def test_a_pushed_message_the_database_can_not_read_harms_no_other_request(store: Store) -> None:
    good, poison = Message("good", "a", payload={"n": 1}), Message("poison", "a", payload={"\x00": None})
    elsewhere = str(uuid.uuid4())

    counts = store_posts(
        [
            Post(store.integration_id, [good], 2),
            Post(store.integration_id, [poison], 2),
            Post(elsewhere, [good], 2),
        ]
    )

    assert counts[:2] == [
        {"received": 1, "stored": 1, "duplicates": 0, "failed": 0},
        {"received": 1, "stored": 0, "duplicates": 0, "failed": 1},
    ]
    assert isinstance(counts[2], NotFound)
