"""Messages to people: one for each event and person, when they may be told, what waits as one message with a list."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import psycopg
import pytest

from shared.provider.notices.recipient import Recipient
from tests.database.fixtures import Row, Service, make_messages
from tests.database.notices import ADA, BOB, lease_notices, make_notifier, pass_seconds, raise_alerts
from tests.database.queue import finish, lease, make_webhook
from tests.database.test_rows_read import count_reads
from tests.stack import Stack


def show(service: Service, notifier: str) -> dict[str, int]:
    """How many of its deliveries have which status."""
    rows = service.run(
        "select status, count(*)::int as n from webhook_deliveries where integration_id = %s group by 1",
        notifier,
    )
    return {row["status"]: row["n"] for row in rows}


def tell(service: Service, seconds: float = 1.5) -> list[tuple[str, int]]:
    """Lease and deliver what goes to people now, and let time pass: to whom, and of how much more each tells."""
    leased = lease_notices(service)
    if leased:
        finish(service, leased, "delivered", reference="SM1")
    pass_seconds(service, seconds)
    return [(row["notice"]["recipient"], row["notice"]["gathered"]["count"]) for row in leased]


def quiet(hours_ago: int, hours_on: int) -> dict[str, str]:
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=hours_ago), now + timedelta(hours=hours_on)
    return {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}


def test_each_event_is_one_delivery_for_each_person_it_is_serious_enough_for(service: Service) -> None:
    notifier = make_notifier(service, ADA, BOB | {"level": "error"})

    raise_alerts(service, 1, "warning")
    raise_alerts(service, 1, "error", "webhook.gone")

    rows = service.run(
        "select recipient from webhook_deliveries where integration_id = %s order by 1", notifier
    )
    assert [row["recipient"] for row in rows] == ["Ada", "Ada", "Bob"]


def test_the_same_event_is_never_queued_twice_for_a_person(service: Service) -> None:
    make_notifier(service)
    raise_alerts(service, 1)

    again = (
        "insert into webhook_deliveries"
        " (organization_id, integration_id, event_type, message_id, message_received_at, recipient)"
        " select organization_id, integration_id, event_type, message_id, message_received_at, recipient"
        " from webhook_deliveries where recipient is not null"
    )

    with pytest.raises(psycopg.errors.UniqueViolation), service.connection.transaction():
        service.connection.execute(again)


def test_events_of_devices_are_for_everybody_and_queued_by_ingest(service: Service) -> None:
    notifier = make_notifier(service, ADA, BOB, events=["device.*"])

    counts = service.ingest(service.make_integration(), make_messages(3))

    assert counts["deliveries"] == 6
    assert show(service, notifier) == {"pending": 6}


@pytest.mark.parametrize(
    "recipients",
    [["Ada", "Bob"], [], {}, 5, [5, {"name": "Ada"}], [{"name": "Ada"}, {"name": "Ada"}], [{"name": 5}, {}]],
)
def test_recipients_written_past_the_api_keep_nobody_from_storing(service: Service, recipients: Any) -> None:
    service.make_integration("twilio", events=["*", "alert.*"], recipients=recipients)

    counts = service.ingest(service.make_integration(), make_messages(2))
    raise_alerts(service, 1)

    assert counts["stored"] == 2
    assert counts["deliveries"] == 2


def test_the_first_is_told_at_once_and_a_storm_as_one_message_with_the_list(service: Service) -> None:
    notifier = make_notifier(service)
    raise_alerts(service, 40)

    told = [tell(service) for _ in range(4)]

    assert told == [[("Ada", 0)], [("Ada", 38)], [], []]
    assert show(service, notifier) == {"delivered": 40}


def test_few_are_told_one_by_one_and_more_wait_for_the_end_of_the_window(service: Service) -> None:
    make_notifier(service, digest_after=2, digest_seconds=60)

    told = []
    for _ in range(4):
        raise_alerts(service, 1)
        told.append(tell(service))
    late = [tell(service, 30), tell(service, 30), tell(service)]

    assert told == [[("Ada", 0)], [("Ada", 0)], [], []]
    assert late == [[], [], [("Ada", 1)]]


def test_nobody_gets_more_messages_in_an_hour_than_they_may(service: Service) -> None:
    make_notifier(service, ADA | {"rate_limit_per_hour": 2}, digest_after=100)
    for _ in range(2):
        raise_alerts(service, 1)
        assert tell(service) == [("Ada", 0)]

    raise_alerts(service, 3)

    assert tell(service, 1800) == []
    assert tell(service, 1801) == []
    assert tell(service) == [("Ada", 2)]


def test_in_quiet_hours_errors_are_told_and_the_rest_at_their_end_as_one(service: Service) -> None:
    make_notifier(service, ADA | {"quiet_hours": quiet(1, 2)})
    raise_alerts(service, 3, "warning")
    raise_alerts(service, 1, "error", "webhook.gone")

    at_once = lease_notices(service)
    finish(service, at_once, "delivered")
    pass_seconds(service, 60)
    meanwhile = lease_notices(service)
    end = "update device_integrations set settings = settings #- '{recipients,0,quiet_hours}'"
    service.connection.execute(f"{end} where settings ? 'recipients'")
    pass_seconds(service, 3 * 3600)
    later = tell(service)

    assert [row["payload"]["level"] for row in at_once] == ["error"]
    assert meanwhile == []
    assert later == [("Ada", 2)]


def test_who_wants_no_errors_in_quiet_hours_gets_none(service: Service) -> None:
    make_notifier(service, ADA | {"quiet_hours": quiet(1, 2), "quiet_errors": False})
    raise_alerts(service, 1, "error")

    assert tell(service) == []


@pytest.mark.parametrize(
    ("zone", "hours", "at", "until"),
    [
        ("Europe/Berlin", ("22:00", "07:00"), "2026-01-10 21:30Z", "2026-01-11 06:00Z"),
        ("Europe/Berlin", ("22:00", "07:00"), "2026-01-10 05:30Z", "2026-01-10 06:00Z"),
        ("Europe/Berlin", ("22:00", "07:00"), "2026-01-10 06:00Z", None),
        ("Europe/Berlin", ("22:00", "07:00"), "2026-07-10 20:00Z", "2026-07-11 05:00Z"),
        ("America/New_York", ("12:00", "13:00"), "2026-01-10 17:30Z", "2026-01-10 18:00Z"),
        ("UTC", ("12:00", "12:00"), "2026-01-10 12:00Z", None),
        ("Nowhere/Land", ("00:00", "23:59"), "2026-01-10 12:00Z", None),
        ("UTC", ("half past", "23:59"), "2026-01-10 12:00Z", None),
    ],
)
def test_quiet_hours_end_by_the_clock_of_whoever_sleeps(
    service: Service, zone: str, hours: tuple[str, str], at: str, until: str | None
) -> None:
    found = service.one(
        "select private.end_quiet(jsonb_build_object('time_zone', %s::text,"
        " 'quiet_hours', jsonb_build_object('start', %s::text, 'end', %s::text)), %s::timestamptz)",
        zone, *hours, at,
    )  # fmt: skip

    assert found == (until and datetime.fromisoformat(until))


def test_every_zone_that_is_taken_has_the_same_clock_in_postgres(service: Service) -> None:
    taken = []
    for name in (
        *available_timezones(),
        "localtime",
        "posixrules",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
    ):
        with suppress(ValueError):
            taken.append(Recipient(name="Ada", time_zone=name).time_zone)
    moments = [datetime(2020, month, 15, 12, tzinfo=UTC) for month in (1, 7)]

    known = service.run(
        "select z.name, t.at, t.at at time zone z.name as clock"
        " from pg_timezone_names z cross join unnest(%s::timestamptz[]) t(at) where z.name = any (%s)",
        moments,
        taken,
    )

    assert len(known) > 600
    assert {"UTC", "Europe/Berlin"} <= {*taken}
    assert {"CET", "localtime", "posix/Europe/Berlin"}.isdisjoint(taken)
    wrong = [
        row["name"]
        for row in known
        if row["at"].astimezone(ZoneInfo(row["name"])).replace(tzinfo=None) != row["clock"]
    ]
    assert wrong == []


def test_one_message_to_a_person_is_under_way_at_a_time_and_others_are_told_meanwhile(
    service: Service,
) -> None:
    make_notifier(service, ADA)
    make_notifier(service, BOB)
    raise_alerts(service, 1)
    first = lease_notices(service)
    raise_alerts(service, 1, kind="webhook.gone")

    second = lease_notices(service)

    assert sorted(row["notice"]["recipient"] for row in first) == ["Ada", "Bob"]
    assert second == []


def test_what_was_gathered_stays_together_when_a_sender_dies_and_may_have_gone(service: Service) -> None:
    make_notifier(service)
    raise_alerts(service, 5)
    tell(service)
    (leased,) = lease_notices(service)
    pass_seconds(service, 120)
    raise_alerts(service, 1)
    (again,) = [row for row in lease_notices(service) if row["id"] == leased["id"]]

    assert leased["notice"]["gathered"]["count"] == 3
    assert again["notice"]["gathered"] == leased["notice"]["gathered"]
    assert (leased["notice"]["is_repeat"], again["notice"]["is_repeat"]) == (False, True)


def test_somebody_who_is_no_recipient_any_more_is_not_told(service: Service) -> None:
    notifier = make_notifier(service, ADA)
    raise_alerts(service, 2)
    service.connection.execute(
        "update device_integrations set settings = jsonb_set(settings, '{recipients,0,name}', '\"Cy\"') where id = %s",
        (notifier,),
    )

    assert tell(service) == []
    assert show(service, notifier) == {"cancelled": 2}


def list_alerts(service: Service, notifier: str) -> list[Row]:
    return service.run(
        "select kind, details -> 'recipients' as missed, resolved_at is null as is_open from alerts"
        " where integration_id = %s order by id",
        notifier,
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("recipient_refused: The number is wrong.", "notice.unreachable"),
        ("recipient_opted_out: They have asked not to be told.", "notice.opted_out"),
        ("account_refused: The account is suspended.", "notice.account"),
    ],
)
def test_a_refusal_is_an_alert_in_its_own_words_until_they_are_told_again(
    service: Service, error: str, kind: str
) -> None:
    notifier = make_notifier(service, ADA, BOB)
    raise_alerts(service, 1)
    leased = {row["notice"]["recipient"]: row for row in lease_notices(service)}
    finish(service, [leased["Ada"]], "dead", error=error)
    (alert,) = list_alerts(service, notifier)
    finish(service, [leased["Bob"]], "delivered", reference="x")
    still = list_alerts(service, notifier)
    pass_seconds(service, 2)
    raise_alerts(service, 1)
    finish(service, lease_notices(service), "delivered", reference="y")

    assert (alert["kind"], alert["missed"]) == (kind, {"Ada": error.partition(": ")[2]})
    assert [row["is_open"] for row in still] == [kind != "notice.account"]
    assert [row["is_open"] for row in list_alerts(service, notifier)] == [False]


def test_ten_wrong_numbers_do_not_stop_what_goes_to_others(service: Service) -> None:
    wrong = [{"name": f"Wrong {n}", "to": "+49"} for n in range(12)]
    notifier = make_notifier(service, *wrong, max_concurrent=100)
    raise_alerts(service, 1)

    finish(service, lease_notices(service), "dead", error="recipient_refused: The number is wrong.")

    assert (
        service.one("select circuit from webhook_endpoints where integration_id = %s", notifier) == "closed"
    )


def report(service: Service, notifier: str, delivery: Row, word: str, **more: str) -> None:
    said = {
        "delivery_id": delivery["id"],
        "reference": "SM1",
        "report": word,
        "outcome": "",
        "error": "Unknown.",
    }
    said |= more
    service.connection.execute(
        "select take_callback(%s, jsonb_build_object('reports', jsonb_build_array(%s::jsonb)))",
        (notifier, psycopg.types.json.Jsonb(said)),
    )


def read_report(service: Service, delivery: Row) -> tuple[str, str | None]:
    (row,) = service.run("select status, report from webhook_deliveries where id = %s", delivery["id"])
    return row["status"], row["report"]


def test_reports_in_any_order_and_more_than_once_never_go_back(service: Service) -> None:
    notifier = make_notifier(service)
    raise_alerts(service, 1)
    (leased,) = lease_notices(service)
    finish(service, [leased], "delivered", reference="SM1")

    seen = []
    for word in ("sent", "delivered", "queued", "sent", "delivered", "read", "delivered"):
        report(service, notifier, leased, word)
        seen.append(read_report(service, leased)[1])

    assert seen == ["sent", "delivered", "delivered", "delivered", "delivered", "read", "read"]


def test_a_message_that_did_not_arrive_is_dead_and_an_alert_and_of_another_nothing_is_believed(
    service: Service,
) -> None:
    notifier = make_notifier(service)
    raise_alerts(service, 1)
    (leased,) = lease_notices(service)
    finish(service, [leased], "delivered", reference="SM1")

    report(service, notifier, leased, "undelivered", outcome="undelivered", reference="SM of another")
    before = read_report(service, leased)
    report(service, notifier, leased, "undelivered", outcome="undelivered")

    assert before == ("delivered", None)
    assert read_report(service, leased) == ("dead", "undelivered")
    assert [(row["kind"], row["missed"]) for row in list_alerts(service, notifier)] == [
        ("notice.undelivered", {"Ada": "Unknown."})
    ]


def test_a_report_that_comes_before_the_answer_is_known_tells_that_it_was_taken(service: Service) -> None:
    notifier = make_notifier(service)
    raise_alerts(service, 1)
    (leased,) = lease_notices(service)
    report(service, notifier, leased, "sent")
    pass_seconds(service, 120)

    (again,) = lease_notices(service)

    assert again["notice"]["reference"] == "SM1"


def test_a_call_that_nobody_answers_is_tried_again_as_often_as_the_schedule_says(service: Service) -> None:
    notifier = make_notifier(service, retry_schedule=[5])
    raise_alerts(service, 1)
    seen = []
    for sid in ("CA1", "CA2"):
        (leased,) = lease_notices(service)
        finish(service, [leased], "delivered", reference=sid)
        report(service, notifier, leased, "no-answer", outcome="again", reference=sid)
        seen.append(read_report(service, leased))
        pass_seconds(service, 61)

    assert seen == [("pending", "again"), ("dead", "no-answer")]
    assert [row["kind"] for row in list_alerts(service, notifier)] == ["notice.undelivered"]


def acknowledge(service: Service, notifier: str, **said: Any) -> Any:
    (told,) = service.one(
        "select take_callback(%s, jsonb_build_object('acknowledgements', jsonb_build_array(%s::jsonb)))",
        notifier,
        psycopg.types.json.Jsonb(said),
    )
    return told


def test_an_alert_is_acknowledged_by_its_code_by_whom_was_told_of_it_alone(service: Service) -> None:
    notifier = make_notifier(service, ADA, BOB | {"level": "error"})
    raise_alerts(service, 1)
    (leased,) = lease_notices(service)
    code = leased["payload"]["code"]

    stranger = acknowledge(service, notifier, recipient="Bob", code=code)
    wrong = acknowledge(service, notifier, recipient="Ada", code="BBBBB")
    first = acknowledge(service, notifier, recipient="Ada", code=code.lower())
    second = acknowledge(service, notifier, recipient="Ada", delivery_id=leased["id"])

    assert (stranger, wrong) == (None, None)
    assert (first["is_first"], second["is_first"], second["code"]) == (True, False, code)
    (alert,) = service.run("select acknowledged_at, details from alerts where acknowledged_at is not null")
    assert alert["details"]["acknowledged_by"] == "Ada"


def test_whoever_has_opted_out_is_not_told_until_they_want_to_be(service: Service) -> None:
    notifier = make_notifier(service)
    wish = "jsonb_build_object('is_out', %s = 'out', 'address_hash', encode(sha256('+491701234567'), 'hex'))"
    out = f"select take_callback(%s, jsonb_build_object('opt_outs', jsonb_build_array({wish})))"
    service.run(out, notifier, "out")
    raise_alerts(service, 2)
    told = tell(service)
    refused = show(service, notifier)
    service.run(out, notifier, "in")
    raise_alerts(service, 1)

    assert told == []
    assert refused == {"dead": 2}
    assert [row["kind"] for row in list_alerts(service, notifier)] == ["notice.opted_out"]
    assert tell(service) == [("Ada", 0)]


def test_a_storm_of_one_organization_is_gathered_in_steps_and_keeps_nobody_else_waiting(
    service: Service, stack: Stack
) -> None:
    people = [{"name": f"P{n}", "to": f"+4917012345{n:02d}"} for n in range(10)]
    make_notifier(service, *people, events=["device.*"], max_concurrent=100, rate_limit_per_minute=10_000)
    source = service.make_integration()
    service.ingest(source, make_messages(400))
    quiet = Service(service.connection, str(stack.user("owner", 1).organization_id))
    make_webhook(quiet)
    gathered = []
    for _ in range(8):
        quiet.ingest(quiet.make_integration(), make_messages(1))
        leased = lease(service, 400)
        gathered.append(sum(row["notice"]["gathered"]["count"] for row in leased if row["notice"]))
        assert [row["organization_id"] for row in leased if not row["notice"]] == [quiet.organization_id]
        finish(service, leased, "delivered", reference="SM1")
        pass_seconds(service, 2)

    assert sum(gathered) == 10 * 398
    assert max(gathered) <= 1_000


def test_who_is_to_be_told_is_looked_up_among_what_was_picked_alone(service: Service) -> None:
    people = [{"name": f"P{n}", "to": f"+4917012345{n:02d}"} for n in range(50)]
    for _ in range(10):
        # Planned for good while nothing waits.
        service.one("select private.gather_notices(array[gen_random_uuid()])")
    make_notifier(service, *people, events=["device.*"])
    service.ingest(service.make_integration(), make_messages(60))
    make_webhook(service)
    service.ingest(service.make_integration(), make_messages(3))
    picked = service.one("select array_agg(id) from webhook_deliveries where recipient is null")
    before = count_reads(service, "webhook_deliveries")

    assert service.one("select private.gather_notices(%s)", picked) == picked
    assert len(picked) == 3
    assert count_reads(service, "webhook_deliveries") - before < 10
