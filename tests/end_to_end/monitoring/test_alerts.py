"""Alerts caused for real: what goes wrong is told once to whoever asked for it, and so is its end."""

from __future__ import annotations

import ssl
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.provider import verify_webhook
from tests.fakes.brokers import make_mosquitto, write_passwords
from tests.fakes.certificates import PemAuthority
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.fakes.lorawan.chirpstack import FakeChirpstack
from tests.platform import Platform, enqueue, run_tick
from tests.stack import Serve, Stack

AUTHORITY = PemAuthority()


class Listener:
    """A webhook of the organization's own that asks for alerts, and what it was told."""

    def __init__(self, admin: Platform, receiver: HttpReceiver) -> None:
        config = {"url": receiver.url, "events": ["alert.*"], "rate_limit_per_minute": 10_000}
        reply = admin.call(
            "POST",
            "/integrations",
            json={
                "organization_id": admin.user.organization_id,
                "integration_type": "webhook",
                "name": "Whoever is on duty",
                "config": config,
            },
        ).json()
        self.secret = reply["generated"]["signing_secret"]
        self.receiver = receiver

    def told(self) -> Counter[tuple[str, str]]:
        """The events by type and kind, each proven by its signature."""
        return Counter((body["type"], body["data"]["kind"]) for body in self.bodies())

    def bodies(self) -> Iterator[dict[str, Any]]:
        for request in self.receiver.requests:
            verify_webhook([self.secret], request.headers, request.body, time.time())
            yield orjson.loads(request.body)


@pytest.fixture
def listener(admin: Platform, receiver: HttpReceiver) -> Listener:
    with admin.stack.connect() as connection:
        connection.execute("delete from alerts")
    return Listener(admin, receiver)


def look_again(stack: Stack) -> None:
    """A tick in which everything is due, as if a minute had passed."""
    with stack.connect() as connection:
        connection.execute("update integration_schedules set due_at = now() where due_at < 'infinity'")
        connection.execute("update integration_states set judged_at = 'epoch'")
    for _ in range(2):  # what was raised at the end of the first is told in the second
        run_tick(stack, idle_seconds=0.7)


def read_alert(admin: Platform, integration: dict[str, Any], kind: str) -> dict[str, Any]:
    (alert,) = admin.rows("alerts", integration_id=f"eq.{integration['id']}", kind=f"eq.{kind}")
    return alert


def test_a_wrong_password_is_told_once_it_was_refused_three_times(
    admin: Platform, stack: Stack, listener: Listener, tmp_path: Path
) -> None:
    passwords = write_passwords(tmp_path, {"pump": "right"})
    rules = ["allow_anonymous false", f"password_file {passwords}"]
    with make_mosquitto(tmp_path, listener=rules) as broker:
        config = {"broker_url": f"mqtt://127.0.0.1:{broker.port}", "topics": "#", "username": "pump"}
        made = admin.create("mqtt", config | {"password": "wrong"})
        for _ in range(4):
            look_again(stack)
        raised = listener.told()
        open_alerts = admin.call("GET", f"/integrations/{made['id']}").json()["integration"]["health"]
        admin.call("PATCH", f"/integrations/{made['id']}", json={"config": {"password": "right"}})
        look_again(stack)
        look_again(stack)

    assert raised[("alert.raised", "authentication.failed")] == 1
    assert raised[("alert.raised", "integration.failing")] == 1
    assert (open_alerts["state"], open_alerts["open_alerts"]) == ("failing", 2)
    assert open_alerts["consecutive_failures"] == 4
    assert listener.told()[("alert.raised", "authentication.failed")] == 1
    assert listener.told()[("alert.resolved", "authentication.failed")] == 1
    assert "wrong" not in str(admin.rows("alerts"))


