"""Every kind of alert: what causes it raises it once and tells it once, what ends it resolves it and tells that."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.database.fixtures import Row, Service, make_messages
from tests.database.queue import enqueue, finish, lease, make_webhook, pass_time
from tests.database.test_jobs import begin_job
from tests.database.test_jobs import finish as finish_job
from tests.database.test_jobs import lease as lease_jobs
from tests.stack import Stack

Step = Callable[[Service, str], None]


def judge(service: Service) -> Row:
    """Everything is judged, however lately it was."""
    judged: Row = service.one("select judge_integrations(1000, 0, 3600)")
    assert judged["broken"] == {}
    return judged


def tell_of(service: Service, listener: str) -> list[tuple[str, str]]:
    """What the listener is sent of alerts: the event and the kind."""
    rows = service.run(
        "select d.event_type, e.payload ->> 'kind' as kind from webhook_deliveries d"
        " join integration_events e on e.id = d.message_id"
        " where d.integration_id = %s and d.event_type like 'alert.%%'"
        " order by (e.payload ->> 'id')::int, d.event_type",
        listener,
    )
    return [(row["event_type"], row["kind"]) for row in rows]


def fail_session(service: Service, integration: str, code: str, times: int = 1) -> None:
    for _ in range(times):
        service.connection.execute("update integration_schedules set due_at = now()")
        leased = service.lease(integration)
        service.run("select finish_session(%s, %s, 'Not authorized.')", integration, leased["lease_token"])
        service.run("select explain_failure(%s, %s, 'Not authorized.')", integration, code)


def end_session_well(service: Service, integration: str) -> None:
    service.connection.execute("update integration_schedules set due_at = now()")
    leased = service.lease(integration)
    service.run("select finish_session(%s, %s)", integration, leased["lease_token"])


def note(service: Service, integration: str, level: str, alert: str, alert_level: str | None = None) -> None:
    notes = [{"level": level, "message": "A note.", "alert": alert, "alert_level": alert_level}]
    service.run("select record_activity(%s, 'session', %s)", integration, Jsonb(notes))


def fall_silent(service: Service, integration: str) -> None:
    service.ingest(integration, make_messages(1))
    service.connection.execute("update integration_facts set last_at = now() - interval '2 hours'")


def speak(service: Service, integration: str) -> None:
    service.connection.execute("update integration_facts set last_at = now() - interval '2 hours'")
    service.ingest(integration, make_messages(1))
    service.connection.execute("update integration_facts set last_at = now() where direction = 'in'")


def send_nonsense(service: Service, integration: str) -> None:
    service.ingest(integration, make_messages(5))
    service.ingest(integration, make_messages(5, error="not JSON", payload=None, raw="%%"))


def send_sense(service: Service, integration: str) -> None:
    service.ingest(integration, make_messages(200))


def lose_devices(service: Service, integration: str) -> None:
    if not service.run("select from devices where integration_id = %s", integration):
        service.ingest(integration, make_messages(1, "pump"))
    service.connection.execute("update devices set last_seen_at = now() - interval '2 hours'")


def find_devices(service: Service, integration: str) -> None:
    service.ingest(integration, make_messages(1, "pump"))


def attempt(service: Service, webhook: str, outcome: str, **fields: Any) -> None:
    service.ingest(service.make_integration(), make_messages(1))
    pass_time(service, 61)
    finish(service, [row for row in lease(service) if row["integration_id"] == webhook], outcome, **fields)


def render(service: Service, webhook: str, missing: list[str], times: int = 1) -> None:
    for _ in range(times):
        attempt(service, webhook, "delivered", status_code=200, missing=missing)


def die(service: Service, webhook: str) -> None:
    attempt(service, webhook, "dead", status_code=500)


def replay(service: Service, webhook: str) -> None:
    service.connection.execute(
        "update webhook_deliveries set status = 'delivered' where integration_id = %s", (webhook,)
    )


def wait_long(service: Service, webhook: str) -> None:
    service.ingest(service.make_integration(), make_messages(1))
    service.connection.execute(
        "update webhook_deliveries set due_at = now() - interval '10 minutes' where integration_id = %s",
        (webhook,),
    )


def push_much(service: Service, integration: str) -> None:
    service.connection.execute(
        "insert into private.rate_limits (subject, budget, full_at)"
        " values (%s, 'receive', now() + interval '55 seconds') on conflict do nothing",
        (integration,),
    )


def push_little(service: Service, integration: str) -> None:
    service.as_owner("delete from private.rate_limits where subject = %s", integration)
    pass_minutes(service, 15)


def pass_minutes(service: Service, minutes: int) -> None:
    service.connection.execute(
        "update alerts set updated_at = updated_at - make_interval(mins => %s)", (minutes,)
    )


def refuse_topics(service: Service, integration: str) -> None:
    service.connection.execute(
        "update device_integrations set error_message = 'b/# is refused.' where id = %s", (integration,)
    )


def take_topics(service: Service, integration: str) -> None:
    service.connection.execute(
        "update device_integrations set error_message = null where id = %s", (integration,)
    )


def end_sync(service: Service, integration: str, outcome: str) -> None:
    begin_job(service, integration, "sync")
    (held,) = lease_jobs(service)
    finish_job(service, held, outcome, "No end." if outcome == "failed" else None)


Case = tuple[Callable[[Service], str], Step, Step]


def note_until_good(kind: str) -> Case:
    return (
        Service.make_integration,
        lambda service, made: note(service, made, "warning", kind, "error"),
        lambda service, made: note(service, made, "info", kind),
    )


def note_for_an_hour(kind: str) -> Case:
    return (
        Service.make_integration,
        lambda service, made: note(service, made, "warning", kind),
        lambda service, _: pass_minutes(service, 61),
    )


CASES: dict[str, Case] = {
    "integration.failing": (
        Service.make_integration,
        lambda service, made: fail_session(service, made, "connection_refused"),
        end_session_well,
    ),
    "authentication.failed": (
        Service.make_integration,
        lambda service, made: fail_session(service, made, "credentials_refused", 3),
        end_session_well,
    ),
    "sync.failing": (
        Service.make_integration,
        lambda service, made: end_sync(service, made, "failed"),
        lambda service, made: end_sync(service, made, "done"),
    ),
    "config.invalid": (
        Service.make_integration,
        lambda service, made: fail_session(service, made, "invalid_config"),
        end_session_well,
    ),
    "certificate.broker": (
        Service.make_integration,
        lambda service, made: fail_session(service, made, "certificate_expired"),
        end_session_well,
    ),
    **{kind: note_until_good(kind) for kind in ("certificate.client", "certificate.ca")},
    **{kind: note_for_an_hour(kind) for kind in ("broker.overflowed", "clock.skewed")},
    "integration.silent": (Service.make_integration, fall_silent, speak),
    "subscription.refused": (Service.make_integration, refuse_topics, take_topics),
    "messages.undecodable": (Service.make_integration, send_nonsense, send_sense),
    "devices.silent": (Service.make_integration, lose_devices, find_devices),
    "rate_limit.reached": (Service.make_integration, push_much, push_little),
    "delivery.dead": (make_webhook, die, replay),
    "delivery.late": (make_webhook, wait_long, replay),
    "template.unmatched": (
        make_webhook,
        lambda service, made: render(service, made, ["payload.temprature"], 3),
        lambda service, made: render(service, made, []),
    ),
    "certificate.endpoint": (
        make_webhook,
        lambda service, made: attempt(
            service, made, "retry", retry_seconds=0, error="tls_error: The certificate of x expired."
        ),
        lambda service, made: attempt(service, made, "delivered", status_code=200),
    ),
}


@pytest.fixture
def listener(service: Service) -> str:
    service.run("select record_heartbeat('{\"sessions\": 0}')")
    return make_webhook(service, events=["alert.*"])


@pytest.mark.parametrize("kind", CASES)
def test_what_causes_it_is_told_once_and_so_is_its_end(service: Service, listener: str, kind: str) -> None:
    make, cause, end = CASES[kind]
    about = make(service)

    for _ in range(2):
        cause(service, about)
        judge(service)
        judge(service)
    told = tell_of(service, listener)
    (raised,) = service.run(
        "select resolved_at is null as open, message, level from alerts where integration_id = %s and kind = %s",
        about,
        kind,
    )
    end(service, about)
    judge(service)

    assert told.count(("alert.raised", kind)) == 1
    assert ("alert.resolved", kind) not in told
    assert raised["open"]
    assert raised["message"]
    assert tell_of(service, listener).count(("alert.resolved", kind)) == 1
    assert tell_of(service, listener).count(("alert.raised", kind)) == 1


def test_a_webhook_that_is_refused_for_its_credentials_is_told_of(service: Service, listener: str) -> None:
    webhook = make_webhook(service)
    for _ in range(3):
        attempt(service, webhook, "retry", retry_seconds=0, status_code=401)

    judge(service)
    attempt(service, webhook, "delivered", status_code=200)
    judge(service)

    told = [event for event, kind in tell_of(service, listener) if kind == "authentication.failed"]
    assert told == ["alert.raised", "alert.resolved"]


def list_open(service: Service, integration: str) -> dict[str, str]:
    rows = service.run(
        "select kind, level from alerts where integration_id = %s and resolved_at is null", integration
    )
    return {row["kind"]: row["level"] for row in rows}


@pytest.mark.usefixtures("listener")
@pytest.mark.parametrize(
    ("lives", "left", "level"),
    [
        (365, 40, None),
        (365, 29, "warning"),
        (365, 6, "warning"),
        (365, 0.9, "error"),
        (45, 20, None),
        (45, 14, "warning"),
        (90, -1, "error"),
    ],
)
def test_the_certificate_of_an_endpoint_is_told_while_there_is_time_to_renew_it(
    service: Service, lives: float, left: float, level: str | None
) -> None:
    webhook, now = make_webhook(service), service.one("select extract(epoch from now())::float8")
    ends = now + left * 86_400

    attempt(service, webhook, "delivered", status_code=200, certificate=[ends - lives * 86_400, ends])
    judge(service)
    told = list_open(service, webhook)
    attempt(service, webhook, "retry", retry_seconds=0, error="timeout: Too late.")
    judge(service)
    after = list_open(service, webhook)
    attempt(service, webhook, "delivered", status_code=200, certificate=[now, now + 90 * 86_400])
    judge(service)

    assert told.get("certificate.endpoint") == after.get("certificate.endpoint") == level
    assert list_open(service, webhook) == {}


def end_session(service: Service, integration: str, certificate: list[float]) -> None:
    token = service.lease(integration)["lease_token"]
    summary = Jsonb({"certificate": certificate})
    service.one("select finish_session(%s, %s, p_summary => %s)", integration, token, summary)


def end_job(service: Service, integration: str, certificate: list[float]) -> None:
    service.run(
        "insert into integration_jobs (organization_id, integration_id, kind) values (%s, %s, 'sync') returning id",
        service.organization_id,
        integration,
    )
    job = next(
        row
        for row in service.run("select * from lease_jobs(10, 60)")
        if str(row["integration"]["id"]) == integration
    )
    service.one(
        "select finish_job(%s, %s, 'done', p_certificate => %s)",
        job["id"],
        job["lease_token"],
        Jsonb(certificate),
    )


def end_command(service: Service, integration: str, certificate: list[float]) -> None:
    service.run(
        "insert into devices (organization_id, integration_id, external_id, name)"
        " values (%s, %s, %s, 'd') returning id",
        service.organization_id,
        integration,
        str(uuid.uuid4()),
    )
    service.run(
        "insert into device_commands (device_id, name) select id, 'x' from devices where integration_id = %s"
        " order by created_at desc limit 1 returning id",
        integration,
    )
    leased: list[Row] = service.one("select lease_commands(64, 60)")["commands"]
    results = [
        {"id": row["id"], "lease_token": row["lease_token"], "outcome": "sent", "certificate": certificate}
        for row in leased
    ]
    service.one("select finish_commands(%s)", Jsonb(results))


@pytest.mark.usefixtures("listener")
@pytest.mark.parametrize("show", [end_session, end_job, end_command])
def test_the_certificate_of_an_api_that_is_asked_is_told_too(
    service: Service, show: Callable[[Service, str, list[float]], None]
) -> None:
    integration, now = service.make_integration(), service.one("select extract(epoch from now())::float8")
    told = []

    for left in (90, 20, 0.5, 90):
        show(service, integration, [now - 300 * 86_400, now + left * 86_400])
        judge(service)
        told.append(list_open(service, integration).get("certificate.endpoint"))

    assert told == [None, "warning", "error", None]


@pytest.mark.usefixtures("listener")
def test_a_new_address_is_looked_at_anew(service: Service) -> None:
    integration, now = service.make_integration(), service.one("select extract(epoch from now())::float8")
    end_session(service, integration, [now - 300 * 86_400, now + 86_400])
    judge(service)
    before = list_open(service, integration)
    service.connection.execute(
        'update device_integrations set settings = \'{"poll_url": "x"}\' where id = %s', (integration,)
    )
    judge(service)

    assert (before, list_open(service, integration)) == ({"certificate.endpoint": "warning"}, {})


@pytest.mark.usefixtures("listener")
def test_what_a_template_names_and_has_met_may_be_missing_a_hundred_times(service: Service) -> None:
    webhook, now = make_webhook(service), []
    render(service, webhook, [])
    for times in (99, 4):
        render(service, webhook, ["payload.temp", "payload.rare"], times)
        judge(service)
        now.append(list_open(service, webhook))
    render(service, webhook, ["payload.rare"])
    (gaps,) = service.run("select gaps from integration_facts where integration_id = %s", webhook)
    service.connection.execute(
        "update device_integrations set settings = settings || '{\"payload_template\": 1}' where id = %s",
        (webhook,),
    )
    judge(service)

    assert now == [{}, {"template.unmatched": "warning"}]
    assert gaps == {"gaps": {"payload.rare": 4}}
    assert list_open(service, webhook) == {}


@pytest.mark.usefixtures("listener")
def test_an_event_that_is_tried_again_and_again_counts_once(service: Service) -> None:
    webhook = make_webhook(service)
    enqueue(service, 1)
    for _ in range(5):
        rows = [row for row in lease(service) if row["integration_id"] == webhook]
        finish(service, rows, "retry", retry_seconds=0, status_code=500, missing=["payload.a"])
        pass_time(service, 61)

    assert service.one("select gaps from integration_facts where direction = 'out'") == {"payload.a": 1}


@pytest.mark.usefixtures("listener")
def test_of_events_that_come_together_one_that_has_it_is_enough(service: Service) -> None:
    webhook = make_webhook(service)
    enqueue(service, 6)
    first, *others = [row for row in lease(service) if row["integration_id"] == webhook]
    results = [
        {"id": row["id"], "lease_token": row["lease_token"], "outcome": "delivered", "milliseconds": 5}
        | {"started_at": "2026-01-01T00:00:00Z", "status_code": 200, "missing": missing}
        for row, missing in ((first, ["payload.b"]), *((row, ["payload.a", "payload.b"]) for row in others))
    ]

    service.one("select finish_deliveries(%s)", Jsonb(results))

    assert service.one("select gaps from integration_facts where direction = 'out'") == {"payload.b": 6}


@pytest.mark.usefixtures("listener")
def test_what_is_wrong_with_a_receiver_is_not_taken_for_a_refused_topic(service: Service) -> None:
    receiver = service.make_integration("http")

    note(service, receiver, "error", "config.invalid")
    judge(service)

    assert list_open(service, receiver) == {"config.invalid": "error"}


def test_a_quota_alert_ends_with_the_last_integration_too(service: Service) -> None:
    service.make_integration()
    service.set_quota("integrations", 1)
    judge(service)
    open_before = service.one(
        "select count(*) from alerts where kind = 'quota.reached' and resolved_at is null"
    )

    service.connection.execute("delete from device_integrations")
    judge(service)

    assert open_before == 1
    assert (
        service.one("select count(*) from alerts where kind = 'quota.reached' and resolved_at is null") == 0
    )


def test_a_quota_that_is_nearly_used_warns_and_one_that_is_met_is_an_error(
    service: Service, listener: str
) -> None:
    levels = []
    for most in (100, 2, 1, 100):
        service.set_quota("integrations", most)
        if most == 2:
            service.as_owner("update private.alert_kinds set threshold = 0.5 where kind = 'quota.reached'")
        judge(service)
        levels += [
            (row["level"], row["open"])
            for row in service.run(
                "select level, resolved_at is null as open from alerts where kind = 'quota.reached'"
                " and organization_id = %s and integration_id is null",
                service.organization_id,
            )
        ]

    assert levels == [("warning", True), ("error", True), ("error", False)]
    told = [event for event, kind in tell_of(service, listener) if kind == "quota.reached"]
    # Once as a warning, and once more when it became an error.
    assert told == ["alert.raised", "alert.raised", "alert.resolved"]


PLATFORM = {
    "partitions.behind": (
        (
            "select private.drop_message_partition('device_messages_' || to_char((now() at time zone 'UTC')::date + 1,"
            " 'YYYYMMDD'))"
        ),
        "select prune_messages()",
    ),
    "retention.behind": (
        "update private.prune_marks set clear_at = now() - interval '3 days' where what = 'commands'",
        "select prune_history()",
    ),
    "keys.due": (
        (
            "insert into private.vault_keys (key_id, added_at, promoted_at, is_made)"
            " values ('old', now() - interval '2 years', now() - interval '2 years', false)"
        ),
        "update private.vault_keys set retired_at = now()",
    ),
    "clock.skewed": (
        "select record_heartbeat('{}', extract(epoch from now())::float8 - 100)",
        "update private.clocks set seen_at = now() - interval '1 hour'",
    ),
}


@pytest.mark.parametrize("kind", PLATFORM)
@pytest.mark.parametrize("has_operator", [True, False])
def test_what_is_the_operator_s_is_told_to_the_operator(
    service: Service, listener: str, kind: str, *, has_operator: bool
) -> None:
    cause, end = PLATFORM[kind]
    if has_operator:
        service.as_owner("insert into private.operators values (%s)", service.organization_id)
    service.as_owner(cause)

    judged = [judge(service), judge(service)]
    service.as_owner(end)
    service.as_owner("update alerts set updated_at = now() - interval '2 hours' where kind = 'clock.skewed'")
    after = judge(service)

    told = [event for event, told_of in tell_of(service, listener) if told_of == kind]
    (alert,) = service.run(
        "select organization_id, resolved_at from alerts where kind = %s and integration_id is null", kind
    )
    assert told == (["alert.raised", "alert.resolved"] if has_operator else [])
    assert [kind in each["platform"] for each in (*judged, after)] == [
        not has_operator,
        not has_operator,
        False,
    ]
    assert alert["resolved_at"]
    assert (str(alert["organization_id"]) == service.organization_id) is has_operator


def test_every_kind_is_caused_by_a_test(stack: Stack) -> None:
    elsewhere = {
        *("webhook.failing", "webhook.unusable", "webhook.disabled", "webhook.gone"),  # test_endpoints
        "receive.refused",  # test_receiving
        "rollout.devices_failed",  # test_firmware
        *("notice.unreachable", "notice.opted_out", "notice.account", "notice.undelivered"),  # test_notices
    }
    with stack.connect() as connection:
        kinds = {kind for (kind,) in connection.execute("select kind from private.alert_kinds").fetchall()}

    assert {*CASES, *PLATFORM, "quota.reached"} | elsewhere == kinds


def test_enqueued_events_of_devices_are_no_alerts(service: Service, listener: str) -> None:
    enqueue(service, 3)

    assert tell_of(service, listener) == []
    assert lease(service) == []
