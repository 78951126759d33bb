"""What comes again after a kill, in the window or older than it: from brokers that send more than they may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.publish import Publish
from shared.providers.mqtt.redelivery import WINDOW_MESSAGES, count_forgotten
from shared.providers.mqtt.saved_state import Memory

OLDER = 500
"""So many messages are stored before those that the window still holds."""

NAMED = OLDER + WINDOW_MESSAGES


def make_publish(number: int, *, again: bool = False) -> Publish:
    body = b"%d" % number
    return Publish("a", body, number, 1, retain=False, duplicate=again, size=len(body))


def name_all(memory: Memory, publishes: Iterable[Publish]) -> list[str]:
    return [memory.name_publish(publish) for publish in publishes]


def make_killed() -> tuple[Memory, list[str]]:
    """What the next session finds after a kill, with the ids of the messages that are stored."""
    memory = Memory("key", {})
    ids = name_all(memory, map(make_publish, range(1, NAMED + 1)))
    return Memory("key", memory.save()), ids


def search(memory: Memory, numbers: Iterable[int], *, again: bool = True) -> int:
    received = [[make_publish(number, again=again) for number in numbers]]

    class Wire:
        settled = 1

        def ask_settled(self) -> int:
            return 1

        def receive(self, _timeout: float) -> list[Publish]:
            return received.pop() if received else []

    return count_forgotten(cast("Connection", Wire()), memory)


def test_what_comes_again_before_the_window_is_counted() -> None:
    memory, _ = make_killed()

    assert memory.exceeds_window
    assert search(memory, range(101, NAMED + 1)) == OLDER - 100


def test_nothing_is_counted_where_the_window_begins_or_does_not_come() -> None:
    memory, _ = make_killed()

    assert search(memory, range(OLDER + 1, NAMED)) == 0
    assert search(memory, range(NAMED + 1, NAMED + 100)) == 0
    assert search(memory, range(NAMED + 1, NAMED + 100), again=False) == 0
    assert search(memory, []) == 0


def test_another_order_than_the_first_is_not_trusted() -> None:
    memory, _ = make_killed()

    assert search(memory, [101, 102, OLDER + 7, OLDER + 1]) == 0


def test_what_is_older_than_the_window_is_taken_for_stored_and_what_follows_has_its_own_id() -> None:
    memory, ids = make_killed()
    memory.begin_connection(5, has_subscribed=False, forgotten=OLDER - 100)

    again = name_all(memory, (make_publish(number, again=True) for number in range(101, NAMED + 3)))

    assert set(again[: OLDER - 100]) == {ids[OLDER]}
    assert again[OLDER - 100 : -2] == ids[OLDER:]
    assert not set(again[-2:]) & set(ids)
    assert memory.unsettled == NAMED - 100 + 2


def test_what_is_heard_of_messages_older_than_the_window_says_nothing_of_those_in_it() -> None:
    memory, ids = make_killed()
    memory.begin_connection(5, has_subscribed=False, forgotten=OLDER)
    name_all(memory, (make_publish(number, again=True) for number in range(1, OLDER + 1)))

    memory.settle(OLDER, memory.window.latest)

    assert name_all(memory, [make_publish(OLDER + 1, again=True)]) == [ids[OLDER]]


def test_where_the_broker_goes_on_tells_what_it_has_heard() -> None:
    for first, again, unsettled in [(NAMED - 9, True, 10), (NAMED + 1, True, 1), (NAMED + 1, False, 1)]:
        memory, _ = make_killed()
        memory.begin_connection(5, has_subscribed=False)

        memory.name_publish(make_publish(first, again=again))

        assert memory.unsettled == unsettled


def test_a_goodbye_that_was_heard_is_saved_where_it_spares_the_search() -> None:
    memory, _ = make_killed()

    memory.changed |= memory.settle(NAMED, memory.window.latest)

    assert memory.has_news
    assert not Memory("key", memory.save()).exceeds_window