def test_an_expired_certificate_that_is_served_is_told_until_it_is_renewed(
    admin: Platform, stack: Stack, listener: Listener, tmp_path: Path
) -> None:
    expired = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker", days=-2))
    with make_mosquitto(tmp_path, listener=expired) as broker:
        config = {"broker_url": f"mqtts://127.0.0.1:{broker.port}", "topics": "#"}
        made = admin.create("mqtt", config | {"ca_certificate": AUTHORITY.pem})
        look_again(stack)
        look_again(stack)
        alert = read_alert(admin, made, "certificate.broker")
        told = listener.told()
        broker.stop()
        AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"))
        broker.start()
        look_again(stack)
        look_again(stack)

    assert "expired" in alert["message"]
    assert alert["level"] == "error"
    assert told[("alert.raised", "certificate.broker")] == 1
    assert listener.told()[("alert.resolved", "certificate.broker")] == 1


def test_a_certificate_that_ends_soon_is_told_step_by_step(
    admin: Platform, stack: Stack, listener: Listener, tmp_path: Path
) -> None:
    lines = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker", days=9))
    with make_mosquitto(tmp_path, listener=lines) as broker:
        config = {"broker_url": f"mqtts://127.0.0.1:{broker.port}", "topics": "#"}
        made = admin.create("mqtt", config | {"ca_certificate": AUTHORITY.pem})
        look_again(stack)
        first = read_alert(admin, made, "certificate.broker")
        broker.stop()
        AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker", days=1))
        broker.start()
        look_again(stack)
        last = read_alert(admin, made, "certificate.broker")

    assert (first["level"], last["level"], first["id"]) == ("warning", "error", last["id"])
    # Once when it was raised, and once more when it became an error.
    assert listener.told()[("alert.raised", "certificate.broker")] == 2


def test_a_dead_endpoint_is_told_and_what_was_sent_to_it_is_kept(
    admin: Platform, stack: Stack, listener: Listener
) -> None:
    with HttpReceiver(lambda _: Answer(500, b"no")) as endpoint:
        config = {
            "url": endpoint.url,
            "events": ["telemetry"],
            "retry_schedule": [],
            "bearer_token": "canary-token",
        }
        made = admin.create("webhook", config)
        enqueue(admin, 2)
        look_again(stack)
        look_again(stack)
        told = listener.told()
        (delivery, _) = admin.call("GET", f"/integrations/{made['id']}/deliveries").json()["deliveries"]
        shown = admin.call("GET", f"/integrations/{made['id']}/deliveries/{delivery['id']}")
        endpoint.answer = lambda _: Answer(200)
        admin.call("POST", f"/integrations/{made['id']}/deliveries/replay")
        look_again(stack)
        look_again(stack)
        sent = endpoint.requests

    assert told[("alert.raised", "delivery.dead")] == 1
    assert listener.told()[("alert.resolved", "delivery.dead")] == 1
    (attempt,) = shown.json()["delivery"]["attempts_log"]
    assert attempt["request"]["url"] == endpoint.url
    assert attempt["request"]["headers"]["Authorization"] == "***"
    assert attempt["request"]["headers"]["webhook-signature"] == "***"
    assert attempt["request"]["body"].encode() in {request.body for request in sent}
    assert "canary-token" not in shown.text
    kept = admin.rows("webhook_requests", integration_id=f"eq.{made['id']}", is_delivered="is.true")
    assert len(kept) == 2


