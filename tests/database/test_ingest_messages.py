"""`ingest_messages`: everything once, in one transaction, counted."""

from __future__ import annotations

import threading
import uuid

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_columns, make_messages
from tests.stack import Stack


def test_the_same_batch_twice_is_stored_once(service: Service) -> None:
    integration, batch = service.make_integration(), make_messages(10)

    first, second = service.ingest(integration, batch), service.ingest(integration, batch)

    assert (first["stored"], first["duplicates"]) == (10, 0)
    assert (second["stored"], second["duplicates"]) == (0, 10)
    assert service.one("select count(*) from device_messages where integration_id = %s", integration) == 10


def test_an_id_twice_in_one_batch_is_stored_once(service: Service) -> None:
    integration, batch = service.make_integration(), make_messages(2)

    counts = service.ingest(integration, [*batch, batch[0]])

    assert (counts["received"], counts["stored"], counts["duplicates"]) == (3, 2, 1)


def test_of_a_batch_with_known_and_repeated_ids_the_first_of_each_new_one_is_stored(service: Service) -> None:
    integration = service.make_integration()
    known, *new = make_messages(3)
    service.ingest(integration, [known])
    again = new[0] | {"payload": {"temperature": "again"}}

    counts = service.ingest(integration, [known, *new, again, known])

    assert (counts["received"], counts["stored"], counts["duplicates"]) == (5, 2, 3)
    kept = service.run("select event_id, payload from device_messages where integration_id = %s", integration)
    assert {row["event_id"]: row["payload"] for row in kept} == {
        each["event_id"]: each["payload"] for each in (known, *new)
    }


def test_the_same_id_on_two_integrations_is_two_messages(service: Service) -> None:
    batch = make_messages(1)

    counts = [service.ingest(service.make_integration(), batch) for _ in range(2)]

    assert [count["stored"] for count in counts] == [1, 1]


def test_a_device_is_made_once_and_remembers_when_it_was_seen_last(service: Service) -> None:
    integration = service.make_integration()

    service.ingest(integration, make_messages(1, observed_at="2026-01-02T03:04:05+00:00"))
    service.ingest(integration, make_messages(1, observed_at="2026-01-01T00:00:00+00:00"))
    (device,) = service.run("select * from devices where integration_id = %s", integration)

    assert (device["external_id"], device["status"]) == ("a", "online")
    assert device["last_seen_at"].isoformat() == "2026-01-02T03:04:05+00:00"


def test_a_device_is_written_once_a_second_however_often_it_speaks(service: Service) -> None:
    integration = service.make_integration()

    for second in ("05.0", "05.9", "06.0"):
        service.ingest(integration, make_messages(1, observed_at=f"2026-01-02T03:04:{second}+00:00"))
        seen = service.one("select last_seen_at from devices where integration_id = %s", integration)
        assert seen.isoformat() == f"2026-01-02T03:04:{second[:2]}+00:00"


def test_a_status_is_written_at_once(service: Service) -> None:
    integration, now = service.make_integration(), "2026-01-02T03:04:05+00:00"

    service.ingest(integration, make_messages(1, observed_at=now))
    service.ingest(integration, make_messages(1, observed_at=now, device_status="offline"))

    assert service.one("select status from devices where integration_id = %s", integration) == "offline"


def test_a_clock_that_runs_ahead_does_not_make_a_device_seen_in_the_future(service: Service) -> None:
    integration = service.make_integration()

    service.ingest(integration, make_messages(1, observed_at="2099-01-01T00:00:00+00:00"))

    ahead = service.one("select last_seen_at > now() from devices where integration_id = %s", integration)
    assert ahead is False


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (["online", "offline"], "offline"),
        (["offline", "online"], "online"),
        (["offline", None], "online"),
        ([None, "offline"], "offline"),
    ],
)
def test_the_last_of_a_batch_tells_the_status_as_it_would_in_a_batch_of_its_own(
    service: Service, said: list[str | None], status: str
) -> None:
    integration = service.make_integration()
    # A clock of the device's own, behind or ahead, changes nothing.
    times = [None, "2020-01-01T00:00:00Z"] if status == "online" else ["2020-01-01T00:00:00Z", None]

    messages = [
        make_messages(1, event_id=f"{9 - n}", device_status=each, observed_at=times[n])[0]
        for n, each in enumerate(said)
    ]
    service.ingest(integration, messages)

    assert service.one("select status from devices where integration_id = %s", integration) == status


