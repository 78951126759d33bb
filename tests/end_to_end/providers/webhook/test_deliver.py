"""The webhook provider against a real HTTP endpoint: what arrives, and what a connection test shows."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest
from standardwebhooks import Webhook as Oracle

from shared.provider import Check, Event, EventDevice, Identity, load_provider, make_secret, verify_webhook
from shared.providers.webhook import Webhook
from shared.runtime.outbound import send_once
from shared.runtime.settings import load_settings
from tests.fakes.http_receiver import Answer, HttpReceiver, Received

CANARY = "c4nary-S3cret-value"
IDENTITY = Identity("o1", "i1", "webhook", "Plant")
EVENT = Event(
    "7d1e", "device.telemetry", "telemetry", "2026-01-01T00:00:00+00:00", "o1", IDENTITY,
    EventDevice("d1", "ext-1", "Pump"), "plant/1", {"temp": 21.5, "note": "grün"},
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("allow_loopback")


def load(url: str, **config: Any) -> Webhook:
    provider = load_provider({"url": url, **config}, IDENTITY)
    assert isinstance(provider, Webhook)
    return provider


def check(webhook: Webhook) -> list[Check]:
    return list(webhook.check())


def echo(request: Received) -> Answer:
    return Answer(200, json.dumps({"headers": request.headers, "body": request.body.decode()}).encode())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_delivery_arrives_as_it_was_described(receiver: HttpReceiver, method: str) -> None:
    webhook = load(f"{receiver.url}?site=1", method=method, headers={"X-Site": "north"}, bearer_token=CANARY)

    reply = send_once(webhook.deliver(EVENT))

    (request,) = receiver.requests
    assert reply.status == 200
    assert (request.method, request.path) == (method, "/hook?site=1")
    assert (request.headers["x-site"], request.headers["authorization"]) == ("north", f"Bearer {CANARY}")
    assert json.loads(request.body)["data"]["payload"] == EVENT.payload


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/über?sig=a%2Bb%2Fc%3D", "/%C3%BCber?sig=a%2Bb%2Fc%3D"),
        ("/a%2fb/../c;d?sig=a+b%20c&&x=%zz", "/a%2fb/../c;d?sig=a+b%20c&&x=%zz"),
        ("?sig=a%2Bb", "/?sig=a%2Bb"),
    ],
)
def test_a_signed_url_arrives_as_it_was_given(receiver: HttpReceiver, given: str, sent: str) -> None:
    webhook = load(f"http://127.0.0.1:{receiver.port}{given}")

    send_once(webhook.deliver(EVENT))

    assert [request.path for request in receiver.requests] == [sent]


def test_an_independent_library_verifies_what_arrives_with_either_secret_of_a_rotation(
    receiver: HttpReceiver,
) -> None:
    new, old = make_secret(), make_secret()
    webhook = load(receiver.url, signing_secret=new, previous_signing_secret=old)

    send_once(webhook.deliver(EVENT))

    (request,) = receiver.requests
    for secret in (new, old):
        assert Oracle(secret).verify(request.body, request.headers)["type"] == "device.telemetry"


def test_the_id_stays_and_the_time_moves_on_from_attempt_to_attempt(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = load(receiver.url, signing_secret=make_secret())

    send_once(webhook.deliver(EVENT))
    monkeypatch.setattr(time, "time", lambda: 1_900_000_000.9)
    send_once(webhook.deliver(EVENT))

    first, second = (request.headers for request in receiver.requests)
    assert first["webhook-id"] == second["webhook-id"] == EVENT.id
    assert first["webhook-timestamp"] < second["webhook-timestamp"] == "1900000000"
    assert first["webhook-signature"] != second["webhook-signature"]


def test_a_check_sends_a_signed_test_event_and_shows_both_sides(receiver: HttpReceiver) -> None:
    secret = make_secret()

    sent, answered = check(load(f"{receiver.url}?key={CANARY}", signing_secret=secret, bearer_token=CANARY))

    (request,) = receiver.requests
    verify_webhook([secret], request.headers, request.body, time.time())
    assert json.loads(request.body)["type"] == "integration.test"
    assert (sent.name, sent.ok, answered.name, answered.ok) == ("request", True, "answer", True)
    assert sent.detail.startswith(f"POST {receiver.url}?…\n")
    assert "Authorization: Bearer ***\n" in sent.detail
    assert '"type":"integration.test"' in sent.detail
    assert answered.detail.startswith("200 after ")
    assert answered.detail.endswith(" ms\nok")


def test_a_check_shows_the_body_as_the_template_renders_it(receiver: HttpReceiver) -> None:
    template = {"text": "{{ device.name }}: {{ payload.temp }}", "type": "{{ event.type }}"}

    sent, _ = check(load(receiver.url, payload_template=template))

    assert sent.detail.endswith('\n\n{"text":"Test device: ","type":"integration.test"}')


@pytest.mark.parametrize(
    "config",
    [
        {"bearer_token": CANARY},
        {"api_key": CANARY},
        {"basic_username": "plant", "basic_password": CANARY},
        {"headers": {"X-Token": CANARY, "Authorization": f"Bearer {CANARY}"}},
        {"signing_secret": make_secret(), "headers": {"X-Key": f'{CANARY} "quoted" ü'}},
        {"bearer_token": CANARY, "payload_template": {"key": CANARY}},
    ],
)
def test_an_endpoint_that_echoes_everything_shows_no_secret(
    receiver: HttpReceiver, config: dict[str, Any]
) -> None:
    receiver.answer = echo

    shown = "".join(step.detail for step in check(load(receiver.url, **config)))

    assert CANARY in str(receiver.requests) or "Basic" in str(receiver.requests)
    assert "***" in shown
    assert CANARY not in shown
    assert "cGxhbnQ6" not in shown


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 429, 500, 503])
def test_only_2xx_passes_a_check_and_the_answer_is_shown(receiver: HttpReceiver, status: int) -> None:
    receiver.answer = lambda _: Answer(status, b"because", {"Location": "http://127.0.0.1:1/"})

    *_, answered = check(load(receiver.url))

    assert not answered.ok
    assert f"{status} after" in answered.detail
    assert "because" in answered.detail
    assert ("Redirects are not followed" in answered.detail) == (status // 100 == 3)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"), [(200, b""), (201, b"\x00\xff"), (204, b""), (299, b"x" * 100_000)]
)
def test_any_2xx_passes_whatever_its_body(receiver: HttpReceiver, status: int, body: bytes) -> None:
    receiver.answer = lambda _: Answer(status, body)

    *_, answered = check(load(receiver.url))

    assert answered.ok
    assert "\x00" not in answered.detail
    assert len(answered.detail) < 2_100


def test_a_check_of_a_closed_port_says_that_it_was_refused() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hook"

        sent, answered = check(load(url))

    assert (sent.ok, answered.ok) == (True, False)
    assert "refused" in answered.detail


def test_a_check_ends_at_the_webhooks_own_timeout(receiver: HttpReceiver) -> None:
    def answer_late(_: Received) -> Answer:
        time.sleep(4)
        return Answer()

    receiver.answer = answer_late

    *_, answered = check(load(receiver.url, timeout_seconds=0.2))

    assert not answered.ok
    assert answered.ms < 3_000


def test_a_check_of_a_blocked_address_says_so(
    receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTBOUND_ALLOW", "")
    load_settings.cache_clear()

    *_, answered = check(load(receiver.url))

    assert not answered.ok
    assert "OUTBOUND_ALLOW" in answered.detail
    assert receiver.requests == []