def test_an_endpoint_whose_certificate_ends_soon_is_told_of_until_it_shows_another(
    new_serve: Callable[..., Serve], receiver: HttpReceiver, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(AUTHORITY.pem)
    stack = new_serve(SSL_CERT_FILE=str(tmp_path / "ca.pem")).start()
    admin = Platform(stack, stack.user("admin", 0))
    listener = Listener(admin, receiver)
    tls, told = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    show(tls, tmp_path, days=200)
    with HttpReceiver(tls=tls) as endpoint:
        made = admin.create("webhook", {"url": endpoint.url, "events": ["telemetry"]})
        for days in (200, 9, 9, 200):
            show(tls, tmp_path, days)
            enqueue(admin, 1)
            look_again(stack)
            look_again(stack)
            told.append(sorted(listener.told().items()))
        count = len(endpoint.requests)

    raised, resolved = ((f"alert.{word}", "certificate.endpoint") for word in ("raised", "resolved"))
    assert count == 4
    assert told == [[], [(raised, 1)], [(raised, 1)], [(raised, 1), (resolved, 1)]]
    alert = read_alert(admin, made, "certificate.endpoint")
    assert (alert["level"], "ends on" in alert["message"]) == ("warning", True)


def test_the_certificates_of_apis_that_are_asked_are_told_before_they_end(
    new_serve: Callable[..., Serve], receiver: HttpReceiver, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(AUTHORITY.pem)
    stack = new_serve(SSL_CERT_FILE=str(tmp_path / "ca.pem")).start()
    admin = Platform(stack, stack.user("admin", 0))
    listener = Listener(admin, receiver)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    show(tls, tmp_path, days=9)
    application = str(uuid.uuid4())
    with (
        HttpReceiver(lambda _: Answer(body=b"[]"), tls) as api,
        HttpReceiver(tls=tls) as chat,
        FakeChirpstack(application, tls=tls) as network,
    ):
        polled = admin.create("http", {"poll_url": api.url})
        told = admin.create("slack", {"webhook_url": chat.url, "events": ["alert.*"]}, name="People")
        synced = admin.create(
            "lora",
            {
                "application_id": application,
                "webhook_secret": "0123456789abcdef",
                "base_url": network.url,
                "api_key": network.key,
            },
            name="Network",
        )
        made = {each["id"]: each["integration_type"] for each in (polled, told, synced)}
        job = admin.call("POST", f"/integrations/{synced['id']}/jobs", json={"kind": "sync"})
        for _ in range(4):
            look_again(stack)
    rows = admin.rows("alerts", kind="eq.certificate.endpoint", level="eq.warning")

    assert job.status_code == 202, job.text
    assert {made[row["integration_id"]] for row in rows} == {"http", "slack", "lorawan_chirpstack"}
    assert listener.told()["alert.raised", "certificate.endpoint"] == len(made)


def show(tls: ssl.SSLContext, folder: Path, days: int) -> None:
    """From now on a certificate that ends in so many days."""
    pair = AUTHORITY.issue("endpoint", days=days)
    (folder / "server.pem").write_text(pair.key + pair.certificate)
    tls.load_cert_chain(folder / "server.pem")


def test_a_typo_in_a_template_is_told_after_the_first_events_and_ends_once_it_is_mended(
    admin: Platform, stack: Stack, listener: Listener
) -> None:
    with HttpReceiver() as endpoint:
        template = {"temperature": "{{ payload.temprature }}"}
        made = admin.create(
            "webhook",
            {"url": endpoint.url, "events": ["telemetry"], "payload_template": template, "max_concurrent": 1},
        )
        enqueue(admin, 5, payload={"temperature": 21})
        look_again(stack)
        look_again(stack)
        health = admin.call("GET", f"/integrations/{made['id']}").json()["integration"]["health"]
        told = listener.told()
        mended = {"payload_template": {"temperature": "{{ payload.temperature }}"}}
        admin.call("PATCH", f"/integrations/{made['id']}", json={"config": mended})
        enqueue(admin, 1, payload={"temperature": 22})
        look_again(stack)
        look_again(stack)
        bodies = [orjson.loads(request.body) for request in endpoint.requests]

    assert bodies == [{"temperature": None}] * 5 + [{"temperature": 22}]
    assert (health["state"], "payload.temprature" in health["reason"]) == ("degraded", True)
    assert told[("alert.raised", "template.unmatched")] == 1
    assert listener.told()[("alert.resolved", "template.unmatched")] == 1


def test_of_what_was_sent_no_parameter_that_looks_secret_is_kept(admin: Platform, stack: Stack) -> None:
    with HttpReceiver() as endpoint:
        url = f"{endpoint.url}?room=4&access_token=canary-1&api-key=canary-2#".rstrip("#")
        made = admin.create("webhook", {"url": url, "events": ["telemetry"]})
        enqueue(admin, 1)
        run_tick(stack, idle_seconds=0.5)
        (sent,) = endpoint.requests

    (kept,) = admin.rows("webhook_requests", integration_id=f"eq.{made['id']}")
    assert sent.path == "/hook?room=4&access_token=canary-1&api-key=canary-2"
    assert kept["url"] == f"{endpoint.url}?room=4&access_token=***&api-key=***"


def test_of_a_webhook_s_successes_the_last_hundred_are_kept(admin: Platform, stack: Stack) -> None:
    with HttpReceiver() as endpoint:
        config = {"url": endpoint.url, "max_concurrent": 50, "rate_limit_per_minute": 10_000}
        made = admin.create("webhook", config)
        enqueue(admin, 150)
        run_tick(stack, idle_seconds=0.5)
        enqueue(admin, 30, payload={"last": True})
        run_tick(stack, idle_seconds=0.5)

    kept = admin.rows("webhook_requests", integration_id=f"eq.{made['id']}")
    assert len(endpoint.requests) == 180
    assert len(kept) == 100
    assert sum('"last":true' in row["body"] for row in kept) == 30


def test_an_alert_carries_what_others_ask_for(admin: Platform, stack: Stack, listener: Listener) -> None:
    made = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1:9", "topics": "#"})
    look_again(stack)

    body = next(body for body in listener.bodies() if body["data"]["kind"] == "integration.failing")

    data = body["data"]
    assert set(data) == {
        *("id", "key", "code", "kind", "level", "status", "action", "message", "details", "organization_id"),
        *("integration_id", "integration_name", "since", "resolved_at", "ends_at", "url"),
    }
    assert (data["integration_id"], data["integration_name"]) == (made["id"], made["name"])
    assert data["url"] == f"{stack.functions_url}/integrations/{made['id']}"
    assert (data["status"], data["action"]) == ("firing", "trigger")


def test_the_activity_is_filtered_and_exported_without_formulas(admin: Platform, stack: Stack) -> None:
    made = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1:9", "topics": "#"}, status="inactive")
    with stack.connect() as connection:
        for kind, message, at in (
            ("session.failed", "=cmd|' /C calc'!A0", "2026-01-01"),
            ("session.failed", 'Two "words", a\nline', "2026-01-02"),
            ("test", "+1", "2026-01-03"),
            ("cell", "one;=1+1\n@two; three-4", "2026-01-04"),
        ):
            connection.execute(
                "insert into integration_activity (organization_id, integration_id, kind, message, created_at)"
                " values (%s, %s, %s, %s, %s)",
                (made["organization_id"], made["id"], kind, message, at),
            )
    path = f"/integrations/{made['id']}/activity"

    narrowed = [
        [row["message"] for row in admin.call("GET", path, params=params).json()["activity"]]
        for params in (
            {"kind": "test"},
            {"from": "2026-01-02T00:00:00Z"},
            {"to": "2026-01-02T00:00:00Z"},
            {"from": "2026-01-02T00:00:00Z", "to": "2026-01-03T00:00:00Z", "limit": "1"},
        )
    ]
    exported = admin.call("GET", f"{path}.csv", params={"kind": "session.failed"})
    of_cells = admin.call("GET", f"{path}.csv", params={"kind": "cell"})

    assert narrowed == [
        ["+1"],
        ["one;=1+1\n@two; three-4", "+1", 'Two "words", a\nline'],
        ["=cmd|' /C calc'!A0"],
        ['Two "words", a\nline'],
    ]
    assert exported.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in exported.headers["Content-Disposition"]
    assert exported.text.split("\r\n", 1)[0] == "created_at,level,kind,message,details"
    assert ",'=cmd|' /C calc'!A0," in exported.text
    assert '"Two ""words"", a\nline"' in exported.text
    assert "\"one;'=1+1\n'@two; three-4\"" in of_cells.text
    assert "+1" not in exported.text.partition("\r\n")[2].replace("+00:00", "")
    assert admin.call("GET", path, params={"from": "yesterday"}).status_code == 400
