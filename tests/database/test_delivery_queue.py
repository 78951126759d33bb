"""The outgoing queue: fair, bounded per webhook, fenced."""

from __future__ import annotations

from tests.database.fixtures import Service, make_messages
from tests.database.queue import enqueue, finish, lease


def test_a_leased_delivery_brings_its_message_its_device_and_its_webhook(service: Service) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    enqueue(service, 1)

    leased = service.one("select lease_deliveries(100, 60)")

    (delivery,) = leased["deliveries"]
    assert set(leased["integrations"]) == {webhook}
    assert (delivery["payload"], delivery["event_type"]) == ({"temperature": 0}, "device.telemetry")
    assert delivery["device"]["external_id"] == "a"
    assert delivery["source"]["integration_type"] == "mqtt"


def test_a_message_of_bytes_alone_goes_out_without_a_payload(service: Service) -> None:
    service.make_integration("webhook", events=["*"])
    enqueue(service, 1, payload=None, raw="//4A", raw_encoding="base64")

    (delivery,) = lease(service)

    assert (delivery["payload"], delivery["payload_bytes"]) == (None, 0)


def test_a_delivery_names_a_device_that_is_not_known_here(service: Service) -> None:
    service.make_integration("webhook", events=["*"])
    source = service.make_integration(auto_provision_devices=False)
    service.ingest(source, make_messages(1, device="stranger"))

    (delivery,) = lease(service)

    assert delivery["device"] == {"id": None, "external_id": "stranger", "name": None}


def test_one_webhook_gets_no_more_than_it_may_have_in_flight(service: Service) -> None:
    service.make_integration("webhook", events=["*"], max_concurrent=3)
    enqueue(service, 10)

    sizes = [len(lease(service)) for _ in range(2)]

    assert sizes == [3, 0]


def test_a_flood_on_one_webhook_leaves_room_for_the_others(service: Service) -> None:
    flooded = service.make_integration("webhook", events=["*"])
    enqueue(service, 500)
    quiet = service.make_integration("webhook", events=["*"])
    enqueue(service, 1)

    leased = lease(service, 20)

    assert {row["integration_id"] for row in leased} == {flooded, quiet}


def test_a_delivery_whose_lease_ran_out_is_leased_again_and_its_late_result_refused(service: Service) -> None:
    service.make_integration("webhook", events=["*"])
    enqueue(service, 1)
    late = lease(service)
    service.connection.execute("update webhook_deliveries set due_at = now() - interval '1 s'")
    again = lease(service)

    counts = [finish(service, rows, "delivered") for rows in (late, again)]

    assert [count["late"] for count in counts] == [1, 0]
    assert [(row["id"], row["attempts"]) for row in again] == [(late[0]["id"], 2)]


def test_a_retry_is_pending_until_it_is_due(service: Service) -> None:
    service.make_integration("webhook", events=["*"])
    enqueue(service, 1)

    counts = finish(service, lease(service), "retry", retry_seconds=60, status_code=503)

    assert counts["retried"] == 1
    assert lease(service) == []
    (row,) = service.run(
        "select status, attempts, due_at > now() + interval '50 s' as later from webhook_deliveries"
    )
    assert row == {"status": "pending", "attempts": 1, "later": True}


def test_every_attempt_is_recorded(service: Service) -> None:
    service.make_integration("webhook", events=["*"])
    enqueue(service, 1)
    finish(service, lease(service), "retry", retry_seconds=0, error="timeout: no answer")

    finish(service, lease(service), "delivered", status_code=200, reply="ok")

    rows = service.run("select attempt, status_code, error, reply from webhook_attempts order by attempt")
    assert [tuple(row.values()) for row in rows] == [
        (1, None, "timeout: no answer", None),
        (2, 200, None, "ok"),
    ]


def test_an_inactive_webhook_keeps_its_queue_and_sends_nothing(service: Service) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    enqueue(service, 2)
    service.connection.execute("update device_integrations set status = 'inactive' where id = %s", (webhook,))
    while_inactive = lease(service)

    service.connection.execute("update device_integrations set status = 'active' where id = %s", (webhook,))

    assert while_inactive == []
    assert len(lease(service)) == 2


def test_deleting_a_webhook_cancels_its_queue_and_keeps_the_record(service: Service) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    enqueue(service, 2)
    finish(service, lease(service, 1), "delivered")

    service.connection.execute("delete from device_integrations where id = %s", (webhook,))

    rows = service.run("select status, integration_id::text from webhook_deliveries order by status")
    assert [tuple(row.values()) for row in rows] == [("cancelled", webhook), ("delivered", webhook)]


def test_a_webhook_is_deleted_at_once_however_many_wait_and_maintenance_cancels_the_rest(
    service: Service,
) -> None:
    webhook = service.make_integration("webhook", events=["*"])
    kept = service.make_integration("webhook", events=["*"])
    service.connection.execute(
        "insert into webhook_deliveries"
        " (organization_id, integration_id, event_type, message_id, message_received_at)"
        " select %s, w, 'device.telemetry', gen_random_uuid(), now()"
        " from unnest(%s::uuid[]) w cross join generate_series(1, 10500)",
        (service.organization_id, [webhook, kept]),
    )

    service.connection.execute("delete from device_integrations where id = %s", (webhook,))
    at_once = service.one("select count(*) from webhook_deliveries where status = 'cancelled'")
    leased = lease(service)
    pruned = service.one("select prune_deliveries()")

    assert (at_once, pruned["deliveries_cancelled"]) == (10_000, 500)
    assert {row["integration_id"] for row in leased} == {kept}


def count_reads(service: Service) -> int:
    """Deliveries looked up by an index in this transaction until now."""
    read: int = service.one(
        "select idx_tup_fetch from pg_stat_xact_user_tables where relname = 'webhook_deliveries'"
    )
    return read


def test_a_lease_reads_little_more_than_it_takes_however_many_wait(service: Service) -> None:
    for _ in range(20):
        service.make_integration("webhook", events=["*"], max_concurrent=100)
    enqueue(service, 100)
    before = count_reads(service)

    leased = lease(service, 20)

    assert len({row["integration_id"] for row in leased}) == 20
    assert count_reads(service) - before < 200


def test_a_lease_looks_deeper_where_few_webhooks_wait(service: Service) -> None:
    for _ in range(20):
        service.make_integration("webhook", events=["*"], device_filter={"external_ids": ["b"]})
    enqueue(service, 1, device="b")
    flooded = service.make_integration("webhook", events=["*"], max_concurrent=100)
    enqueue(service, 200)

    leased = lease(service, 60)

    assert len(leased) == 60
    assert sum(row["integration_id"] == flooded for row in leased) == 40


def test_the_devices_of_an_ordered_webhook_get_their_turn_by_parts_however_many_wait(
    service: Service,
) -> None:
    service.make_integration(
        "webhook", events=["*"], ordered="device", max_concurrent=1_000, rate_limit_per_minute=10_000
    )
    messages = [message for number in range(2_500) for message in make_messages(1, device=str(number))]
    service.ingest(service.make_integration(), messages)
    before, deliveries = count_reads(service), lease(service, 1_000)
    read = count_reads(service) - before

    while deliveries:
        finish(service, deliveries, "delivered")
        deliveries = lease(service, 1_000)

    assert read < 6_000
    assert service.one("select count(*) from webhook_deliveries where status = 'delivered'") == 2_500
