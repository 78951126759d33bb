"""What a batch leaves to be queued where very many webhooks want it: committed with it, worked off in steps, once."""

from __future__ import annotations

import pytest
from psycopg.types.json import Jsonb

from shared.provider.subscription import MOST_DEVICES
from tests.database.fixtures import Service, make_messages
from tests.database.notices import make_notifier, raise_alerts
from tests.database.queue import finish, lease, make_webhook

WEBHOOKS, MESSAGES, PEOPLE = 6, 1_700, 50


@pytest.fixture
def webhooks(service: Service) -> list[str]:
    """As many as make more than ten thousand deliveries of a batch."""
    return [make_webhook(service) for _ in range(WEBHOOKS)]


def count_deliveries(service: Service) -> dict[str, int]:
    rows = service.run("select integration_id::text as id, count(*) from webhook_deliveries group by 1")
    return {row["id"]: row["count"] for row in rows}


def spread_all(service: Service) -> list[int]:
    """The sizes of all steps."""
    steps: list[int] = []
    while (queued := service.one("select spread_deliveries()")) is not None:
        steps.append(queued)
    return steps


def test_a_batch_that_many_want_is_queued_step_by_step_for_each_once(
    service: Service, webhooks: list[str]
) -> None:
    counts = service.ingest(service.make_integration(), make_messages(MESSAGES))
    at_once = count_deliveries(service)

    steps = spread_all(service)

    assert (counts["stored"], counts["deliveries"], at_once) == (MESSAGES, WEBHOOKS * MESSAGES, {})
    assert steps == [MESSAGES] * WEBHOOKS
    assert count_deliveries(service) == dict.fromkeys(webhooks, MESSAGES)
    assert service.one("select count(distinct (integration_id, message_id)) from webhook_deliveries") == sum(
        steps
    )


