"""`receiver_configs` and `receive_messages`: who is known, what was there already, and each integration's bucket."""

from __future__ import annotations

import uuid
from typing import Any

from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages


def receive(
    service: Service, integration: str, messages: list[Row], requests: int = 1, limit: int = 60
) -> Row:
    """What `receive_messages` tells of one integration."""
    service.set_budget("receive", "integration", limit)
    post = {"integration_id": integration, "messages": messages, "requests": requests}
    told: Row = service.one("select receive_messages(%s)", Jsonb([post]))
    return dict(told[integration])


def read_wait(service: Service, integration: str, limit: int = 60) -> Any:
    service.set_budget("receive", "integration", limit)
    return service.one("select receiver_configs(array[%s]::uuid[])", integration)[0]["wait_seconds"]


def test_only_integrations_that_are_there_and_not_inactive_are_known(service: Service) -> None:
    known = {
        status: service.make_integration("golioth", project_id=status)
        for status in ("active", "error", "inactive")
    }
    for status, integration in known.items():
        service.run(
            "update device_integrations set status = %s where id = %s returning id", status, integration
        )

    rows = service.one(
        "select receiver_configs(array[%s, %s, %s, gen_random_uuid()]::uuid[])", *known.values()
    )

    assert {row["settings"]["project_id"] for row in rows} == {"active", "error"}


def test_the_places_of_what_was_there_already_are_named(service: Service) -> None:
    integration, (first, second, third) = service.make_integration(), make_messages(3)
    receive(service, integration, [second])

    counts = receive(service, integration, [first, second, third, first])

    assert (counts["stored"], counts["duplicates"], sorted(counts["repeated"])) == (2, 2, [2, 4])


def test_no_places_are_named_where_nobody_asks(service: Service) -> None:
    assert "repeated" not in service.ingest(service.make_integration(), make_messages(1))


def test_a_bucket_lets_as_many_requests_pass_as_its_limit_and_then_asks_to_wait(service: Service) -> None:
    integration = service.make_integration()

    receive(service, integration, make_messages(1), requests=5, limit=6)
    before = read_wait(service, integration, limit=6)
    receive(service, integration, make_messages(1), requests=1, limit=6)

    assert before == 0
    assert 0 < read_wait(service, integration, limit=6) <= 10


def test_what_went_over_the_limit_is_waited_for_too(service: Service) -> None:
    integration = service.make_integration()

    receive(service, integration, make_messages(1), requests=7, limit=6)

    assert 10 < read_wait(service, integration, limit=6) <= 20


def test_a_limit_of_nothing_is_no_limit(service: Service) -> None:
    integration = service.make_integration()

    receive(service, integration, make_messages(1), requests=1_000, limit=0)

    assert read_wait(service, integration, limit=0) == 0
    assert service.run("select 1 from private.rate_limits where subject = %s", integration) == []


def test_the_buckets_of_integrations_are_apart(service: Service) -> None:
    busy, idle = service.make_integration(), service.make_integration()

    receive(service, busy, make_messages(1), requests=600)

    assert read_wait(service, idle) == 0


def test_what_one_integration_is_refused_the_others_do_not_notice(service: Service) -> None:
    good, gone, bad = service.make_integration(), str(uuid.uuid4()), service.make_integration()
    batches = {gone: make_messages(1), bad: make_messages(2, observed_at="never"), good: make_messages(3)}
    posts = [{"integration_id": name, "messages": batch, "requests": 1} for name, batch in batches.items()]

    told = service.one("select receive_messages(%s)", Jsonb(posts))

    assert told[good]["stored"] == 3
    assert (told[gone]["problem"]["code"], told[bad]["problem"]["code"]) == ("PT404", "22007")
    assert service.one("select count(*) from device_messages where integration_id = %s", bad) == 0


def report_refusals(service: Service, *integrations: str) -> None:
    service.one("select receiver_configs('{}', %s::uuid[])", list(integrations))


def read_alerts(service: Service, integration: str) -> list[Row]:
    return service.run("select * from alerts where integration_id = %s order by id", integration)


def test_many_refused_requests_are_one_alert_however_often_they_are_told(service: Service) -> None:
    integration = service.make_integration("golioth")

    for _ in range(3):
        report_refusals(service, integration)

    (alert,) = read_alerts(service, integration)
    assert (alert["kind"], alert["level"], alert["resolved_at"]) == ("receive.refused", "warning", None)
    activity = service.run("select message from integration_activity where integration_id = %s", integration)
    assert [entry["message"] for entry in activity] == [alert["message"]]


def test_refusals_of_an_integration_that_is_gone_are_told_to_nobody(service: Service) -> None:
    gone = str(uuid.uuid4())

    report_refusals(service, gone)

    assert read_alerts(service, gone) == []


def test_the_alert_ends_two_hours_after_the_last_refusals_and_may_come_again(service: Service) -> None:
    quiet, loud = service.make_integration("golioth"), service.make_integration("golioth")
    report_refusals(service, quiet, loud)
    service.run(
        "update alerts set details = jsonb_build_object('last_at', now() - interval '3 hours') "
        "where integration_id = any (%s::uuid[]) returning id",
        [quiet, loud],
    )
    report_refusals(service, loud)

    pruned = service.one("select prune_refusals()")
    report_refusals(service, quiet)

    assert pruned["refusals"] >= 1
    ended = {
        name: [bool(alert["resolved_at"]) for alert in read_alerts(service, name)] for name in (quiet, loud)
    }
    assert ended == {quiet: [True, False], loud: [False]}
