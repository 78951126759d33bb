"""Who gets the next slot: turns, rate, concurrency, order, and settings that were written past the API."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.database.fixtures import Service, make_messages
from tests.database.queue import enqueue, finish, lease, make_webhook, pass_time


def test_webhooks_take_turns_however_few_are_leased_at_once(service: Service) -> None:
    make_webhook(service)
    enqueue(service, 30)
    quiet = make_webhook(service)
    enqueue(service, 3)

    turns = [lease(service, 1)[0]["integration_id"] for _ in range(6)]

    assert turns.count(quiet) == 3


def test_first_tries_go_before_retries(service: Service) -> None:
    make_webhook(service, max_concurrent=1)
    enqueue(service, 1)
    finish(service, lease(service), "retry", retry_seconds=0)
    enqueue(service, 1)

    tries = []
    for _ in range(2):
        (delivery,) = lease(service)
        tries.append(delivery["attempts"])
        finish(service, [delivery], "delivered")

    assert tries == [1, 2]


def test_a_retry_waits_no_longer_than_ten_minutes_behind_first_tries(service: Service) -> None:
    make_webhook(service, max_concurrent=1)
    enqueue(service, 1)
    finish(service, lease(service), "retry", retry_seconds=0)
    pass_time(service, 601)
    enqueue(service, 5)

    (delivery,) = lease(service)

    assert delivery["attempts"] == 2


def test_within_any_minute_no_more_go_out_than_the_rate_allows(service: Service) -> None:
    make_webhook(service, rate_limit_per_minute=5, max_concurrent=3)
    enqueue(service, 20)

    sizes = []
    for _ in range(4):
        leased = lease(service)
        sizes.append(len(leased))
        finish(service, leased, "delivered")
    pass_time(service, 62)

    assert sizes == [3, 2, 0, 0]
    assert len(lease(service)) == 3


def test_the_rate_is_a_hundred_a_minute_unless_set(service: Service) -> None:
    service.make_integration("webhook", events=["*"], max_concurrent=500)
    enqueue(service, 150)

    assert len(lease(service, 500)) == 100


def test_what_a_lost_dispatcher_may_have_sent_counts_for_the_rate(service: Service) -> None:
    make_webhook(service, rate_limit_per_minute=4)
    enqueue(service, 3)
    lease(service)
    pass_time(service, 61)

    again = lease(service)

    assert len(again) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"max_concurrent": "many"},
        {"max_concurrent": None},
        {"max_concurrent": [1]},
        {"max_concurrent": -5},
        {"max_concurrent": 1e300},
        {"max_concurrent": 2.7},
        {"rate_limit_per_minute": {"a": 1}},
        {"rate_limit_per_minute": -1},
        {"retry_schedule": "often"},
        {"retry_schedule": {"a": 1}},
        {"ordered": {"a": 1}},
        {"ordered": True},
        {"events": "*"},
        {"events": {"*": 1}},
    ],
)
def test_settings_written_past_the_api_hold_up_nobody_else(service: Service, bad: dict[str, Any]) -> None:
    make_webhook(service, **bad)
    good = make_webhook(service)
    enqueue(service, 2)

    leased = lease(service)
    pass_time(service, 61)
    again = lease(service)

    assert [row["integration_id"] for row in leased].count(good) == 2
    assert [row["integration_id"] for row in again].count(good) == 2


def test_of_one_device_one_is_under_way_and_a_retry_holds_up_what_follows(service: Service) -> None:
    make_webhook(service, ordered="device")
    source = service.make_integration()
    service.ingest(source, make_messages(3, device="a") + make_messages(3, device="b"))

    first = lease(service)
    finish(service, [row for row in first if row["device"]["external_id"] == "a"], "retry", retry_seconds=60)
    finish(service, [row for row in first if row["device"]["external_id"] == "b"], "delivered")
    second = lease(service)
    pass_time(service, 30)
    blocked = lease(service)

    assert Counter(row["device"]["external_id"] for row in first) == {"a": 1, "b": 1}
    assert [(row["device"]["external_id"], row["payload"]["temperature"]) for row in second] == [("b", 1)]
    assert blocked == []


def test_an_ordered_webhook_hears_everything_in_the_order_it_was_stored(service: Service) -> None:
    make_webhook(service, ordered="integration")
    service.ingest(
        service.make_integration(),
        [make_messages(1, device=device)[0] | {"topic": device} for device in "abab"],
    )

    heard = []
    while leased := lease(service):
        heard += [row["topic"] for row in leased]
        finish(service, leased, "dead" if len(heard) == 2 else "delivered")

    assert heard == list("abab")


def test_payloads_leased_together_stay_within_the_bytes_asked_for_and_all_get_their_turn(
    service: Service,
) -> None:
    make_webhook(service)
    make_webhook(service, ordered="device")
    enqueue(service, 4, payload={"image": "A" * 100_000})

    sizes = []
    for _ in range(8):
        leased = service.one("select lease_deliveries(100, 60, 150000)")["deliveries"]
        sizes.append(len(leased))
        finish(service, leased, "delivered")

    assert (sizes[:3], sum(sizes)) == ([2, 2, 2], 8)


def test_a_payload_larger_than_what_may_be_leased_goes_alone(service: Service) -> None:
    make_webhook(service)
    enqueue(service, 2, payload={"image": "A" * 100_000})

    leased = service.one("select lease_deliveries(100, 60, 1)")["deliveries"]

    assert [len(delivery["payload"]["image"]) for delivery in leased] == [100_000]


def test_what_a_process_left_behind_comes_back_in_steps(service: Service) -> None:
    webhooks = [make_webhook(service, max_concurrent=1000) for _ in range(8)]
    service.connection.execute(
        "insert into webhook_deliveries (organization_id, integration_id, event_type, message_id, message_received_at,"
        "   status, lease_token, attempts, due_at)"
        " select %s, w, 'device.telemetry', gen_random_uuid(), now(), 'delivering', gen_random_uuid(), 1,"
        "        now() - interval '1 minute'"
        " from unnest(%s::uuid[]) w cross join generate_series(1, 150)",
        (service.organization_id, webhooks),
    )
    returned = []
    for _ in range(4):
        lease(service, 1)
        returned.append(service.one("select count(*) from webhook_attempts"))

    assert returned == [500, 1_000, 1_200, 1_200]
