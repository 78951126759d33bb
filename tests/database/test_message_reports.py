"""What messages tell beside what is stored of them: facts of devices, whatever stands there, and of commands."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_columns, make_messages
from tests.database.tenant import Tenant, open_tenant
from tests.database.test_command_queue import lease, send
from tests.stack import Stack
from tests.waiting import wait_until


def tell(service: Service, integration: Any, report: dict[str, Any], **fields: Any) -> dict[str, Any]:
    (message,) = make_messages(1, event_id=str(uuid.uuid4()), report=report, **fields)
    return dict(service.ingest(integration, [message]))


def metadata_of(service: Service, integration: Any) -> Any:
    return service.one("select metadata from devices where integration_id = %s", integration)


def test_facts_are_kept_and_gateways_from_before_stay(service: Service) -> None:
    integration = service.make_integration()

    tell(service, integration, {"facts": {"battery": 80, "gateways": ["b", "a"]}, "command": None})
    tell(service, integration, {"facts": {"battery": 79.5, "gateways": ["c"]}, "command": None})

    assert metadata_of(service, integration)["lorawan"] == {"battery": 79.5, "gateways": ["a", "b", "c"]}


def test_of_gateways_those_that_hear_it_now_are_among_fifty(service: Service) -> None:
    integration = service.make_integration()
    for number in range(6):
        heard = [f"g{number * 10 + each:03}" for each in range(10)]
        tell(service, integration, {"facts": {"gateways": heard}, "command": None})

    kept = metadata_of(service, integration)["lorawan"]["gateways"]

    assert len(kept) == 50
    assert kept[-10:] == [f"g{number:03}" for number in range(50, 60)]


def test_the_same_again_writes_no_device(service: Service) -> None:
    integration = service.make_integration()
    report = {"facts": {"battery": 80, "gateways": ["a"]}, "command": None}
    tell(service, integration, report, observed_at="2026-01-02T03:04:05+00:00")
    before = service.one("select xmin::text from devices where integration_id = %s", integration)

    tell(service, integration, report, observed_at="2026-01-02T03:04:05+00:00")

    assert service.one("select xmin::text from devices where integration_id = %s", integration) == before


@pytest.mark.parametrize(
    "written", ["x", 5, None, [1], {"gateways": "x"}, {"gateways": {"a": 1}}, {"gateways": [None, 1]}]
)
def test_whatever_a_member_has_written_there_nothing_is_lost(service: Service, written: Any) -> None:
    integration = service.make_integration()
    tell(service, integration, {"facts": {"battery": 1}, "command": None})
    service.run(
        "update devices set metadata = %s where integration_id = %s returning id",
        Jsonb({"lorawan": written, "a": 1}),
        integration,
    )

    counts = tell(service, integration, {"facts": {"battery": 2, "gateways": ["g"]}, "command": None})

    kept = metadata_of(service, integration)
    assert (counts["stored"], kept["a"], kept["lorawan"]["battery"]) == (1, 1, 2)
    assert "g" in kept["lorawan"]["gateways"]


def test_where_the_metadata_is_full_the_message_is_stored_without_the_facts(service: Service) -> None:
    integration = service.make_integration()
    tell(service, integration, {"facts": {"battery": 1}, "command": None})
    change = "update devices set metadata = %s where integration_id = %s returning id"
    service.run(change, Jsonb({"full": "x" * 65_500}), integration)

    counts = tell(service, integration, {"facts": {"battery": 2, "gateways": ["g" * 20]}, "command": None})

    assert counts["stored"] == 1
    assert list(metadata_of(service, integration)) == ["full"]


def test_a_report_of_no_command_of_this_integration_changes_nothing(service: Service) -> None:
    integration = service.make_integration()

    counts = tell(
        service, integration, {"facts": None, "command": {"stage": "acknowledged", "id": str(uuid.uuid4())}}
    )

    assert counts["stored"] == 1


def test_who_is_only_told_about_is_neither_seen_nor_online(service: Service) -> None:
    integration = service.make_integration()
    service.ingest(integration, make_messages(1, device_status="unheard"))
    first = service.run("select status, last_seen_at from devices where integration_id = %s", integration)

    service.ingest(integration, make_messages(2, observed_at="2026-01-02T03:04:05+00:00"))
    service.ingest(
        integration, make_messages(1, device_status="offline", observed_at="2026-01-02T03:04:06+00:00")
    )
    service.ingest(integration, make_messages(1, device_status="unheard"))

    last = service.run("select status, last_seen_at from devices where integration_id = %s", integration)
    assert [dict(row) for row in first] == [{"status": "unknown", "last_seen_at": None}]
    assert last[0]["status"] == "offline"
    assert last[0]["last_seen_at"].isoformat() == "2026-01-02T03:04:06+00:00"
    assert (
        service.one(
            "select count(*) from device_messages where integration_id = %s and device_id is null",
            integration,
        )
        == 0
    )


def come_or_go(service: Service, integration: Any, status: str, order: str, at: str | None = None) -> str:
    presence = {"status": status, "order": order, "at": at}
    tell(
        service, integration, {"facts": None, "command": None, "presence": presence}, device_status="unheard"
    )
    return str(service.one("select status from devices where integration_id = %s", integration))


def test_coming_and_going_counts_by_its_order_and_not_by_when_it_arrives(service: Service) -> None:
    integration = service.make_integration()

    seen = [
        come_or_go(service, integration, *said)
        for said in (
            ("online", "0002"),
            ("offline", "0001"),
            ("offline", "0003"),
            ("online", "0003"),
            ("online", "0004"),
        )
    ]

    assert seen == ["online", "online", "offline", "offline", "online"]


def test_a_going_that_is_older_than_what_the_device_has_said_is_none(service: Service) -> None:
    integration = service.make_integration()
    (message,) = make_messages(1, event_id="said", observed_at="2026-01-02T03:04:06+00:00")
    service.ingest(integration, [message])

    late = come_or_go(service, integration, "offline", "0001", "2026-01-02T03:04:05+00:00")
    newer = come_or_go(service, integration, "offline", "0002", "2026-01-02T03:04:07+00:00")

    assert (late, newer) == ("online", "offline")


def say_at(service: Service, integration: Any, at: str) -> str:
    """The status of the only device once it has said something at that moment, as far as it is told."""
    (message,) = make_messages(1, event_id=str(uuid.uuid4()), observed_at=at)
    service.ingest(integration, [message])
    return str(service.one("select status from devices where integration_id = %s", integration))


def test_what_a_device_said_before_it_went_and_comes_late_does_not_bring_it_back(service: Service) -> None:
    integration = service.make_integration()
    first = say_at(service, integration, "2026-01-02T03:04:00+00:00")
    gone = come_or_go(service, integration, "offline", "0001", "2026-01-02T03:04:05+00:00")

    late = say_at(service, integration, "2026-01-02T03:04:04+00:00")
    later = say_at(service, integration, "2026-01-02T03:04:06+00:00")
    again = say_at(service, integration, "2026-01-02T03:04:04+00:00")

    assert (first, gone, late, later, again) == ("online", "offline", "offline", "online", "online")


def test_in_one_batch_too_a_going_counts_before_what_is_older(service: Service) -> None:
    integration = service.make_integration()
    presence = {"status": "offline", "order": "0001", "at": "2026-01-02T03:04:05+00:00"}
    report = {"facts": None, "command": None, "presence": presence}
    (gone,) = make_messages(1, event_id="gone", report=report, device_status="unheard")
    (older,) = make_messages(1, event_id="older", observed_at="2026-01-02T03:04:04+00:00")

    service.ingest(integration, [gone, older])

    assert service.one("select status from devices where integration_id = %s", integration) == "offline"


def test_a_going_that_is_told_as_of_tomorrow_keeps_nobody_away(stack: Stack) -> None:
    with open_tenant(stack) as tenant:
        integration = tenant.integrate()
        tomorrow = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
        tell_about(tenant, integration, {"presence": {"status": "offline", "order": "1", "at": tomorrow}})
        gone = tenant.own("select status from devices where integration_id = %(id)s", id=integration)

        tell_about(tenant, integration, {}, device_status=None)

        said = tenant.own("select status from devices where integration_id = %(id)s", id=integration)
    assert (gone, said) == ("offline", "online")


def test_who_is_told_to_have_come_was_seen_then(service: Service) -> None:
    integration = service.make_integration()

    come_or_go(service, integration, "online", "0001", "2026-01-02T03:04:05+00:00")

    seen = service.one(
        "select to_char(last_seen_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') from devices"
        " where integration_id = %s",
        integration,
    )
    assert seen == "2026-01-02 03:04:05"


@pytest.mark.parametrize(
    ("first", "second", "place", "kept"),
    [
        (
            {"presence": {"status": "online", "order": "1", "at": None}},
            {"presence": {"status": "offline", "order": "2", "at": None}},
            "{presence,order}",
            "2",
        ),
        (
            {"facts": {"battery": 80, "gateways": ["a"]}},
            {"facts": {"battery": 79, "gateways": ["b"]}},
            "{lorawan}",
            {"battery": 79, "gateways": ["a", "b"]},
        ),
    ],
)
def test_somebody_else_who_writes_the_device_meanwhile_undoes_nothing_that_is_told(
    stack: Stack, first: dict[str, Any], second: dict[str, Any], place: str, kept: object
) -> None:
    with open_tenant(stack) as tenant, stack.connect() as writing, ThreadPoolExecutor(1) as pool:
        integration = tenant.integrate()
        say = partial(tell_about, tenant, integration)
        say(first)
        writing.execute(
            "update devices set metadata = metadata || '{\"note\": 1}' where integration_id = %s",
            (integration,),
        )

        said = pool.submit(say, second)
        wait_until(
            lambda: tenant.own(
                "select exists (select from pg_stat_activity where %(held)s = any (pg_blocking_pids(pid)))",
                held=writing.info.backend_pid,
            ),
            "nobody waits for the device",
        )
        writing.commit()
        said.result(timeout=60)

        note, found, status = tenant.own(
            "select jsonb_build_array(d.metadata -> 'note', d.metadata #> %(place)s::text[], d.status) from devices d"
            " where d.integration_id = %(id)s",
            place=place,
            id=integration,
        )
    assert (note, found) == (1, kept)
    assert status == ("offline" if "presence" in second else "unknown")


def tell_about(
    tenant: Tenant, integration: str, told: dict[str, Any], device_status: str | None = "unheard"
) -> None:
    report = {"facts": None, "command": None, "presence": None} | told
    messages = make_messages(1, report=report, device_status=device_status)
    tenant.serve(
        "select ingest_messages(%(id)s, %(messages)s)", id=integration, messages=Jsonb(make_columns(messages))
    )


def take_remote(service: Service, integration: Any, **remote: Any) -> str:
    """What a sync has made of the status of the only device, when the provider says this."""
    token = str(uuid.uuid4())
    service.as_owner("delete from integration_jobs")
    job = service.one(
        "insert into integration_jobs (organization_id, integration_id, kind, status, lease_token)"
        " values (%s, %s, 'sync', 'running', %s) returning id",
        service.organization_id,
        integration,
        token,
    )
    device = service.one("select external_id from devices where integration_id = %s", integration)
    told = {"id": device, "name": device, "hardware_ids": [], "tags": []} | remote
    options = {
        "direction": "import",
        "conflicts": "manual",
        "create_missing": True,
        "update_existing": True,
        "room": 100,
        "online_minutes": 60,
        "dry_run": False,
    }
    service.one("select sync_devices(%s, %s, %s, %s)", job, token, Jsonb([told]), Jsonb(options))
    return str(service.one("select status from devices where integration_id = %s", integration))


def test_a_sync_leaves_who_has_gone_as_it_is_until_it_is_heard_again(service: Service) -> None:
    integration, now = service.make_integration("azure_iot"), datetime.now(UTC)
    heard, gone, later = ((now - timedelta(seconds=seconds)).isoformat() for seconds in (90, 60, 30))
    come_or_go(service, integration, "online", "1", heard)
    come_or_go(service, integration, "offline", "2", gone)

    first = take_remote(service, integration, last_report=heard)
    second = take_remote(service, integration, last_report=later)

    assert (first, second) == ("offline", "online")


@pytest.mark.parametrize("at", ["x", "2026-99-99", "99999999999-01-01", {}, [1], None, "infinity", 5])
def test_whatever_is_written_for_when_it_went_a_sync_goes_on(service: Service, at: Any) -> None:
    integration, heard = service.make_integration("azure_iot"), datetime.now(UTC).isoformat()
    come_or_go(service, integration, "online", "1", heard)
    written = Jsonb({"presence": {"status": "offline", "order": "2", "at": at}})
    service.run(
        "update devices set metadata = %s where integration_id = %s returning 1", written, integration
    )

    assert take_remote(service, integration, last_report=heard) in {"online", "offline"}
    assert say_at(service, integration, heard) in {"online", "offline"}


@pytest.mark.parametrize("written", ["x", 5, [1], {"order": {"a": 1}}, {"order": None}])
def test_whatever_stands_where_the_order_is_kept_nothing_is_lost(service: Service, written: Any) -> None:
    integration = service.make_integration()
    come_or_go(service, integration, "online", "0001")
    service.one(
        "update devices set metadata = %s where integration_id = %s returning 1",
        Jsonb({"presence": written}),
        integration,
    )

    assert come_or_go(service, integration, "offline", "~") in {"online", "offline"}


def report(service: Service, integration: Any, stage: str, reference: str, error: str | None = None) -> None:
    told = {"stage": stage, "id": None, "reference": reference, "error": error}
    tell(service, integration, {"facts": None, "command": told}, device_status="unheard")


def end(service: Service, row: Row, outcome: str = "sent", **more: Any) -> None:
    result = {"id": row["id"], "lease_token": row["lease_token"], "outcome": outcome, "retry_seconds": 0}
    service.one(
        "select finish_commands(%s)",
        Jsonb([result | {"result": {"stage": "queued"}, "milliseconds": 1} | more]),
    )


def read(service: Service, row: Row) -> tuple[Any, ...]:
    (found,) = service.run(
        "select status, result ->> 'stage' as stage, error, early_reports from device_commands where id = %s",
        row["id"],
    )
    return tuple(found.values())


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        (["sent"], ("sent", "sent", None, [])),
        (["sent", "acknowledged"], ("confirmed", "acknowledged", None, [])),
        (["acknowledged", "sent"], ("confirmed", "acknowledged", None, [])),
        (["sent", "failed"], ("failed", "failed", "why", [])),
        (["expired"], ("expired", "expired", "why", [])),
    ],
)
def test_what_is_told_before_the_answer_is_recorded_is_heeded_with_it(
    service: Service, stages: list[str], told: tuple[Any, ...]
) -> None:
    integration = send(service, 2)
    mine, other = lease(service)
    for stage in stages:
        report(service, integration, stage, "mine", "why")
    report(service, integration, "failed", "nobody's", "x")

    end(service, mine, reference="mine")
    end(service, other, reference="other")

    assert read(service, mine) == told
    assert read(service, other) == ("sent", "queued", None, [])
    service.connection.execute("reset role")
    counted = service.one(
        "select sum(commands) from private.metric_tallies where integration_id = %s", integration
    )
    assert counted == len((mine, other))


def test_what_is_told_while_an_answer_is_lost_is_heeded_once_its_name_is_found(service: Service) -> None:
    integration = send(service, 1)
    (first,) = lease(service)
    end(service, first, "retry", result=None, error="timeout")
    report(service, integration, "acknowledged", "mine")
    (again,) = lease(service)

    end(service, again, reference="mine")

    assert read(service, first) == ("confirmed", "acknowledged", None, [])


def test_a_command_that_fails_keeps_nothing_of_what_was_told(service: Service) -> None:
    integration = send(service, 1)
    (row,) = lease(service)
    report(service, integration, "acknowledged", "another's")

    end(service, row, "failed", result=None, error="refused")

    assert read(service, row) == ("failed", None, "refused", [])


def test_of_what_nobody_knows_the_last_sixteen_are_kept_once_each(service: Service) -> None:
    integration = send(service, 2)
    lease(service, 1)
    for number in [*range(20), 19]:
        report(service, integration, "failed", f"r{number}", "x" * 5_000)

    kept = service.run("select early_reports from device_commands where integration_id = %s", integration)

    told = sorted(([each["reference"] for each in row["early_reports"]] for row in kept), key=len)
    assert told == [[], [f"r{number}" for number in range(4, 20)]]
    assert {len(each["error"]) for row in kept for each in row["early_reports"]} == {2_000}
