"""Which devices a webhook hears of: no delivery is made for those that its device_filter leaves out."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest

from shared.provider.subscription import MOST_DEVICES, MOST_EVENTS, MOST_STARS
from tests.database.fixtures import Service, make_messages

KNOWN = "00000000-0000-4000-8000-000000000007"


def hear(service: Service, device_filter: Any) -> set[str | None]:
    """The devices whose messages are enqueued for a webhook with this filter, of all that say something."""
    webhook = service.make_integration("webhook", events=["*"], device_filter=device_filter)
    source = service.make_integration()
    service.connection.execute(
        "insert into devices (id, organization_id, integration_id, external_id, name, device_type)"
        " values (%s, %s, %s, 'pump-1', 'Pump', 'pump')",
        (KNOWN, service.organization_id, source),
    )
    messages = [
        message
        for device in ("pump-1", "pump-2", "valve_1", "valveX1", "50%\\off*", None)
        for message in make_messages(1, device)
    ]
    service.ingest(source, messages)
    rows = service.run(
        "select v.external_id from webhook_deliveries d join device_messages m on m.id = d.message_id"
        " left join devices v on v.id = m.device_id where d.integration_id = %s",
        webhook,
    )
    return {row["external_id"] for row in rows}


@pytest.mark.parametrize(
    ("device_filter", "heard"),
    [
        ({"external_ids": ["pump-1"]}, {"pump-1"}),
        ({"external_ids": ["pump-*"]}, {"pump-1", "pump-2"}),
        ({"external_ids": ["*-1", "valve_1"]}, {"pump-1", "valve_1"}),
        ({"external_ids": ["50%\\off*"]}, {"50%\\off*"}),
        ({"external_ids": ["*"]}, {"pump-1", "pump-2", "valve_1", "valveX1", "50%\\off*"}),
        ({"external_ids": ["pump"]}, set()),
        ({"device_types": ["pump"]}, {"pump-1"}),
        ({"device_types": ["valve"]}, set()),
        ({"ids": [KNOWN]}, {"pump-1"}),
        ({"ids": [str(uuid.UUID(int=1))]}, set()),
        ({"external_ids": ["*-2"], "ids": [KNOWN]}, set()),
        ({"external_ids": ["pump-*"], "device_types": ["pump"]}, {"pump-1"}),
    ],
)
def test_only_devices_that_match_every_list_are_heard(
    service: Service, device_filter: dict[str, list[str]], heard: set[str]
) -> None:
    assert hear(service, device_filter) == heard


@pytest.mark.parametrize(
    "malformed",
    ["pump-1", 7, ["pump-1"], None, {"external_ids": "pump-1", "ids": 5}, {"external_ids": {"a": 1}}],
)
def test_a_malformed_filter_written_past_the_api_matches_nothing_and_stops_nobody(
    service: Service, malformed: Any
) -> None:
    other = service.make_integration("webhook", events=["*"])

    heard = hear(service, malformed)

    rows = service.run("select 1 from webhook_deliveries where integration_id = %s", other)
    assert (heard, len(rows)) == (set(), 6)


def test_without_a_filter_everything_is_heard_also_what_has_no_device(service: Service) -> None:
    webhook = service.make_integration("webhook", events=["*"])

    service.ingest(service.make_integration(), make_messages(1) + make_messages(1, None))

    assert len(service.run("select 1 from webhook_deliveries where integration_id = %s", webhook)) == 2


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"events": ["telemetry"] * (MOST_EVENTS + 1)}, "events"),
        ({"events": ["*"], "device_filter": {"external_ids": ["a"] * (MOST_DEVICES + 1)}}, "device_filter"),
        ({"events": ["*"], "device_filter": {"device_types": ["a"] * (MOST_DEVICES + 1)}}, "device_filter"),
        ({"events": ["*"], "device_filter": {"ids": [KNOWN] * (MOST_DEVICES + 1)}}, "device_filter"),
        ({"events": ["*"], "device_filter": {"external_ids": ["a*" * (MOST_STARS + 1)]}}, "device_filter"),
        ({"events": ["*"], "device_filter": {"external_ids": ["a" * 513]}}, "device_filter"),
    ],
)
def test_a_list_that_is_longer_than_the_api_takes_is_refused_past_it_too(
    service: Service, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"settings.{field}"):
        service.make_integration("webhook", **settings)


def test_what_the_api_takes_is_taken(service: Service) -> None:
    longest = "*" * MOST_STARS + "a" * (512 - MOST_STARS)
    device_filter = {"external_ids": [longest] * MOST_DEVICES, "ids": [KNOWN] * MOST_DEVICES}

    webhook = service.make_integration("webhook", events=["*"] * MOST_EVENTS, device_filter=device_filter)

    assert uuid.UUID(webhook)
