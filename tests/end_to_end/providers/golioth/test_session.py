"""Sessions with Golioth: device logs, and what has changed at devices."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from shared.messages.session import run_session
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth.data import log
from tests.fakes.golioth_site import connect_golioth, read_messages
from tests.platform import Platform, run_tick

pytestmark = pytest.mark.usefixtures("functions_environment")

Row = dict[str, Any]
NOW = datetime.now(UTC)


def look(admin: Platform, seconds: float = 10) -> Counter[str]:
    """One session of the only integration, whether it is due or not; what it counted."""
    with admin.stack.connect() as connection:
        connection.execute("update integration_schedules set due_at = now()")
    (row,) = as_service().call("lease_sessions", p_limit=2, p_lease_seconds=30)
    return run_session(row, as_service(), Deadline(seconds), Pulse())


def read_state(admin: Platform, integration: Row) -> Row:
    with admin.stack.connect() as connection:
        (state,) = connection.execute(
            "select state from integration_schedules where integration_id = %s", (integration["id"],)
        ).fetchone() or ({},)
    return dict(state)


def change(fake: FakeGolioth, device: str, **metadata: Any) -> None:
    """Let Golioth say this of the device, which may be new."""
    document = fake.store["devices"].setdefault(device, {"id": device, "tagIds": [], "metadata": {}})
    document["metadata"] |= {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in metadata.items()
    }


def test_log_lines_are_stored_once_however_often_they_are_seen(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_logs=True)
    at = datetime.now(UTC)
    log(
        fake,
        "pump",
        at - timedelta(seconds=5),
        "Valve opened",
        level="WARN",
        module="valve",
        metadata={"n": 1},
    )
    fake.store["logs"]["rows"][0] |= {"deviceId": fake.store["logs"]["rows"][0].pop("device_id")}
    log(fake, "pump", at - timedelta(seconds=4), "Valve closed")

    counts = [look(admin), look(admin)]

    assert [(each["stored"], each["duplicates"]) for each in counts] == [(2, 0), (0, 2)]
    first, second = read_messages(admin, integration)
    assert (first["kind"], first["topic"], first["device"], first["at"]) == (
        "log",
        "valve",
        "pump",
        at - timedelta(seconds=5),
    )
    assert first["payload"] == {
        "level": "WARN",
        "module": "valve",
        "message": "Valve opened",
        "metadata": {"n": 1},
        "type": "LOGGING",
    }
    assert second["payload"]["message"] == "Valve closed"


def test_more_lines_than_one_answer_holds_are_all_stored(admin: Platform, fake: FakeGolioth) -> None:
    fake.most_per_page = 7
    integration = connect_golioth(admin, fake, poll_logs=True)
    begin = datetime.now(UTC) - timedelta(seconds=60)
    for number in range(60):
        log(fake, "pump", begin + timedelta(milliseconds=number * number), str(number))

    look(admin)

    assert [row["payload"]["message"] for row in read_messages(admin, integration)] == [
        str(n) for n in range(60)
    ]


def test_what_postgres_can_not_hold_is_mended_and_kept_as_it_came(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_logs=True)
    log(fake, "pump", datetime.now(UTC) - timedelta(seconds=5), "before \x00 after", module="a\x00b")

    counts = look(admin)

    (row,) = read_messages(admin, integration)
    assert (counts["received"], counts["failed"], row["error"]) == (1, 0, None)
    assert row["payload"]["message"] == "before \ufffd after"
    assert orjson.loads(row["raw"])["message"] == "before \x00 after"
    assert "NUL" in row["remark"]


def test_an_outage_is_told_in_golioths_words_and_loses_nothing(admin: Platform, fake: FakeGolioth) -> None:
    fake.most_per_page = 5
    integration = connect_golioth(admin, fake, poll_logs=True)
    for number in range(20):
        log(fake, "pump", datetime.now(UTC) - timedelta(seconds=100 - number), str(number))
    log(fake, "pump", datetime.now(UTC) - timedelta(seconds=1), "last")
    fake.faults += [Fault("logs", times=8, seconds=0.001), Fault("logs", times=1, status=403)]

    counts = [look(admin)]
    shown = admin.call("GET", f"/integrations/{integration['id']}").json()["integration"]
    counts.append(look(admin))

    assert [(each["failed_sessions"], each["sessions"]) for each in counts] == [(1, 0), (0, 1)]
    assert (shown["status"], "injected" in shown["error_message"]) == ("error", True)
    assert counts[0]["stored"] + counts[1]["stored"] == 21
    assert len(read_messages(admin, integration)) == 21


def test_the_first_look_at_devices_makes_no_messages(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True)
    for number in range(250):
        change(fake, f"d{number}", lastSeenOnline=NOW, lastSettingsStatus={"status": "out-of-sync"})

    counts = [look(admin), look(admin)]

    assert [each["received"] for each in counts] == [0, 0]
    assert read_messages(admin, integration) == []


def test_what_changes_is_told_once_with_the_devices_status(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True)
    change(fake, "pump", lastSeenOnline=NOW - timedelta(days=1))
    look(admin)
    at = datetime.now(UTC)
    update = {
        "package": "main",
        "version": "1.2.3",
        "target": "1.3.0",
        "state": "downloading",
        "stateCode": 1,
    }
    update["time"] = (at + timedelta(seconds=1)).isoformat()
    told = {"status": "out-of-sync", "errors": [{"code": 1, "key": "LOOP_DELAY"}]}
    change(fake, "pump", lastSeenOnline=at, lastReport=at + timedelta(seconds=2), update={"main": update})
    change(fake, "pump", lastSettingsStatus=told)

    counts = [look(admin), look(admin)]

    assert [each["stored"] for each in counts] == [3, 0]
    rows = read_messages(admin, integration)
    assert [(row["kind"], row["topic"], row["payload"]) for row in rows] == [
        ("state", "status", {"status": "online"}),
        ("event", "firmware/main", update),
        ("state", "settings", told),
    ]
    assert {(row["device"], row["status"]) for row in rows} == {("pump", "online")}


def test_a_device_that_went_is_offline_whatever_else_is_told_of_it(
    admin: Platform, fake: FakeGolioth
) -> None:
    integration = connect_golioth(admin, fake, poll_state=True)
    change(fake, "pump")
    look(admin)
    at = datetime.now(UTC)
    change(fake, "pump", lastSeenOnline=at, lastSeenOffline=at + timedelta(seconds=1), lastReport=at)
    change(fake, "pump", lastSettingsStatus={"status": "out-of-sync"})
    change(fake, "pump", update={"main": {"time": (at + timedelta(seconds=2)).isoformat()}})

    look(admin)

    rows = read_messages(admin, integration)
    assert [row["payload"].get("status") for row in rows if row["topic"] == "status"] == ["online", "offline"]
    assert (len(rows), {row["status"] for row in rows}) == (4, {"offline"})


@pytest.mark.parametrize(("heard_after", "status"), [(0.001, "online"), (-1, "offline")])
def test_a_going_that_is_looked_at_late_counts_as_of_when_it_was(
    admin: Platform, fake: FakeGolioth, heard_after: float, status: str
) -> None:
    integration = connect_golioth(admin, fake, poll_state=True, poll_logs=True)
    change(fake, "pump")
    look(admin)
    gone = datetime.now(UTC)
    log(fake, "pump", gone + timedelta(seconds=heard_after), "Still here")
    change(fake, "pump", lastSeenOffline=gone, lastSettingsStatus={"status": "out-of-sync"})

    look(admin)

    rows = read_messages(admin, integration)
    assert {"status", "settings"} < {row["topic"] for row in rows}
    assert {row["status"] for row in rows} == {status}


def test_settings_that_are_in_sync_again_are_told(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True)
    for status in ("in-sync", "out-of-sync", "out-of-sync", "in-sync", "out-of-sync"):
        change(fake, "pump", lastSettingsStatus={"status": status})
        look(admin)

    told = Counter(row["payload"]["status"] for row in read_messages(admin, integration))

    assert told == {"out-of-sync": 2, "in-sync": 1}


def test_a_look_whose_end_was_lost_stores_nothing_twice(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True, poll_logs=True)
    change(fake, "pump")
    look(admin)
    before = read_state(admin, integration)
    at = datetime.now(UTC)
    change(fake, "pump", lastSeenOnline=at, lastSettingsStatus={"status": "out-of-sync"})
    log(fake, "pump", at - timedelta(seconds=5), "once")

    first = look(admin)
    with admin.stack.connect() as connection:
        connection.execute("update integration_schedules set state = %s", (orjson.dumps(before).decode(),))
    second = look(admin)

    assert (first["stored"], second["stored"], second["duplicates"]) == (3, 0, 3)


def test_a_look_that_is_cut_off_goes_on_at_its_page_at_once(admin: Platform, fake: FakeGolioth) -> None:
    fake.most_per_page = 1
    integration = connect_golioth(admin, fake, poll_state=True)
    for number in range(30):
        change(fake, f"d{number:02}")
    look(admin)
    fake.calls.clear()
    for number in range(30):
        change(fake, f"d{number:02}", lastSeenOnline=datetime.now(UTC))
    fake.faults.append(Fault("devices", times=1000, seconds=0.05))

    counts = [look(admin, seconds=0.8)]
    with admin.stack.connect() as connection:
        (due,) = connection.execute("select due_at <= now() from integration_schedules").fetchone() or ()
    fake.faults.clear()
    counts.append(look(admin))

    assert 0 < counts[0]["stored"] < 30
    assert counts[0]["stored"] + counts[1]["stored"] == 30
    assert (due, counts[0]["failed_sessions"]) == (True, 0)
    assert len(fake.calls) <= 32
    assert len(read_messages(admin, integration)) == 30


def test_golioth_that_does_not_answer_at_all_is_an_error(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True, session_seconds=1)
    fake.faults.append(Fault(times=1000, seconds=1.5))

    counts = look(admin)

    shown = admin.call("GET", f"/integrations/{integration['id']}").json()["integration"]
    assert counts["failed_sessions"] == 1
    assert (shown["status"], "did not answer" in shown["error_message"]) == ("error", True)


def test_what_is_kept_of_many_devices_is_little(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True)
    fine, wrong = {"status": "in-sync", "errors": []}, {"status": "out-of-sync", "errors": [{"code": 1}] * 10}
    for number in range(3_000):
        change(fake, f"{number:024}", lastSeenOnline=NOW, lastSettingsStatus=wrong if number % 2 else fine)

    look(admin)

    assert len(orjson.dumps(read_state(admin, integration))) < 50_000
    activity = admin.call("GET", f"/integrations/{integration['id']}/activity").json()["activity"]
    assert [(entry["level"], "not in sync" in entry["message"]) for entry in activity] == [("warning", True)]


def test_devices_without_the_tag_are_left_alone(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True, sync_tags=["field"])
    change(fake, "lab")
    change(fake, "field")
    fake.store["devices"]["field"]["tagIds"] = ["x", "field"]
    look(admin)
    for device in ("lab", "field"):
        change(fake, device, lastSeenOnline=datetime.now(UTC))

    look(admin)

    assert [row["device"] for row in read_messages(admin, integration)] == ["field"]


def test_with_both_switched_off_nothing_is_asked_and_nothing_kept(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake)

    counts = look(admin)

    assert (counts, fake.calls, read_state(admin, integration)) == ({"sessions": 1}, [], {})


def test_the_scheduler_looks_again_after_its_interval(admin: Platform, fake: FakeGolioth) -> None:
    integration = connect_golioth(admin, fake, poll_state=True, poll_interval_seconds=3_600)
    change(fake, "pump")

    run_tick(admin.stack, idle_seconds=0.3)

    with admin.stack.connect() as connection:
        (wait,) = connection.execute("select due_at - now() from integration_schedules").fetchone() or ()
    assert timedelta(minutes=55) < wait <= timedelta(hours=1)
    shown = admin.call("GET", f"/integrations/{integration['id']}").json()["integration"]
    assert (shown["status"], shown["sync_status"]) == ("active", "ok")