def test_the_device_count_of_the_integration_follows(service: Service) -> None:
    integration = service.make_integration()
    for device in "abc":
        service.ingest(integration, make_messages(1, device=device))

    service.run(
        "delete from devices where integration_id = %s and external_id = 'b' returning id", integration
    )

    assert service.one("select device_count from device_integrations where id = %s", integration) == 2


def test_devices_are_not_made_where_that_is_switched_off(service: Service) -> None:
    integration = service.make_integration(auto_provision_devices=False)

    service.ingest(service.make_integration(), make_messages(1, device="new"))
    service.run(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " values (%s, %s, 'known', 'x') returning id",
        service.organization_id,
        integration,
    )

    counts = service.ingest(
        integration,
        [*make_messages(1, device="new"), *make_messages(1, device="known"), *make_messages(1, device=None)],
    )

    assert (counts["stored"], counts["devices"]) == (3, 0)
    rows = service.run(
        "select device_id is not null as known, external_id from device_messages where integration_id = %s order by id",
        integration,
    )
    assert [tuple(row.values()) for row in rows] == [(False, "new"), (True, None), (False, None)]


def test_a_message_that_could_not_be_decoded_is_kept_and_counted_as_failed(service: Service) -> None:
    integration = service.make_integration()

    counts = service.ingest(integration, make_messages(1, payload=None, raw="not json", error="Not JSON"))

    assert (counts["received"], counts["stored"], counts["failed"]) == (1, 0, 1)
    (row,) = service.run("select raw, error from device_messages where integration_id = %s", integration)
    assert row == {"raw": "not json", "error": "Not JSON"}


def test_only_decoded_messages_go_to_the_subscribers_of_the_same_organization(
    service: Service, stack: Stack
) -> None:
    webhook = service.make_integration("webhook", events=["telemetry"])
    service.make_integration("webhook", events=["device.log"])
    service.connection.execute(
        "insert into device_integrations (organization_id, integration_type, name, settings)"
        """ values (%s, 'webhook', 'Other', '{"events": ["*"]}')""",
        (stack.user("owner", 1).organization_id,),
    )

    counts = service.ingest(
        service.make_integration(), [*make_messages(2), *make_messages(1, error="broken")]
    )

    assert counts["deliveries"] == 2
    rows = service.run("select distinct integration_id, event_type, status from webhook_deliveries")
    assert [(str(row["integration_id"]), row["event_type"], row["status"]) for row in rows] == [
        (webhook, "device.telemetry", "pending")
    ]


def test_a_batch_with_a_lost_lease_is_refused_whole(service: Service) -> None:
    integration = service.make_integration()

    with pytest.raises(psycopg.Error) as refusal:
        service.ingest(integration, make_messages(1), token=uuid.uuid4(), seconds=30)

    assert refusal.value.sqlstate == "PT409"


def test_a_batch_under_a_lease_saves_its_state_and_renews_it(service: Service) -> None:
    integration = service.make_integration()
    lease = service.lease(integration)

    service.ingest(integration, make_messages(1), token=lease["lease_token"], seconds=600, state={"seen": 1})

    (row,) = service.run(
        "select state, due_at > now() + interval '500 s' as renewed from integration_schedules"
        " where integration_id = %s",
        integration,
    )
    assert row == {"state": {"seen": 1}, "renewed": True}


