"""Reports that come twice, late, early or of what was sent before: what they change, and that all is still counted."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service
from tests.database.notices import ADA, lease_notices, make_notifier, pass_seconds, raise_alerts
from tests.database.queue import finish

SUMS = "select enqueued, deliveries, dead, cancelled from private.sum_totals() where integration_id = %s"
OPEN = "select count(*) from webhook_deliveries where integration_id = %s and status in ('pending', 'delivering')"
ALERTS = "select kind from alerts where integration_id = %s and resolved_at is null"


def report(service: Service, delivery: Row, sid: str, word: str, outcome: str = "") -> None:
    said = {
        "delivery_id": delivery["id"],
        "reference": sid,
        "report": word,
        "outcome": outcome,
        "error": "Unknown.",
    }
    service.connection.execute(
        "select take_callback(%s, %s)", (delivery["integration_id"], Jsonb({"reports": [said]}))
    )


def read(service: Service, delivery: Row) -> tuple[str, str | None, str | None]:
    (row,) = service.run(
        "select status, reference, report from webhook_deliveries where id = %s", delivery["id"]
    )
    return row["status"], row["reference"], row["report"]


def count(service: Service, notifier: str) -> dict[str, int]:
    """Of an integration what was queued and ended; that nothing is missing is asserted here."""
    service.connection.execute("reset role")
    (row,) = service.run(SUMS, notifier)
    service.connection.execute("set local role service_role")
    assert row["enqueued"] == row["deliveries"] + row["dead"] + row["cancelled"] + service.one(OPEN, notifier)
    return dict(row)


def call(service: Service, sid: str) -> Row:
    """Make the call that is due, as `sid`."""
    (leased,) = lease_notices(service)
    finish(service, [leased], "delivered", reference=sid)
    return leased


@pytest.fixture
def notifier(service: Service) -> str:
    made = make_notifier(service, retry_schedule=[5, 5])
    raise_alerts(service, 1)
    return made


@pytest.mark.parametrize("word", ["no-answer", "initiated", "ringing", "completed"])
def test_reports_of_a_call_that_nobody_answered_do_not_pass_for_the_next_one(
    service: Service, notifier: str, word: str
) -> None:
    leased = call(service, "CA1")
    report(service, leased, "CA1", "no-answer", "again")
    report(service, leased, "CA1", word, "again" if word == "no-answer" else "")
    pass_seconds(service, 61)
    (again,) = lease_notices(service)
    report(service, leased, "CA1", word)
    during = read(service, leased)
    finish(service, [again], "delivered", reference="CA2")
    report(service, leased, "CA1", word)
    report(service, leased, "CA2", "completed")

    assert again["notice"]["reference"] is None
    assert during == ("delivering", "CA1", "again")
    assert read(service, leased) == ("delivered", "CA2", "completed")
    assert service.run(ALERTS, notifier) == []
    assert count(service, notifier) == {"enqueued": 2, "deliveries": 2, "dead": 0, "cancelled": 0}


@pytest.mark.parametrize(("word", "outcome"), [("undelivered", "undelivered"), ("busy", "again")])
def test_what_did_not_arrive_is_known_also_before_whoever_sent_it_knows_that_it_was_taken(
    service: Service, notifier: str, word: str, outcome: str
) -> None:
    (leased,) = lease_notices(service)
    report(service, leased, "SM1", word, outcome)
    late = finish(service, [leased], "delivered", reference="SM1")

    assert late["late"] == 1
    if outcome == "again":
        assert read(service, leased) == ("pending", "SM1", "again")
        assert service.run(ALERTS, notifier) == []
    else:
        assert read(service, leased) == ("dead", "SM1", "undelivered")
        assert [row["kind"] for row in service.run(ALERTS, notifier)] == ["notice.undelivered"]
        assert count(service, notifier)["dead"] == 1


def test_reports_of_the_first_message_say_nothing_of_its_replay(service: Service, notifier: str) -> None:
    leased = call(service, "SM1")
    report(service, leased, "SM1", "delivered")
    service.as_owner("select private.queue_again(array[%s]::uuid[])", leased["id"])
    report(service, leased, "SM1", "undelivered", "undelivered")
    report(service, leased, "SM of nobody", "undelivered", "undelivered")
    waiting = read(service, leased)
    (again,) = lease_notices(service)
    report(service, leased, "SM2", "sent")
    finish(service, [again], "delivered", reference="SM2")
    early = read(service, leased)
    report(service, leased, "SM2", "undelivered", "undelivered")

    assert count(service, notifier) == {"enqueued": 3, "deliveries": 2, "dead": 1, "cancelled": 0}
    assert waiting == ("pending", "SM1", "again")
    assert early == ("delivered", "SM2", "sent")
    assert read(service, leased) == ("dead", "SM2", "undelivered")


def test_a_message_that_did_not_arrive_counts_as_dead_with_all_it_told_of(service: Service) -> None:
    notifier = make_notifier(service, ADA, digest_after=1)
    raise_alerts(service, 1)
    call(service, "SM1")
    raise_alerts(service, 3)
    assert lease_notices(service) == []
    pass_seconds(service, 400)
    leased = call(service, "SM2")
    report(service, leased, "SM2", "undelivered", "undelivered")

    assert leased["notice"]["gathered"]["count"] == 2
    assert count(service, notifier) == {"enqueued": 7, "deliveries": 4, "dead": 3, "cancelled": 0}


def test_nobody_is_believed_of_what_was_never_sent(service: Service, notifier: str) -> None:
    (waiting,) = service.run(
        "select id::text, integration_id from webhook_deliveries where integration_id = %s", notifier
    )
    report(service, waiting, "SM1", "delivered")

    assert read(service, waiting) == ("pending", None, None)


def test_who_opts_out_fills_no_table_and_takes_nobodys_place(service: Service) -> None:
    notifier = make_notifier(service)
    service.as_owner(
        "insert into private.opt_outs (integration_id, organization_id, address_hash)"
        " select i.id, i.organization_id, encode(sha256(convert_to(n::text, 'UTF8')), 'hex')"
        " from device_integrations i cross join generate_series(1, 10000) n where i.id = %s",
        notifier,
    )
    hashes: list[dict[str, Any]] = [
        {"is_out": True, "address_hash": service.one(f"select encode(sha256('{number}'), 'hex')")}
        for number in (ADA["to"], "+15550000000")
    ]
    service.one("select take_callback(%s, %s)", notifier, Jsonb({"opt_outs": hashes}))

    kept = service.run(
        "select address_hash from private.opt_outs where integration_id = %s and address_hash = any (%s)",
        notifier,
        [each["address_hash"] for each in hashes],
    )
    assert [row["address_hash"] for row in kept] == [hashes[0]["address_hash"]]


def test_what_went_to_the_same_number_under_another_name_is_known(service: Service) -> None:
    people = [ADA, ADA | {"name": "Ada, at night"}, {"name": "Bob", "to": "+491701234568"}]
    make_notifier(service, *people)
    raise_alerts(service, 1)
    leased = {row["notice"]["recipient"]: row for row in lease_notices(service)}
    first = [row["notice"]["known"] for row in leased.values()]
    finish(service, [leased["Ada, at night"]], "delivered", reference="CA1")
    finish(service, [leased["Bob"]], "delivered", reference="CA2")
    finish(service, [leased["Ada"]], "retry", retry_seconds=0, error="timeout: No answer.")
    pass_seconds(service, 5)

    (again,) = lease_notices(service)

    assert first == [[], [], []]
    assert (again["notice"]["recipient"], again["notice"]["known"]) == ("Ada", ["CA1"])
