"""What The Things Stack has stored is read back: what the webhook missed is added, what it brought is not doubled."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.end_to_end.fleet import Fleet
from tests.end_to_end.messages.test_codecs import make_codec, messages_of
from tests.end_to_end.providers.lorawan.test_webhooks import HALVES, Network
from tests.fakes.golioth import FakeGolioth
from tests.fakes.lorawan.senders import TtsEvents
from tests.fakes.lorawan.tts import FakeTts, write_rows
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")

BEGUN = datetime.now(UTC) - timedelta(hours=3)


@pytest.fixture
def fake() -> Iterator[FakeTts]:
    with FakeTts(f"a-{uuid.uuid4().hex[:20]}") as started:
        yield started


def connect(admin: Platform, fake: FakeTts, **config: Any) -> tuple[Network, Fleet]:
    with admin.stack.connect() as connection:
        connection.execute("delete from integration_jobs")
    named = {
        "application_id": fake.application,
        "api_key": fake.key,
        "base_url": fake.url,
        "sync_direction": "off",
    }
    network = Network(admin, **(named | config))
    return network, Fleet(admin, cast("FakeGolioth", fake), network.created)


def make_uplinks(fake: FakeTts, count: int, **how: Any) -> list[dict[str, Any]]:
    """Stored a second apart, three at a time in the same moment."""
    events, made = TtsEvents(fake.application), []
    for number in range(count):
        at = (BEGUN + timedelta(seconds=number // 3)).isoformat().replace("+00:00", "789Z")
        uplink = events.make_uplink(
            "room-1", number, bytes([number % 250]), how.get("decoded") and {"t": number}, received_at=at
        )
        # Its time is that of the Network Server, as most gateways tell none.
        uplink["uplink_message"]["rx_metadata"] = [
            {"gateway_ids": {"gateway_id": "gw"}, "rssi": -50, "snr": 1}
        ]
        made.append(uplink | {"received_at": at})
    fake.stored = made
    return made


def read_back(fleet: Fleet) -> dict[str, Any]:
    """The report of a whole backfill of the last hours."""
    until = datetime.now(UTC).isoformat()
    job_id = fleet.begin("backfill", **{"from": (BEGUN - timedelta(minutes=1)).isoformat(), "to": until})[
        "id"
    ]
    for _ in range(100):
        fleet.work(20)
        job = fleet.read(job_id)
        if job["status"] not in {"pending", "running"}:
            assert job["status"] == "done", job
            return dict(job["report"])
    raise AssertionError(fleet.read(job_id))


def test_what_the_webhook_missed_is_added_and_what_it_brought_is_stored_once(
    admin: Platform, fake: FakeTts
) -> None:
    network, fleet = connect(admin, fake)
    uplinks = make_uplinks(fake, 250, decoded=True)
    assert {network.post(each) for each in uplinks[100:110]} == {202}

    first, again = read_back(fleet), read_back(fleet)

    stored = messages_of(admin, network.id)
    assert (first["stored"], again["stored"]) == (240, 0)
    assert sorted(int(row["metadata"].get("f_cnt")) for row in stored) == list(range(250))
    assert {row["error"] for row in stored} == {None}


@pytest.mark.parametrize("more", [0, 100])
def test_an_answer_that_is_cut_after_a_line_or_in_one_loses_nothing(
    admin: Platform, fake: FakeTts, more: int
) -> None:
    network, fleet = connect(admin, fake)
    first = make_uplinks(fake, 120, decoded=True)[:41]
    fake.cut_after = len(write_rows(first)) + more

    read_back(fleet)

    assert fake.cut_after is None
    assert len(messages_of(admin, network.id)) == 120


def test_what_was_stored_undecoded_is_decoded_by_the_codec(admin: Platform, fake: FakeTts) -> None:
    network, fleet = connect(admin, fake, codec=make_codec(admin, HALVES))
    make_uplinks(fake, 5)

    read_back(fleet)

    assert [row["payload"]["t"] for row in messages_of(admin, network.id)] == [n / 2 for n in range(5)]


def test_half_of_a_surrogate_pair_keeps_no_other_uplink_back(admin: Platform, fake: FakeTts) -> None:
    network, fleet = connect(admin, fake)
    make_uplinks(fake, 5, decoded=True)
    fake.stored[2]["uplink_message"]["decoded_payload"]["text"] = "\ud83d"

    read_back(fleet)

    assert [row["payload"]["t"] for row in messages_of(admin, network.id)] == list(range(5))


@pytest.mark.parametrize("has_times", [True, False])
def test_a_page_that_nothing_can_go_on_from_ends_the_backfill(
    admin: Platform,
    fake: FakeTts,
    has_times: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    network, fleet = connect(admin, fake)
    rows = make_uplinks(fake, 100, decoded=True)[::-1]
    if not has_times:
        for row in rows:
            del row["received_at"], row["uplink_message"]["received_at"]
    fake.page = write_rows(rows)
    body = {"from": BEGUN.isoformat(), "to": datetime.now(UTC).isoformat()}
    job_id = fleet.begin("backfill", **body)["id"]

    fleet.work(20)

    assert "not in the order" in (fleet.read(job_id)["error"] or "")
    assert messages_of(admin, network.id) == []


def test_the_right_to_read_it_is_named_where_it_is_missing(admin: Platform, fake: FakeTts) -> None:
    _, fleet = connect(admin, fake)
    fake.missing = {"storage"}
    body = {"from": BEGUN.isoformat(), "to": datetime.now(UTC).isoformat()}
    job_id = fleet.begin("backfill", **body)["id"]

    fleet.work(20)

    assert "RIGHT_APPLICATION_TRAFFIC_READ" in fleet.read(job_id)["error"]