@pytest.mark.parametrize(
    "poison", [{"observed_at": "yesterday-ish"}, {"kind": "gossip"}, {"device": "x" * 600}]
)
def test_what_the_database_can_not_hold_is_refused_as_bad_data(
    service: Service, poison: dict[str, str]
) -> None:
    with pytest.raises(psycopg.Error) as refusal:
        service.ingest(service.make_integration(), make_messages(1, **poison))

    assert (refusal.value.sqlstate or "")[:2] in {"22", "23"}


def test_a_batch_has_a_bound(service: Service) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        service.ingest(service.make_integration(), make_messages(4001))


def test_batches_of_one_integration_at_once_store_each_message_once_and_block_nobody(stack: Stack) -> None:
    integration = make_committed(stack)
    shared = [make_messages(1, device=f"d{number}")[0] for number in range(50)]

    ingest_at_once(stack, integration, [shared, shared[::-1]] * 4)

    assert count_rows(stack, integration) == {"devices": 50, "counted": 50, "messages": 50, "received": 400}


def test_new_devices_of_batches_at_once_are_made_and_counted_once_though_some_are_rolled_back(
    stack: Stack,
) -> None:
    integration = make_committed(stack)
    batches = [[make_messages(1, device=f"d{number}")[0] for number in range(200)] for _ in range(8)]

    ingest_at_once(stack, integration, [batch[:: (-1) ** odd] for odd, batch in enumerate(batches)], fail=3)

    counts = {"devices": 200, "counted": 200, "messages": 1_000, "received": 1_000}
    assert count_rows(stack, integration) == counts


def make_committed(stack: Stack) -> str:
    """An integration that other connections see."""
    with stack.connect() as connection:
        row = connection.execute(
            "insert into device_integrations (organization_id, integration_type, name)"
            " values (%s, 'mqtt', %s) returning id",
            (stack.user("owner", 0).organization_id, str(uuid.uuid4())),
        ).fetchone()
    assert row is not None
    return str(row[0])


