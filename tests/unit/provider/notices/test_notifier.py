"""Configs of those that tell people: what is refused, at which field; a defect says nothing of what was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.provider import Deadline, Event, Identity, Notice, load_provider, split_config
from shared.providers.slack import Slack
from shared.runtime.errors import InvalidConfig
from shared.runtime.log import get_log

IDENTITY = Identity("o", "i", "slack", "Duty")
BASE: dict[str, Any] = {"webhook_url": "https://hooks.slack.com/services/T0/B0/XXXXXXXXXXXX"}


def find_wrong(**config: Any) -> dict[str, str]:
    try:
        load_provider(BASE | config, IDENTITY)
    except InvalidConfig as refusal:
        return {error.field: error.message for error in refusal.errors}
    return {}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"events": ["*"]}, "events"),
        ({"events": ["alert.*", "telemetry"]}, "events"),
        ({"events": ["device.*"]}, "events"),
        ({"retry_schedule": [5, 3600]}, "retry_schedule"),
        ({"ordered": "device"}, "ordered"),
        ({"recipients": []}, "recipients"),
        ({"recipients": [{"name": "A"}, {"name": " A "}]}, "recipients"),
        ({"recipients": [{"name": f"P{n}"} for n in range(51)]}, "recipients"),
        ({"recipients": [{"name": "A", "time_zone": "Europe/Nowhere"}]}, "recipients.0.time_zone"),
        (
            {"recipients": [{"name": "A", "quiet_hours": {"start": "24:00", "end": "07:00"}}]},
            "recipients.0.quiet_hours.start",
        ),
        ({"recipients": [{"name": "A", "quiet_hours": {"start": "22:00"}}]}, "recipients.0.quiet_hours.end"),
        ({"recipients": [{"name": "A", "rate_limit_per_hour": 0}]}, "recipients.0.rate_limit_per_hour"),
        ({"recipients": [{"name": "A\r\nB"}]}, "recipients.0.name"),
        ({"test_recipient": "Nobody"}, "test_recipient"),
        ({"text_template": "{{ nonsense.x }}"}, "text_template"),
        ({"bot_token": "xoxb-1"}, "bot_token"),
    ],
)
def test_what_is_refused_is_named_with_its_place(config: dict[str, Any], field: str) -> None:
    assert [*find_wrong(**config)] == [field]


def test_what_the_database_reads_is_stored_though_it_was_left_out() -> None:
    settings, _ = split_config(load_provider(BASE, IDENTITY))

    assert settings["events"] == ["alert.*"]
    assert settings["recipients"] == [{"name": "Slack"}]


class Broken(Slack):
    """One with a defect."""

    def tell(self, event: Event, notice: Notice, deadline: Deadline) -> str | None:
        """Breaks, with what was told in its words."""
        raise ZeroDivisionError(f"{notice.recipient} {event.payload} {deadline}")


@pytest.fixture
def _fresh_log() -> Iterator[None]:
    """A log to what is captured, which is closed after the test."""
    get_log.cache_clear()
    yield
    get_log.cache_clear()


@pytest.mark.usefixtures("_fresh_log")
def test_a_defect_keeps_no_other_message_and_its_log_says_nothing_of_what_was_told(
    capfd: pytest.CaptureFixture[str],
) -> None:
    broken = Broken.model_validate(BASE)
    now = "2026-01-01T00:00:00+00:00"
    events = [
        Event(
            f"e{n}",
            "alert.raised",
            "alert",
            now,
            "o",
            IDENTITY,
            payload="canary",
            notice=Notice("canary", now),
        )
        for n in range(20)
    ]

    outcomes = [*broken.publish(events, Deadline(5))]

    assert sorted(outcome.event_id for outcome in outcomes) == sorted(event.id for event in events)
    assert {json.dumps(str(outcome.problem)) for outcome in outcomes} == {
        '"It could not be sent; the log has the details."'
    }
    logged = capfd.readouterr().err
    assert logged.count("a defect in telling people") == len(events)
    assert "canary" not in logged