def test_a_batch_of_ten_thousand_deliveries_is_queued_with_it(service: Service, webhooks: list[str]) -> None:
    service.ingest(service.make_integration(), make_messages(10_000 // WEBHOOKS))

    assert count_deliveries(service) == dict.fromkeys(webhooks, 10_000 // WEBHOOKS)
    assert spread_all(service) == []


def test_long_device_filters_are_compared_step_by_step_too(service: Service) -> None:
    patterns = [f"*pump-{number}*x" for number in range(MOST_DEVICES - 1)]
    filtered = [make_webhook(service, device_filter={"external_ids": [*patterns, "a"]}) for _ in range(2)]

    service.ingest(service.make_integration(), make_messages(300))
    at_once = count_deliveries(service)

    assert (at_once, spread_all(service)) == ({}, [300, 300])
    assert count_deliveries(service) == dict.fromkeys(filtered, 300)


def test_each_step_asks_its_webhook_what_it_wants_now(service: Service, webhooks: list[str]) -> None:
    wanting, filtered, inactive, gone, *_ = webhooks
    source = service.make_integration()
    service.ingest(source, make_messages(MESSAGES - 2) + make_messages(2, device="b", kind="event"))
    change = "update device_integrations set {} where id = %s"
    service.connection.execute(
        change.format('settings = settings || \'{"device_filter": {"external_ids": ["b"]}}\''), (filtered,)
    )
    service.connection.execute(change.format("status = 'inactive'"), (inactive,))
    service.connection.execute("delete from device_integrations where id = %s", (gone,))

    spread_all(service)

    counts = count_deliveries(service)
    assert counts[wanting] == MESSAGES
    assert counts[filtered] == 2
    assert not {inactive, gone} & set(counts)


def test_messages_that_failed_are_for_nobody(service: Service, webhooks: list[str]) -> None:
    failed = make_messages(5, error="No JSON.", payload=None, raw="x")
    service.ingest(service.make_integration(), make_messages(MESSAGES) + failed)

    spread_all(service)

    assert count_deliveries(service) == dict.fromkeys(webhooks, MESSAGES)


@pytest.mark.parametrize("count", [1, WEBHOOKS])
def test_a_payload_that_is_kept_compressed_counts_as_large_as_it_is(service: Service, count: int) -> None:
    for _ in range(count):
        make_webhook(service)
    large = {"text": "long " * 20_000}

    service.ingest(
        service.make_integration(), [*make_messages(MESSAGES - 1), *make_messages(1, payload=large)]
    )
    spread_all(service)

    sizes = service.run(
        "select payload_bytes > 90000 as large, count(*) from webhook_deliveries group by 1 order by 1"
    )
    assert [(row["large"], row["count"]) for row in sizes] == [(False, count * (MESSAGES - 1)), (True, count)]


def list_told(service: Service, webhook: str) -> list[str]:
    """What one person is told, in the order in which they hear it."""
    rows = service.run(
        "select event_type from webhook_deliveries where integration_id = %s and recipient = 'P0' order by message_id",
        webhook,
    )
    return [row["event_type"] for row in rows]


def test_what_is_told_to_more_than_a_hundred_is_queued_step_by_step_in_order(service: Service) -> None:
    people = [{"name": f"P{number}", "to": f"+4917012345{number:02d}"} for number in range(PEOPLE)]
    notifiers = [make_notifier(service, *people) for _ in range(3)]
    (failing,) = raise_alerts(service, 1)
    for notifier in notifiers:
        service.connection.execute(
            "update device_integrations set settings = settings #- '{recipients,-1}' where id = %s",
            (notifier,),
        )
    service.run("select private.resolve_alerts(%s, 'It works.')", failing)
    at_once = count_deliveries(service)

    steps = spread_all(service)

    assert (at_once, steps) == ({}, [PEOPLE - 1] * 6)
    assert [list_told(service, each) for each in notifiers] == [["alert.raised", "alert.resolved"]] * 3


def lease_told(service: Service) -> list[str]:
    """What goes out now."""
    leased = lease(service)
    finish(service, leased, "delivered")
    return [row["event_type"] for row in leased]


def test_what_comes_after_what_is_still_to_be_queued_waits_for_it(service: Service) -> None:
    people = [{"name": f"P{number}", "to": f"+4917012345{number:02d}"} for number in range(PEOPLE)]
    first, second, third = (make_notifier(service, *people, max_concurrent=100) for _ in range(3))
    (failing,) = raise_alerts(service, 1)
    service.connection.execute("delete from device_integrations where id = any (%s)", ([second, third],))
    service.run("select private.resolve_alerts(%s, 'It works.')", failing)
    at_once = (count_deliveries(service), lease_told(service))

    steps = spread_all(service)

    assert at_once == ({first: PEOPLE}, [])
    assert sorted(steps) == [0, 0, PEOPLE]
    assert [list_told(service, first), lease_told(service)] == [
        ["alert.raised", "alert.resolved"],
        ["alert.raised"] * PEOPLE,
    ]


@pytest.mark.parametrize(
    ("ordered", "meanwhile", "after"),
    [
        ("device", [], ["wide", "later", "offline"]),
        ("integration", [], ["wide", "later", "offline"]),
        ("off", ["later", "offline"], ["wide"]),
    ],
)
@pytest.mark.usefixtures("webhooks")
def test_a_small_batch_does_not_overtake_a_wide_one_of_an_ordered_webhook(
    service: Service, ordered: str, meanwhile: list[str], after: list[str]
) -> None:
    source = service.make_integration()
    follower = make_webhook(service, ordered=ordered, events=["event", "device.offline"])
    for seconds, topic, more in ((3, "before", 0), (2, "wide", MESSAGES), (1, "later", 0)):
        messages = make_messages(1, kind="event", topic=topic) + make_messages(more)
        service.run(
            "select ingest_messages(%s, %s, p_received_at => now() - make_interval(secs => %s))",
            source,
            Jsonb(messages),
            seconds,
        )
    service.run(
        "select private.queue_event(organization_id, integration_id, 'device.offline', '{}', id) from devices"
    )

    first = send_all(service, follower)
    spread_all(service)

    assert sorted(first) == sorted(["before", *meanwhile])
    assert send_all(service, follower) == after


def send_all(service: Service, webhook: str) -> list[str]:
    """What goes out to it, in that order."""
    sent: list[str] = []
    while leased := lease(service):
        finish(service, leased, "delivered")
        mine = [row for row in leased if row["integration_id"] == webhook]
        sent += [row["topic"] or row["event_type"].removeprefix("device.") for row in mine]
    return sent


def test_what_cannot_be_queued_is_in_nobodys_way_and_makes_its_webhook_late(
    service: Service, webhooks: list[str]
) -> None:
    broken, *others = webhooks
    service.ingest(service.make_integration(), make_messages(MESSAGES))
    service.ingest(service.make_integration(), make_messages(MESSAGES))
    service.as_owner(
        "create function private.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end'"
    )
    service.as_owner(
        "create trigger refuse before insert on webhook_deliveries for each row"
        f" when (new.integration_id = '{broken}') execute function private.refuse()"
    )
    health = "select state, pending, reason from integration_health where integration_id = %s"
    for _ in range(2):
        spread_all(service)
        service.connection.execute("update private.fan_outs set due_at = now()")
    queued = count_deliveries(service)
    service.connection.execute("update private.fan_outs set created_at = now() - interval '10 minutes'")
    (late,) = service.run(health, broken)
    left = service.run("select error, tries > 0 as tried, webhook_id::text as webhook from private.fan_outs")
    service.as_owner("drop trigger refuse on webhook_deliveries")

    spread_all(service)

    assert queued == dict.fromkeys(others, 2 * MESSAGES)
    assert left == [{"error": "P0001 no", "tried": True, "webhook": broken}] * 2
    assert (late["state"], late["pending"], "due for 10 minutes" in late["reason"]) == ("degraded", 1, True)
    assert count_deliveries(service) == dict.fromkeys(webhooks, 2 * MESSAGES)


def test_the_pause_after_a_step_that_failed_late_begins_as_it_fails(
    service: Service, webhooks: list[str]
) -> None:
    service.ingest(service.make_integration(), make_messages(MESSAGES))
    service.as_owner(
        "create function private.refuse() returns trigger language plpgsql"
        " as 'begin perform pg_sleep(1.5); raise exception ''no''; end'"
    )
    service.as_owner(
        "create trigger refuse before insert on webhook_deliveries for each row"
        f" when (new.integration_id = '{webhooks[0]}') execute function private.refuse()"
    )

    spread_all(service)

    assert service.one("select due_at > now() + interval '2.5 seconds' from private.fan_outs") is True


@pytest.mark.parametrize(("tries", "told"), [(5, []), (6, ["alert.resolved"] * PEOPLE)])
def test_what_is_ordered_waits_for_a_step_that_failed_until_it_fails_for_good(
    service: Service, tries: int, told: list[str]
) -> None:
    people = [{"name": f"P{number}", "to": f"+4917012345{number:02d}"} for number in range(PEOPLE)]
    _, second, third = [make_notifier(service, *people, max_concurrent=100) for _ in range(3)]
    (failing,) = raise_alerts(service, 1)
    service.as_owner(
        "create function private.refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end'"
    )
    service.as_owner(
        "create trigger refuse before insert on webhook_deliveries for each row execute function private.refuse()"
    )
    for _ in range(tries):
        assert spread_all(service) == [0, 0, 0]
        service.connection.execute("update private.fan_outs set due_at = now()")
    service.as_owner("drop trigger refuse on webhook_deliveries")
    service.connection.execute("update private.fan_outs set due_at = now() + interval '1 minute'")
    service.connection.execute("delete from device_integrations where id = any (%s)", ([second, third],))
    service.run("select private.resolve_alerts(%s, 'It works.')", failing)
    meanwhile = lease_told(service)
    service.connection.execute("update private.fan_outs set due_at = now()")

    spread_all(service)

    assert meanwhile == told
    assert lease_told(service) == ["alert.raised"] * PEOPLE


def test_what_fails_for_good_hides_no_other_webhook_that_is_late(service: Service) -> None:
    source, failing, late = (service.make_integration() for _ in range(3))
    for webhook, count in ((failing, 150), (late, 1)):
        service.as_owner(
            "insert into private.fan_outs (organization_id, webhook_id, first_id, integration_id, event_id)"
            " select %s, %s, gen_random_uuid(), %s, gen_random_uuid() from generate_series(1, %s)",
            service.organization_id,
            webhook,
            source,
            count,
        )
    find = "select private.find_unspread(%s, %s) is not null"

    found = [service.one(find, service.organization_id, each) for each in (failing, late, source)]

    assert found == [True, True, False]
