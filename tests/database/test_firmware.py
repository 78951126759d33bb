"""The history of updates: each thing once, in its order, whatever is heard how often; and how rollouts end."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages

WALK = [("downloading", "10:01"), ("downloaded", "10:02"), ("updated", "10:03")]


def at(time: str) -> str:
    return f"2026-03-01T{time}:00+00:00"


def make_rollout(service: Service, integration_id: str, **columns: Any) -> str:
    values = {"status": "running", "started_at": at("10:00"), "begun_at": at("10:00")} | columns
    names = ", ".join(values)
    return str(
        service.one(
            "insert into firmware_rollouts (organization_id, integration_id, name, target, artifacts, "
            f"{names}) values (%s, %s, '1.3', '{{\"cohort_id\": \"c\"}}', '[]', {', '.join(['%s'] * len(values))})"
            " returning id",
            service.organization_id,
            integration_id,
            *values.values(),
        )
    )


def make_report(state: str | None, time: str, **fields: Any) -> Row:
    report = {
        "device": "a",
        "package": "main",
        "ours": True,
        "to_version": "1.3",
        "event": state,
        "state": state,
    }
    return report | {"at": at(time)} | fields


def say(state: str, time: str, **fields: Any) -> Row:
    """What a device says of itself, which is no event."""
    return make_report(state, time, event=None, listed=True, **fields)


def record(service: Service, rollout_id: str, *reports: Row, state: Row | None = None) -> None:
    saved = Jsonb(state) if state is not None else None
    service.run("select record_firmware(%s, %s, %s)", rollout_id, Jsonb(list(reports)), saved)


def read_updates(service: Service, **where: Any) -> list[Row]:
    rows = service.run("select * from firmware_updates order by external_id, to_version")
    return [row for row in rows if all(row[name] == value for name, value in where.items())]


def settle(
    service: Service,
    rollout_id: str,
    *,
    more: bool = False,
    swept: bool = True,
    missed_since: str = "-infinity",
) -> Row:
    settled: Row = service.one(
        "select settle_rollout(p_rollout_id => %s, p_more => %s, p_swept => %s, p_missed_since => %s)",
        rollout_id,
        more,
        swept,
        missed_since,
    )
    return settled


@pytest.fixture
def rollout_id(service: Service) -> str:
    # Others leave their history behind, as it is meant to be.
    service.connection.execute("delete from firmware_updates")
    integration_id = service.make_integration("golioth")
    service.ingest(integration_id, make_messages(1, "a"))
    return make_rollout(service, integration_id)


def test_an_update_is_one_row_with_its_steps_and_sets_what_the_device_runs(
    service: Service, rollout_id: str
) -> None:
    record(service, rollout_id, *(make_report(*step, from_version="1.2") for step in WALK))

    (update,) = read_updates(service)
    statement = "select id, firmware_version from devices where external_id = 'a' and integration_id = %s"
    (device,) = service.run(statement, update["integration_id"])
    assert [step["state"] for step in update["steps"]] == ["downloading", "downloaded", "updated"]
    assert (update["state"], update["at"].isoformat()) == ("updated", at("10:03"))
    assert (update["from_version"], update["to_version"]) == ("1.2", "1.3")
    assert (update["device_id"], device["firmware_version"]) == (device["id"], "1.3")


def test_an_event_heard_twice_is_one_step_whatever_the_session_calls_its_time_zone(
    service: Service, rollout_id: str
) -> None:
    events = [make_report(*step) for step in WALK]

    record(service, rollout_id, *events)
    service.connection.execute("set local timezone to 'Asia/Kolkata'")
    record(service, rollout_id, *events, *events[:1])

    (update,) = read_updates(service)
    assert len(update["steps"]) == 3


@pytest.mark.parametrize("order", list(permutations(WALK)))
def test_the_order_in_which_events_are_heard_does_not_matter(
    service: Service, rollout_id: str, order: list[tuple[str, str]]
) -> None:
    for step in order:
        record(service, rollout_id, make_report(*step))

    (update,) = read_updates(service)
    assert update["state"] == "updated"
    assert [step["state"] for step in update["steps"]] == [state for state, _ in WALK]


def test_a_device_that_says_what_is_known_adds_no_step(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloading", "10:01"))

    record(service, rollout_id, say("downloading", "10:02"), say("idle", "10:03"))
    record(service, rollout_id, say("downloaded", "09:00"))

    (update,) = read_updates(service)
    assert len(update["steps"]) == 1
    assert update["listed_at"] is not None


def test_what_a_device_said_of_itself_gives_way_to_the_event_that_tells_the_same(
    service: Service, rollout_id: str
) -> None:
    record(service, rollout_id, say("downloaded", "10:02"), say("failed", "10:04", message="bad image"))

    record(service, rollout_id, make_report("downloaded", "10:01"), make_report("failed", "10:04"))

    (update,) = read_updates(service)
    told = [(step["state"], "event" in step) for step in update["steps"]]
    assert told == [("downloaded", True), ("failed", True), ("failed", False)]


def test_a_device_that_had_downloaded_and_is_idle_again_waits_anew(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloaded", "10:02"))

    record(service, rollout_id, say("idle", "10:05"))

    (update,) = read_updates(service)
    assert (update["state"], update["message"]) == ("pending", "It is idle again with its old version.")


def test_an_idle_event_is_history_only_and_heard_again_stays_one(service: Service, rollout_id: str) -> None:
    events = [make_report("idle", "10:00"), make_report("downloaded", "10:02")]

    record(service, rollout_id, *events)
    record(service, rollout_id, *events)

    (update,) = read_updates(service)
    assert [step.get("state") for step in update["steps"]] == [None, "downloaded"]


def test_what_can_not_be_told_is_kept_without_changing_the_state(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloading", "10:01"))

    record(service, rollout_id, make_report(None, "10:02", event="MANIFEST_SENT"))

    (update,) = read_updates(service)
    assert update["state"] == "downloading"
    assert update["steps"][-1]["event"] == "MANIFEST_SENT"


def test_the_last_fifty_steps_are_kept(service: Service, rollout_id: str) -> None:
    moments = [f"10:{minute:02}" for minute in range(60)]

    record(service, rollout_id, *(make_report("downloading", each) for each in moments))

    (update,) = read_updates(service)
    assert len(update["steps"]) == 50
    assert update["steps"][-1]["at"].startswith("2026-03-01T10:59")


def test_an_update_of_elsewhere_is_history_without_a_rollout(service: Service, rollout_id: str) -> None:
    other = {"to_version": "1.1", "ours": False}

    record(service, rollout_id, make_report("updated", "10:01", **other), make_report("downloading", "10:02"))
    record(service, rollout_id, make_report("updated", "10:01", **other))

    old, ours = read_updates(service)
    assert (old["rollout_id"], old["to_version"], len(old["steps"])) == (None, "1.1", 1)
    assert str(ours["rollout_id"]) == rollout_id


def test_a_device_that_becomes_known_later_gets_its_history(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloading", "10:01", device="late"))
    (integration_id,) = service.run("select integration_id from firmware_rollouts")[0].values()
    service.ingest(integration_id, make_messages(1, "late"))

    record(service, rollout_id, make_report("updated", "10:02", device="late"))

    (update,) = read_updates(service, external_id="late")
    (device,) = service.run("select id, firmware_version from devices where external_id = 'late'")
    assert (update["device_id"], device["firmware_version"]) == (device["id"], "1.3")


def test_the_resume_point_is_saved_with_what_was_heard(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloading", "10:01"), state={"token": "page-100"})
    record(service, rollout_id)

    assert service.one("select state from firmware_rollouts") == {"token": "page-100"}


def test_a_rollout_ends_when_all_devices_are_through_with_one_alert_for_all_that_failed(
    service: Service, rollout_id: str
) -> None:
    states = {"a": "updated", "b": "failed", "c": "failed", "d": "downloading"}
    record(service, rollout_id, *(make_report(state, "10:01", device=name) for name, state in states.items()))

    running = settle(service, rollout_id)
    record(service, rollout_id, make_report("updated", "10:02", device="d"))
    done = settle(service, rollout_id)
    again = settle(service, rollout_id)

    assert (running["status"], done["status"], again["status"]) == ("running", "done", "done")
    assert (done["counts"]["devices"], done["counts"]["updated"], done["counts"]["failed"]) == (4, 2, 2)
    alerts = service.run("select kind, message from alerts")
    assert [alert["message"] for alert in alerts] == ["Rollout 1.3: 2 of 4 devices updated, 2 failed."]
    activity = service.run("select kind, level from integration_activity where kind = 'rollout.done'")
    assert [row["level"] for row in activity] == ["warning"]


def test_a_rollout_without_failures_resolves_the_alert_of_the_one_before(
    service: Service, rollout_id: str
) -> None:
    record(service, rollout_id, make_report("failed", "10:01"))
    settle(service, rollout_id)
    (integration_id,) = service.run("select integration_id from firmware_rollouts")[0].values()
    second = make_rollout(service, integration_id)
    record(service, second, make_report("updated", "11:01"))

    settle(service, second)

    assert [row["open"] for row in service.run("select resolved_at is null as open from alerts")] == [False]


def test_a_rollout_does_not_end_before_all_events_and_devices_were_looked_through(
    service: Service, rollout_id: str
) -> None:
    record(service, rollout_id, make_report("updated", "10:01"))

    assert settle(service, rollout_id, swept=False)["status"] == "running"
    assert settle(service, rollout_id, more=True)["status"] == "running"
    assert settle(service, rollout_id)["status"] == "done"


def test_a_device_that_left_the_target_is_not_waited_for(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, say("idle", "09:00"), say("updated", "10:01", device="b"))
    service.connection.execute(
        "update firmware_updates set listed_at = now() - interval '1 hour' where external_id = 'a'"
    )

    settled = settle(service, rollout_id, missed_since=service.one("select now() - interval '1 minute'"))

    assert (settled["status"], settled["counts"]["failed"]) == ("done", 1)
    assert "not among those of the target" in read_updates(service, external_id="a")[0]["message"]


def test_what_is_not_updated_in_time_has_failed(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloading", "10:01"))
    service.connection.execute("update firmware_rollouts set ends_at = now()")

    settled = settle(service, rollout_id, swept=False)

    (update,) = read_updates(service)
    assert (settled["status"], update["state"]) == ("done", "failed")
    assert "time limit" in update["message"]


def test_a_device_with_two_packages_counts_once_as_the_one_that_is_least_far(
    service: Service, rollout_id: str
) -> None:
    record(
        service,
        rollout_id,
        make_report("updated", "10:01"),
        make_report("downloading", "10:01", package="modem"),
    )

    counts = settle(service, rollout_id)["counts"]

    assert (counts["devices"], counts["downloading"], counts["updated"]) == (1, 1, 0)


def test_the_history_outlives_a_deleted_integration_and_does_not_say_that_it_runs(
    service: Service, rollout_id: str
) -> None:
    record(service, rollout_id, make_report("downloading", "10:01"))

    service.connection.execute("delete from device_integrations")

    (update,) = read_updates(service)
    assert update["state"] == "failed"
    assert service.run("select from firmware_rollouts") == []


@pytest.mark.usefixtures("rollout_id")
def test_a_job_is_planned_for_open_rollouts_and_not_at_once_after_one_that_failed(service: Service) -> None:
    begun = [service.one("select plan_rollouts()") for _ in range(2)]
    service.connection.execute("update integration_jobs set status = 'failed', finished_at = now()")
    begun.append(service.one("select plan_rollouts()"))
    service.connection.execute("update integration_jobs set finished_at = now() - interval '11 minutes'")
    begun.append(service.one("select plan_rollouts()"))

    assert begun == [1, 0, 0, 1]


def age_updates(service: Service, days: int) -> None:
    service.connection.execute(
        "update firmware_updates set created_at = now() - make_interval(days => %s),"
        " at = now() - make_interval(days => %s)",
        [days, days],
    )


def test_updates_are_forgotten_past_the_retention_in_batches_and_their_rollout_with_them(
    service: Service, rollout_id: str
) -> None:
    record(service, rollout_id, *(make_report("updated", "10:01", device=name) for name in "abcde"))
    service.connection.execute("update firmware_rollouts set status = 'done', finished_at = now()")
    age_updates(service, 366)
    record(service, rollout_id, make_report("updated", "10:02", device="late"))

    young = service.one("select prune_firmware(p_retention_days => 400)")
    first = service.one("select prune_firmware(p_limit => 3)")
    service.connection.execute("update firmware_rollouts set finished_at = now() - interval '366 days'")
    rest = service.one("select prune_firmware()")

    counts = [(each["firmware_updates"], each["firmware_rollouts"]) for each in (young, first, rest)]
    assert counts == [(0, 0), (3, 0), (2, 1)]
    assert [update["external_id"] for update in read_updates(service)] == ["late"]


def test_what_an_open_rollout_has_is_kept_however_old(service: Service, rollout_id: str) -> None:
    record(service, rollout_id, make_report("downloading", "10:01"))
    age_updates(service, 1_000)

    assert service.one("select prune_firmware()") == {"firmware_updates": 0, "firmware_rollouts": 0}


def test_ten_thousand_devices_are_one_row_each(service: Service, rollout_id: str) -> None:
    names = [f"device-{number}" for number in range(10_000)]

    for first in range(0, len(names), 500):
        batch = names[first : first + 500]
        record(service, rollout_id, *(say("idle", "10:00", device=name) for name in batch))

    assert settle(service, rollout_id)["counts"]["pending"] == 10_000