def ingest_at_once(
    stack: Stack, integration: str, batches: list[list[dict[str, object]]], fail: int = 0
) -> None:
    """Each batch on a connection of its own; the first `fail` are rolled back."""
    ready = threading.Barrier(len(batches))

    def ingest(number: int) -> None:
        with stack.connect() as connection:
            connection.execute("set role service_role")
            ready.wait(30)
            connection.execute("select ingest_messages(%s, %s)", (integration, Jsonb(batches[number])))
            if number < fail:
                connection.rollback()

    threads = [threading.Thread(target=ingest, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def count_rows(stack: Stack, integration: str) -> dict[str, int]:
    with stack.connect() as connection:
        row = connection.execute(
            "select json_build_object("
            " 'devices', (select count(*) from devices where integration_id = %(id)s),"
            " 'counted', (select device_count from device_integrations where id = %(id)s),"
            " 'messages', (select count(*) from device_messages where integration_id = %(id)s),"
            " 'received', (select sum(received) from integration_metrics where integration_id = %(id)s))",
            {"id": integration},
        ).fetchone()
    assert row is not None
    return dict(row[0])


def test_facts_of_the_transport_and_a_remark_are_stored_beside_what_the_device_said(service: Service) -> None:
    integration = service.make_integration()
    odd: Row = {"metadata": {"rssi": -71}, "remark": "Its clock is in 1970, so the time of arrival counts."}
    messages = [*make_messages(1, **odd), *make_messages(1)]

    counts = service.ingest(integration, messages)

    rows = service.run(
        "select payload, metadata, remark, error from device_messages where integration_id = %s"
        " order by metadata is null",
        integration,
    )
    assert counts["stored"] == 2
    assert [tuple(row.values()) for row in rows] == [
        ({"temperature": 0}, odd["metadata"], odd["remark"], None),
        ({"temperature": 0}, None, None, None),
    ]


EVERYTHING: list[Row] = [
    {"event_id": "a", "device": "x", "kind": "telemetry", "topic": "t/x", "payload": {"n": [1, None, "ü"]}},
    {
        "event_id": "b",
        "device": "x",
        "kind": "state",
        "payload": {"status": "off"},
        "device_status": "offline",
    },
    {
        "event_id": "c",
        "device": "y",
        "kind": "event",
        "payload": None,
        "raw": "AA==",
        "raw_encoding": "base64",
    },
    {"event_id": "d", "device": None, "kind": "event", "raw": "{", "error": "Not JSON."},
    {"event_id": "a", "device": "z", "kind": "log", "payload": 7},
    {"event_id": "e", "device": "y", "payload": "text", "metadata": {"rssi": -7}, "remark": "Odd."},
    {"event_id": "f", "device": "w", "payload": False, "device_status": "unheard"},
    {"event_id": "g", "device": "x", "payload": 1.5, "observed_at": "2026-01-02T03:04:05+00:00"},
]


@pytest.mark.parametrize("name_duplicates", [False, True])
def test_columns_say_the_same_as_rows(service: Service, *, name_duplicates: bool) -> None:
    told: list[tuple[list[Row], list[Row]]] = []
    for batch in (EVERYTHING, make_columns(EVERYTHING)):
        integration = service.make_integration()
        call = "select ingest_messages(%s, %s, p_name_duplicates => %s)"
        counts = [service.one(call, integration, Jsonb(batch), name_duplicates) for _ in range(2)]
        rows = service.run(
            "select event_id, kind, topic, payload, raw, raw_encoding, error, m.metadata, remark,"
            " coalesce(d.external_id, m.external_id) as device, d.status,"
            " observed_at = received_at as arrived, nullif(observed_at, received_at) as observed_at"
            " from device_messages m left join devices d on d.id = device_id where m.integration_id = %s order by m.id",
            integration,
        )
        told.append((counts, rows))

    assert told[0] == told[1]
    assert told[0][0][0] == {
        "received": 8,
        "stored": 6,
        "duplicates": 1,
        "failed": 1,
        "devices": 3,
        "deliveries": 0,
    } | ({"repeated": [5]} if name_duplicates else {})


@pytest.mark.parametrize(
    "batch",
    [
        {"event_id": ["a", "b"], "device": ["x"]},
        {"event_id": ["a"], "payload": [1, 2]},
        {"device": ["x"]},
        {"event_id": "a"},
        {"event_id": ["a"], "device": "x"},
        "a",
        7,
        None,
    ],
)
def test_columns_that_do_not_fit_are_refused(service: Service, batch: object) -> None:
    integration = service.make_integration()

    with pytest.raises(psycopg.errors.InvalidParameterValue):
        service.one("select ingest_messages(%s, %s)", integration, Jsonb(batch))


def test_a_session_stores_its_batch_with_one_argument(service: Service) -> None:
    integration = service.make_integration()
    row = service.lease(integration)
    batch = {
        "integration_id": integration,
        "lease_token": str(row["lease_token"]),
        "lease_seconds": 60,
        "state": {"n": 1},
        "bytes": 90,
        "messages": make_columns(make_messages(3)),
    }

    counts = service.one("select ingest_batch(%s)", Jsonb(batch))

    assert (counts["received"], counts["stored"]) == (3, 3)
    kept = (
        "select state, (select sum(bytes)::int from integration_metrics where integration_id = %s) as bytes"
    )
    (saved,) = service.run(
        f"{kept} from integration_schedules where integration_id = %s", integration, integration
    )
    assert saved == {"state": {"n": 1}, "bytes": 90}
    late = batch | {"lease_token": str(uuid.uuid4()), "messages": make_columns(make_messages(1))}
    with pytest.raises(psycopg.Error, match="lease"):
        service.one("select ingest_batch(%s)", Jsonb(late))
