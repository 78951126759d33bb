"""The outbox: what a batch says belongs to it, and acknowledgements follow commits in order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

from shared.provider import Dialect, PayloadDecoder
from shared.provider.broker import Broker, BrokerPlan
from shared.providers.mqtt.acknowledgements import BATCH_COPIES, Outbox
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.publish import Publish
from shared.providers.mqtt.redelivery import (
    ASK_FROM,
    BATCH_MESSAGES,
    UNCOMMITTED_MESSAGES,
    WINDOW_MESSAGES,
    Window,
)
from shared.providers.mqtt.saved_state import Memory

PLAN = BrokerPlan(Broker("h", 1883), "me", ("devices/+/telemetry",), PayloadDecoder(Dialect()))


BODY = b'{"temperature":1}'


class Wire:
    """Stands for a connection: keeps what is acknowledged, and answers when told."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.asked = 0
        self.settled = 0

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        self.acknowledged += packet_ids

    def ask_settled(self) -> int:
        self.asked += 1
        return self.asked


def make_publish(packet_id: int) -> Publish:
    return Publish("devices/d1/telemetry", BODY, packet_id, 1, retain=False, duplicate=False, size=len(BODY))


def make_outbox() -> tuple[Outbox, Memory, Wire, Any]:
    memory, wire = Memory(PLAN.key, {}), Wire()
    return Outbox(PLAN, memory), memory, wire, cast("Connection", wire)


def test_news_never_go_ahead_of_the_messages_their_state_speaks_of() -> None:
    outbox, memory, _, connection = make_outbox()
    outbox.collect(connection, make_publish(1))
    memory.note("info", "something")

    outbox.close_news()

    (batch,) = outbox.ready
    assert ([note.message for note in batch.notes], len(batch.messages)) == (["something"], 1)
    again = Window((batch.state or {})["window"]).find_again(1, "devices/d1/telemetry", b'{"temperature":1}')
    assert again == batch.messages[0].event_id


def test_a_later_batch_waits_for_the_one_before_it() -> None:
    outbox, _, wire, connection = make_outbox()
    for packet_id in (1, 2):
        outbox.collect(connection, make_publish(packet_id))
        outbox.close_batch()
    first, second = outbox.ready

    second.committed = True
    outbox.acknowledge(connection)
    early = list(wire.acknowledged)
    first.committed = True
    outbox.acknowledge(connection)

    assert (early, wire.acknowledged) == ([], [1, 2])


def test_what_came_on_a_lost_connection_is_not_acknowledged_on_the_next() -> None:
    outbox, _, wire, connection = make_outbox()
    outbox.collect(connection, make_publish(1))
    outbox.close_batch()
    outbox.ready[0].committed = True
    next_wire = Wire()

    outbox.acknowledge(cast("Connection", next_wire))

    assert (wire.acknowledged, next_wire.acknowledged, outbox.has_outstanding) == ([], [], False)


def test_no_more_than_a_bound_is_taken_uncommitted() -> None:
    outbox, _, wire, connection = make_outbox()
    for packet_id in range(1, UNCOMMITTED_MESSAGES + 1):
        outbox.collect(connection, make_publish(packet_id))
    full = outbox.is_full

    outbox.ready[0].committed = True
    outbox.acknowledge(connection)

    assert (full, outbox.is_full) == (True, False)
    assert wire.acknowledged == list(range(1, BATCH_MESSAGES + 1))


def test_copies_go_a_few_at_a_time_for_the_database_looks_for_each() -> None:
    outbox, memory, _, connection = make_outbox()
    memory.begin_connection(5, has_subscribed=True)

    for packet_id in range(1, 2 * BATCH_COPIES + 1):
        outbox.collect(connection, make_publish(packet_id)._replace(retain=True))

    assert [len(batch.messages) for batch in outbox.ready] == [BATCH_COPIES] * 2


def test_what_is_heard_of_copies_says_nothing_of_messages_that_come_again_after_them() -> None:
    before = Memory(PLAN.key, {})
    names = [before.name_publish(make_publish(packet_id)) for packet_id in range(1, ASK_FROM + 1)]
    memory, wire = Memory(PLAN.key, before.save()), Wire()
    outbox, connection = Outbox(PLAN, memory), cast("Connection", wire)
    memory.begin_connection(5, has_subscribed=True)
    outbox.collect(connection, make_publish(1)._replace(retain=True))
    outbox.close_batch()
    outbox.ready[0].committed = True
    outbox.acknowledge(connection)
    wire.settled = wire.asked
    outbox.acknowledge(connection)

    assert memory.name_publish(make_publish(2)._replace(duplicate=True)) == names[1]


