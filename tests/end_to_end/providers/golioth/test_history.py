"""Backfill: LightDB Stream read back over a range, resumed, and nothing stored twice."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from psycopg.types.json import Jsonb

from shared.jobs.kinds import find_kind
from shared.jobs.run import run_job
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth.data import say
from tests.fakes.golioth_site import connect_golioth, read_messages
from tests.platform import Platform, run_tick
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("functions_environment")

Row = dict[str, Any]
BEGIN = (datetime.now(UTC) - timedelta(days=5)).replace(hour=12, minute=0, second=0, microsecond=0)
END = BEGIN + timedelta(days=2)


@pytest.fixture
def integration(admin: Platform, fake: FakeGolioth) -> Row:
    return connect_golioth(admin, fake)


def begin(admin: Platform, integration: Row, start: datetime = BEGIN, end: datetime = END) -> Row:
    body = {"kind": "backfill", "from": start.isoformat(), "to": end.isoformat()}
    reply = admin.call("POST", f"/integrations/{integration['id']}/jobs", json=body)
    assert reply.status_code == 202, reply.text
    return dict(reply.json()["job"])


def work(admin: Platform, seconds: float = 30) -> Counter[str]:
    """Do the only job that is not finished, whether it is due or not."""
    with admin.stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now()")
    (row,) = as_service().call("lease_jobs", p_limit=2, p_lease_seconds=30)
    return run_job(row, find_kind, as_service(), Deadline(seconds))


def backfill(admin: Platform, integration: Row, start: datetime = BEGIN, end: datetime = END) -> Row:
    """A whole backfill; what it reports."""
    job = begin(admin, integration, start, end)
    assert work(admin) == {"done": 1}
    return dict(show(admin, job)["report"])


def show(admin: Platform, job: Row) -> Row:
    return dict(admin.call("GET", f"/integrations/{job['integration_id']}/jobs/{job['id']}").json()["job"])


def push(integration: Row, *messages: Row) -> None:
    """What a receiver stored of the same readings, under ids of its own."""
    numbered = [{"event_id": f"pushed-{n}", "kind": "telemetry", **each} for n, each in enumerate(messages)]
    as_service().call("ingest_messages", p_integration_id=integration["id"], p_messages=numbered)


def test_what_devices_said_is_stored_with_its_own_time(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    for number in range(250):
        say(fake, f"d{number % 3}", BEGIN + timedelta(minutes=11 * number), {"sensor": {"temp": number}})
    fake.store["stream"]["rows"][7]["deviceId"] = fake.store["stream"]["rows"][7].pop("device_id")

    report = backfill(admin, integration)

    assert report == {"received": 250, "stored": 250, "duplicates": 0, "failed": 0, "until": END.isoformat()}
    rows = read_messages(admin, integration)
    assert [(row["kind"], row["device"], row["at"], row["payload"]) for row in rows] == [
        ("telemetry", f"d{n % 3}", BEGIN + timedelta(minutes=11 * n), {"sensor": {"temp": n}})
        for n in range(250)
    ]


def test_of_what_is_read_back_and_pushed_at_once_one_is_stored(admin: Platform, integration: Row) -> None:
    backfill(admin, integration)
    reading = {"device": "a", "kind": "telemetry", "payload": {"temp": 1}, "observed_at": BEGIN.isoformat()}
    post = {
        "integration_id": integration["id"],
        "messages": [reading | {"event_id": "pushed"}],
        "requests": 1,
    }

    with admin.stack.connect() as connection, ThreadPoolExecutor(1) as threads:
        connection.execute(
            "select ingest_history(%s, %s)", [integration["id"], Jsonb([reading | {"event_id": "read back"}])]
        )
        pushed = threads.submit(as_service().call, "receive_messages", p_posts=[post])
        wait_for_lock(admin)
        connection.commit()
        counts = pushed.result()[integration["id"]]

    assert (counts["stored"], counts["duplicates"]) == (0, 1)
    assert len(read_messages(admin, integration)) == 1


def wait_for_lock(admin: Platform) -> None:
    """Until somebody waits for an advisory lock."""
    locks = "select from pg_locks where locktype = 'advisory' and not granted"
    with admin.stack.connect() as connection:
        connection.autocommit = True
        wait_until(lambda: connection.execute(locks).fetchall(), "nobody waits")


def test_what_the_webhook_brought_is_not_stored_again(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    moments = [BEGIN + timedelta(minutes=number, microseconds=123_456) for number in range(30)]
    for number, at in enumerate(moments):
        say(fake, "pump", at, {"sensor": {"temp": number}} if number % 2 else {"temp": number})
    push(
        integration,
        *(
            {"device": "pump", "topic": "sensor", "payload": {"temp": number}, "observed_at": at.isoformat()}
            for number, at in enumerate(moments[:20])
        ),
    )

    report = backfill(admin, integration)

    assert (report["received"], report["stored"], report["duplicates"]) == (30, 10, 20)
    assert len(read_messages(admin, integration)) == 30


def test_the_same_range_again_stores_nothing(admin: Platform, fake: FakeGolioth, integration: Row) -> None:
    for number in range(120):
        say(fake, "pump", BEGIN + timedelta(minutes=number), {"temp": number % 2})

    reports = [backfill(admin, integration), backfill(admin, integration)]

    assert [(report["stored"], report["duplicates"]) for report in reports] == [(120, 0), (0, 120)]


def test_the_range_ends_before_its_end_and_begins_with_its_beginning(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    tick = timedelta(microseconds=1)
    for at in (
        BEGIN - tick,
        BEGIN,
        BEGIN + timedelta(hours=1) - tick,
        BEGIN + timedelta(hours=1),
        END - tick,
        END,
    ):
        say(fake, "pump", at, {"at": at.isoformat()})

    backfill(admin, integration)

    assert [row["at"] for row in read_messages(admin, integration)] == [
        BEGIN,
        BEGIN + timedelta(hours=1) - tick,
        BEGIN + timedelta(hours=1),
        END - tick,
    ]


def test_many_rows_are_read_in_slices_of_a_few_pages(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    for number in range(2_100):
        say(fake, "pump", BEGIN + timedelta(milliseconds=number * 1_500), {"temp": number})

    report = backfill(admin, integration)

    assert (report["received"], report["stored"]) == (2_100, 2_100)
    assert len(fake.calls) < 40


def test_a_failure_goes_on_where_it_was_and_is_told(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    for number in range(1_000):
        say(fake, "pump", BEGIN + timedelta(seconds=number), {"temp": number})
    job = begin(admin, integration)
    fake.faults += [Fault("stream", times=4, seconds=0.001), Fault("stream", status=403)]

    first = work(admin)
    told, asked = show(admin, job), len(fake.calls)
    second = work(admin)

    assert (first, second) == ({"retried": 1}, {"done": 1})
    assert (told["status"], "injected" in told["error"], told["progress"]["stored"]) == ("pending", True, 400)
    report = show(admin, job)["report"]
    assert (report["received"], report["stored"], report["duplicates"]) == (1_000, 1_000, 0)
    assert len(fake.calls) - asked < 15


def test_a_page_whose_end_was_lost_is_read_again_and_stored_once(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    for number in range(300):
        say(fake, "pump", BEGIN + timedelta(seconds=number), {"temp": number})
    job = begin(admin, integration)
    fake.faults += [Fault("stream", times=2, seconds=0.001), Fault("stream", status=403)]
    work(admin)

    with admin.stack.connect() as connection:
        connection.execute("update integration_jobs set state = '{}', progress = '{}'")
    work(admin)

    report = show(admin, job)["report"]
    assert (report["received"], report["stored"], report["duplicates"]) == (300, 100, 200)
    assert len(read_messages(admin, integration)) == 300


def test_the_end_of_a_tick_puts_it_off(admin: Platform, fake: FakeGolioth, integration: Row) -> None:
    for number in range(1_000):
        say(fake, "pump", BEGIN + timedelta(seconds=number), {"temp": number})
    job = begin(admin, integration)
    fake.faults.append(Fault("stream", times=1_000, seconds=0.1))

    counts = work(admin, seconds=0.7)
    told = show(admin, job)
    fake.faults.clear()

    assert (counts, told["status"], told["error"]) == ({"put_off": 1}, "pending", None)
    assert 0 < told["progress"]["stored"] < 1_000
    assert work(admin) == {"done": 1}
    assert show(admin, job)["report"]["stored"] == 1_000


def test_what_can_not_be_stored_as_it_is_is_mended_and_kept_raw(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    say(fake, "pump", BEGIN, {"text": "a\x00b"})
    say(fake, "pump", BEGIN + timedelta(seconds=1), {"text": "fine"})

    report = backfill(admin, integration)

    assert (report["stored"], report["failed"]) == (2, 0)
    mended = read_messages(admin, integration)[0]
    assert (mended["at"], orjson.loads(mended["raw"])) == (BEGIN, {"text": "a\x00b"})
    assert (mended["payload"], mended["error"]) == ({"text": "a\ufffdb"}, None)
    assert "NUL" in mended["remark"]


def test_what_may_still_be_on_its_way_is_left_alone(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    now = datetime.now(UTC)
    for seconds in (600, 300, 60, 0):
        say(fake, "pump", now - timedelta(seconds=seconds), {"age": seconds})

    report = backfill(admin, integration, now - timedelta(hours=1), now + timedelta(hours=1))

    assert [row["payload"]["age"] for row in read_messages(admin, integration)] == [600, 300]
    assert now - timedelta(seconds=121) < datetime.fromisoformat(report["until"]) < now


def test_a_tick_of_the_scheduler_does_it_and_nobodys_status_changes(
    admin: Platform, fake: FakeGolioth, integration: Row
) -> None:
    say(fake, "pump", BEGIN, {"temp": 1})
    job = begin(admin, integration)

    counts = run_tick(admin.stack, idle_seconds=0.5)

    assert (counts["jobs"]["done"], show(admin, job)["status"]) == (1, "done")
    assert show(admin, job)["request"] == {
        "from": BEGIN.isoformat().replace("+00:00", "Z"),
        "to": END.isoformat().replace("+00:00", "Z"),
    }
    (device,) = admin.rows("devices", integration_id=f"eq.{integration['id']}", select="status,last_seen_at")
    assert (device["status"], datetime.fromisoformat(device["last_seen_at"])) == ("unknown", BEGIN)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"from": None}, "from"),
        ({"from": "2026-01-01T00:00:00"}, "from"),
        ({"from": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, "from"),
        ({"to": BEGIN.isoformat()}, "to"),
        ({"to": (BEGIN + timedelta(days=31, seconds=1)).isoformat()}, "to"),
        ({"device": "pump"}, "device"),
    ],
)
def test_a_wrong_range_is_refused_by_field(
    admin: Platform, integration: Row, fields: Row, field: str
) -> None:
    body = {"kind": "backfill", "from": BEGIN.isoformat(), "to": END.isoformat()} | fields

    reply = admin.call("POST", f"/integrations/{integration['id']}/jobs", json=body)

    assert (reply.status_code, [error["field"] for error in reply.json()["errors"]]) == (400, [field])


def test_an_integration_without_history_says_so(admin: Platform) -> None:
    broker = admin.create("mqtt", {"broker_url": admin.stack.mqtt_url, "topics": "a"}, status="inactive")
    body = {"kind": "backfill", "from": BEGIN.isoformat(), "to": END.isoformat()}

    reply = admin.call("POST", f"/integrations/{broker['id']}/jobs", json=body)

    assert (reply.status_code, reply.json()["code"]) == (501, "not_supported")
