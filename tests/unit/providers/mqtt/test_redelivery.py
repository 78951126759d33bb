"""The redelivery window: a message that comes again keeps its event id, an equal new one gets its own."""

from __future__ import annotations

import itertools
import json
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.providers.mqtt.redelivery import WINDOW_MESSAGES, WINDOW_RUNS, Window

TOPIC, BODY = "devices/d1/telemetry", b'{"temperature":21}'


def name_again(window: Window, packet_id: int, topic: str, body: bytes) -> str:
    """The event id that a message with the duplicate flag gets."""
    return window.find_again(packet_id, topic, body) or window.name_new(packet_id, topic, body)


def reopen(window: Window) -> Window:
    return Window(json.loads(json.dumps(window.save())))


def test_two_equal_messages_have_two_ids() -> None:
    window = Window()

    assert window.name_new(1, TOPIC, BODY) != window.name_new(2, TOPIC, BODY)


def test_a_message_that_comes_again_keeps_its_id_in_the_next_session_too() -> None:
    window = Window()
    first = window.name_new(7, TOPIC, BODY)

    assert name_again(window, 7, TOPIC, BODY) == first
    assert name_again(reopen(reopen(window)), 7, TOPIC, BODY) == first


def test_a_packet_id_used_again_for_another_message_is_a_new_message() -> None:
    window = Window()
    first = window.name_new(7, TOPIC, BODY)

    assert name_again(window, 7, TOPIC, b"other") != first
    assert name_again(window, 7, "devices/d2/telemetry", BODY) != first
    assert name_again(window, 8, TOPIC, BODY) != first


def test_of_two_messages_with_one_packet_id_the_last_counts() -> None:
    window = Window()
    window.name_new(7, TOPIC, BODY)
    last = window.name_new(7, TOPIC, BODY)

    assert name_again(reopen(window), 7, TOPIC, BODY) == last


def test_a_broker_that_began_anew_means_other_messages() -> None:
    window = Window()
    first = window.name_new(7, TOPIC, BODY)

    window.forget()

    assert name_again(window, 7, TOPIC, BODY) != first


def test_a_retained_copy_has_the_id_of_the_live_message_or_one_of_its_content() -> None:
    window = Window()
    live = window.name_new(7, TOPIC, BODY)

    assert window.find_copy(TOPIC, BODY) == live
    assert window.find_copy(TOPIC, b"other") == Window().find_copy(TOPIC, b"other")
    assert window.find_copy(TOPIC, b"other") != window.find_copy(TOPIC, b"another")


def test_the_saved_window_stays_small_after_many_messages_and_after_many_sessions() -> None:
    busy = Window()
    for number in range(20_000):
        busy.name_new(number % 65_535 + 1, TOPIC, BODY)
    quiet = Window()
    for number in range(500):
        quiet = reopen(quiet)
        quiet.name_new(number + 1, TOPIC, BODY)

    assert len(json.dumps(busy.save())) < 35_000
    assert len(json.dumps(quiet.save())) < 10_000
    assert len(quiet.save()) == WINDOW_RUNS


def test_messages_that_come_again_and_again_push_no_other_out() -> None:
    window = Window()
    first = window.name_new(1, TOPIC, BODY)
    window.name_new(2, TOPIC, BODY)

    for _ in range(WINDOW_MESSAGES * 2):
        name_again(window, 2, TOPIC, BODY)

    assert name_again(reopen(window), 1, TOPIC, BODY) == first


def test_the_last_messages_are_the_ones_that_are_remembered() -> None:
    window = Window()
    ids = {number: window.name_new(number, TOPIC, BODY) for number in range(1, WINDOW_MESSAGES + 101)}
    again = reopen(window)

    assert name_again(again, WINDOW_MESSAGES + 100, TOPIC, BODY) == ids[WINDOW_MESSAGES + 100]
    assert name_again(again, 101, TOPIC, BODY) == ids[101]
    assert name_again(again, 100, TOPIC, BODY) != ids[100]


def test_it_tells_how_many_came_since_a_message_did() -> None:
    window = Window()
    for number in range(1, 11):
        window.name_new(number, TOPIC, BODY)
    name_again(window, 4, TOPIC, BODY)

    assert [window.count_since(number, TOPIC, BODY) for number in (1, 4, 10, 11)] == [10, 7, 1, 0]
    assert window.count_since(4, TOPIC, b"other") == 0


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=4)))
def test_a_damaged_window_is_left_out_and_never_raises(saved: object) -> None:
    assert name_again(Window(saved), 1, TOPIC, BODY)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20), st.sampled_from((b"a", b"b")), st.booleans())))
def test_no_two_different_messages_ever_share_an_id(steps: list[tuple[bool, int, bytes, bool]]) -> None:
    window = Window()
    carried: dict[int, tuple[str, bytes]] = {}
    bodies: dict[str, bytes] = {}

    for again, packet_id, body, restart in steps:
        if restart:
            window = reopen(window)
        name = partial(name_again, window) if again else window.name_new
        event_id = name(packet_id, TOPIC, body)
        known = carried.get(packet_id)

        assert bodies.setdefault(event_id, body) == body
        assert (known is not None and known == (event_id, body)) == (
            again and known is not None and known[1] == body
        )
        carried[packet_id] = (event_id, body)
        assert reopen(window).find_again(packet_id, TOPIC, body) == event_id


def test_a_packet_id_is_free_once_its_acknowledgement_is_heard_even_for_an_equal_message() -> None:
    window = Window()
    first = window.name_new(1, TOPIC, BODY)
    second = window.name_new(2, TOPIC, BODY)

    assert window.hear(1)

    assert window.find_again(1, TOPIC, BODY) is None
    assert window.find_again(2, TOPIC, BODY) == second
    assert window.name_new(1, TOPIC, BODY) != first


def test_what_was_heard_is_known_in_the_next_session_too() -> None:
    window = Window()
    window.name_new(1, TOPIC, BODY)
    window.hear()
    second = window.name_new(2, TOPIC, BODY)

    again = Window(json.loads(json.dumps(window.save())), window.unheard)

    assert again.find_again(1, TOPIC, BODY) is None
    assert again.find_again(2, TOPIC, BODY) == second


def test_what_an_older_version_saved_may_all_come_again() -> None:
    window = Window()
    first = window.name_new(1, TOPIC, BODY)
    window.hear()

    assert reopen(window).find_again(1, TOPIC, BODY) == first


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("send"), st.sampled_from((b"a", b"b"))),
            st.sampled_from(("ack", "drop", "save")),
        )
    )
)
def test_with_a_broker_that_reuses_the_lowest_packet_id_every_message_is_named_once(steps: list[Any]) -> None:
    """The broker sends, hears acknowledgements in order, and sends again what it has not heard."""
    window, count = Window(), 0
    waiting: list[tuple[int, bytes, int]] = []
    names: dict[int, str] = {}
    for step in steps:
        if step == "ack" and waiting:
            waiting.pop(0)
            window.hear(window.latest - len(waiting))
        elif step == "save":
            window = Window(json.loads(json.dumps(window.save())), window.unheard)
        elif step == "drop":
            for packet_id, body, number in waiting:
                assert name_again(window, packet_id, TOPIC, body) == names[number]
        elif isinstance(step, tuple):
            count += 1
            packet_id = next(free for free in itertools.count(1) if free not in {sent[0] for sent in waiting})
            # Its first sending was lost on the way as often as not, so it comes with the duplicate flag.
            name = name_again if count % 2 else Window.name_new
            names[count] = name(window, packet_id, TOPIC, step[1])
            waiting.append((packet_id, step[1], count))

    assert len(set(names.values())) == count