def test_what_the_broker_has_heard_is_settled_and_the_rest_is_not() -> None:
    outbox, memory, wire, connection = make_outbox()
    for packet_id in range(1, UNCOMMITTED_MESSAGES + 1):
        outbox.collect(connection, make_publish(packet_id))
    for batch in outbox.ready:
        batch.committed = True

    outbox.acknowledge(connection)
    unheard = memory.unsettled
    wire.settled = 1
    outbox.acknowledge(connection)

    assert (wire.asked, unheard) == (UNCOMMITTED_MESSAGES // BATCH_MESSAGES, UNCOMMITTED_MESSAGES)
    assert memory.unsettled == UNCOMMITTED_MESSAGES - BATCH_MESSAGES


def test_a_broker_that_keeps_to_the_receive_maximum_sends_again_no_more_than_the_window_holds() -> None:
    outbox, memory, wire, connection = make_outbox()
    unsettled: list[int] = []

    def send(count: int) -> None:
        for packet_id in range(count):
            outbox.collect(connection, make_publish(packet_id + 1))

    def commit() -> None:
        outbox.ready.popleft().committed = True
        outbox.acknowledge(connection)

    # It has heard of them, but is asked only once it has answered about the first.
    for _ in range(ASK_FROM - 1):
        send(1)
        outbox.close_batch()
        commit()
    send(UNCOMMITTED_MESSAGES)
    for _ in range(5):
        commit()
        # As it hears the acknowledgements, it sends as many more, and only then answers.
        send(BATCH_MESSAGES)
        unsettled.append(memory.unsettled)
        wire.settled = wire.asked

    assert (max(unsettled), memory.exceeds_window) == (WINDOW_MESSAGES - 1, False)


@pytest.mark.parametrize("lost", [True, False], ids=["on a lost connection", "late"])
def test_a_goodbye_settles_no_more_than_was_acknowledged_before_it(lost: bool) -> None:  # noqa: FBT001 - a case
    outbox, memory, _, connection = make_outbox()
    live = cast("Connection", Wire()) if lost else connection
    outbox.collect(connection, make_publish(1))
    outbox.close_batch()
    outbox.ready[0].committed = True
    outbox.acknowledge(connection)
    outbox.collect(connection, make_publish(2))
    outbox.close_batch()
    outbox.ready[1].committed = lost
    outbox.acknowledge(live)

    outbox.settle_goodbye()

    known = Memory(PLAN.key, memory.save())
    named = [known.window.find_again(number, "devices/d1/telemetry", BODY) for number in (1, 2)]
    ids = [batch.messages[0].event_id for batch in outbox.ready]
    assert named == (ids if lost else [None, ids[1]])


def test_about_a_few_messages_a_broker_is_asked_once_until_it_answers() -> None:
    outbox, memory, wire, connection = make_outbox()

    for packet_id in (1, 2, 3):
        outbox.collect(connection, make_publish(packet_id))
        outbox.close_batch()
        outbox.ready[-1].committed = True
        outbox.acknowledge(connection)
    before = (wire.asked, memory.unsettled, memory.window.unheard)
    wire.settled = 1
    outbox.acknowledge(connection)

    assert before == (1, 3, 3)
    assert (wire.asked, memory.unsettled, memory.window.unheard) == (2, 2, 2)


def test_an_equal_reading_under_the_packet_id_of_one_that_is_settled_is_not_lost() -> None:
    outbox, _, wire, connection = make_outbox()
    outbox.collect(connection, make_publish(1))
    outbox.close_batch()
    outbox.ready[0].committed = True
    outbox.acknowledge(connection)
    wire.settled = 1
    outbox.acknowledge(connection)

    outbox.collect(cast("Connection", Wire()), make_publish(1)._replace(duplicate=True))
    outbox.close_batch()

    first, second = outbox.ready
    assert first.messages[0].event_id != second.messages[0].event_id
