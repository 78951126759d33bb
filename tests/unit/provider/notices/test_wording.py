"""What people are told: one thing in its words, many as a list that is bounded, and nothing longer than it may be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.provider import Event, EventDevice, Identity, Notice, compile_template
from shared.provider.notices.wording import LINE_LENGTH, LINES, describe_notice

IDENTITY = Identity("o", "i", "twilio", "Duty")
ALERT: dict[str, Any] = {
    "id": "17",
    "kind": "webhook.failing",
    "level": "error",
    "code": "K7Q2M",
    "message": "It fails.",
    "integration_name": "Plant",
    "url": "https://x.test/i",
}


def make(kind: str = "alert.raised", payload: Any = None, **fields: Any) -> Event:
    return Event(
        "e", kind, "alert", "2026-01-01T00:00:00+00:00", "o", IDENTITY, payload=payload or ALERT, **fields
    )


def gather(event: Event, *events: Event, count: int = 0) -> Event:
    return replace(event, notice=Notice("Ada", event.at, events=events, count=count or len(events)))


def test_an_alert_says_how_bad_it_is_where_and_what() -> None:
    wording = describe_notice(make())

    assert wording.text == "[error] Plant: It fails."
    assert (wording.title, wording.code, wording.level) == ("Plant: webhook.failing", "K7Q2M", "error")


def test_what_is_over_needs_no_code() -> None:
    wording = describe_notice(make("alert.resolved"))

    assert (wording.text, wording.code, wording.is_over) == ("[resolved] Plant: It fails.", "", True)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            make("device.offline", {"silent_since": "now"}, device=EventDevice("d", "p-1", "Pump 1")),
            "Pump 1 is offline, silent since now",
        ),
        (make("device.event", {"t": 5}, device=EventDevice(None, "p-1", None)), 'p-1: {"t":5}'),
        (make("device.event", "tilted"), "Duty: tilted"),
    ],
)
def test_a_device_is_called_by_its_name(event: Event, text: str) -> None:
    assert describe_notice(replace(event, kind="event")).text == text


def test_a_template_has_the_words() -> None:
    template = compile_template("{{ payload.kind }}!\n{{ payload.level }}")

    assert describe_notice(make(), template).text == "webhook.failing!\nerror"


def test_many_are_a_list_in_which_each_alert_stands_once_as_it_is_now() -> None:
    other = make(payload=ALERT | {"id": "18", "level": "warning", "message": "So so."})

    wording = describe_notice(gather(make(), other, make("alert.resolved")))

    assert wording.text == "3 events\n[resolved] Plant: It fails.\n[warning] Plant: So so."
    assert (wording.code, wording.level) == ("", "error")


def test_a_list_is_bounded_and_says_how_many_are_left_out() -> None:
    events = [make(payload=ALERT | {"id": str(n)}) for n in range(100, 150)]

    lines = describe_notice(gather(make(), *events[1:], count=5000)).text.splitlines()

    assert len(lines) == LINES + 2
    assert lines[0] == "5001 events"
    assert lines[-1] == f"… and {5001 - LINES} more"


def test_control_characters_and_endless_words_are_no_part_of_a_line() -> None:
    wording = describe_notice(make(payload=ALERT | {"message": "a\r\nBcc: x\x00" + "y" * 10_000}))

    assert "\r" not in wording.text
    assert "\n" not in wording.text
    assert len(wording.text) == LINE_LENGTH


@pytest.mark.parametrize("length", [70, 100, 480])
def test_a_message_is_cut_and_its_ending_is_whole(length: int) -> None:
    text = describe_notice(make(payload=ALERT | {"message": "y" * 290})).cut(length, " Reply K7Q2M.")

    assert len(text) <= length
    assert text.endswith(" Reply K7Q2M.")


def test_a_template_that_comes_to_too_much_keeps_nobody_from_being_told() -> None:
    template = compile_template("{{ payload.long }}" * 100)
    pump = EventDevice("d", "p-1", "Pump 1")
    long = replace(make("device.event", {"long": "x" * 8_000}, device=pump), kind="event")

    alone = describe_notice(long, template)
    together = describe_notice(gather(make(), long), template)

    assert alone.text.startswith('Pump 1: {"long":"xxx')
    assert len(alone.text) <= LINE_LENGTH
    assert together.lines[1].startswith('Pump 1: {"long":"xxx')


def test_what_is_nested_without_end_is_told_of_all_the_same() -> None:
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]

    event = replace(make("device.event", deep), kind="event")

    assert describe_notice(event).text == "Duty: more than can be shown"
