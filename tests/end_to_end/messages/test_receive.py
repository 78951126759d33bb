"""Pushed messages over real HTTP: every form is stored once; who can't prove a request changes and learns nothing."""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import cbor2
import httpx
import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scripts.local.data_folder import DataFolder, database_url
from shared.messages.arrival import Arrival, weigh_request
from shared.messages.receive import _receive_all
from shared.messages.receive_coded import Proven, receive_proven
from shared.messages.receivers import REFUSED
from shared.messages.refused_pushes import BURST, TRIES_OF_BOTH
from shared.provider import PushedRequest, make_secret, sign_webhook
from shared.runtime.database.project import open_project
from shared.runtime.errors import Problem, Unauthenticated
from shared.runtime.settings import load_settings
from tests.captures import Capture, read_captures
from tests.fakes.golioth.webhooks import Forms, Pipeline, Request
from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.inside import environment_of
from tests.platform import Platform
from tests.stack import Stack

PROJECT, SECRET = "acme-sensors", make_secret()
FORMS = Forms(PROJECT)
WITH_SECRET = {"X-Webhook-Secret": SECRET}
WORKED_ON = (
    "device_messages",
    "devices",
    "integration_metrics",
    "integration_activity",
    "alerts",
    "private.message_ledger",
)
HTTP = httpx.Client(timeout=30)


@pytest.fixture(scope="module", autouse=True)
def close_connections() -> Iterator[None]:
    yield
    HTTP.close()


@pytest.fixture(scope="module")
def admin(stack: Stack) -> Platform:
    return Platform(stack, stack.user("admin", 0))


def arrive(integration_id: str, request: PushedRequest) -> Arrival:
    return Arrival(integration_id, None, request, weigh_request(request))


def create(admin: Platform, status: str = "active", **config: Any) -> str:
    usual = {"api_key": "canary-api-key", "project_id": PROJECT, "webhook_secret": SECRET}
    return str(admin.create("golioth", usual | config, status=status)["id"])


def post(
    stack: Stack,
    integration_id: str,
    request: Request,
    proof: dict[str, str] | None = None,
    by: str = "golioth-webhook",
) -> httpx.Response:
    headers = request.headers | (WITH_SECRET if proof is None else proof)
    url = f"{stack.url}/functions/v1/{by}/{integration_id}"
    return HTTP.post(url, headers=headers, content=request.body)


def read_messages(admin: Platform, integration_id: str) -> list[dict[str, Any]]:
    return admin.rows("device_messages", integration_id=f"eq.{integration_id}", select="*", order="id")


def count_work(stack: Stack) -> list[int]:
    """How many rows there are of all that receiving writes."""
    with stack.connect() as connection:
        counts = [connection.execute(f"select count(*) from {table}").fetchone() for table in WORKED_ON]
    return [count[0] for count in counts if count]


def test_what_follows_the_id_in_the_address_is_for_the_type_to_read(admin: Platform) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"t": 1})

    by_address = post(admin.stack, f"{integration_id}/line/3?shift=2", request, by="receive")
    unproven = post(admin.stack, f"{integration_id}/line/3", request, proof={}, by="receive")

    assert (by_address.status_code, by_address.json()["stored"], unproven.status_code) == (202, 1, 401)


@pytest.mark.parametrize("capture", read_captures("golioth"), ids=lambda capture: capture.name)
@pytest.mark.parametrize("by", ["golioth-webhook", "receive"])
def test_a_captured_request_is_stored_as_the_messages_beside_it(
    admin: Platform, capture: Capture, by: str
) -> None:
    integration_id = create(admin)

    reply = post(admin.stack, integration_id, Request(capture.headers, capture.body), by=by)

    counts = {
        "received": len(capture.messages),
        "stored": len(capture.messages),
        "duplicates": 0,
        "failed": 0,
    }
    assert (reply.status_code, reply.json()) == (202, counts)
    devices = {row["id"]: row["external_id"] for row in admin.rows("devices", select="id,external_id")}
    rows = [row | {"device": devices.get(row["device_id"])} for row in read_messages(admin, integration_id)]
    for row, expected in zip(rows, capture.messages, strict=True):
        told = {name: row[name] for name in expected if name != "observed_at"}
        assert told == {name: expected[name] for name in told}
        assert row["observed_at"][:19] == expected["observed_at"][:19]


def test_every_form_of_one_fleet_is_stored_and_counted(admin: Platform) -> None:
    integration_id = create(admin)
    requests = [
        FORMS.make_json("a", {"temp": 1}),
        FORMS.make_cbor("b", {"temp": 2}),
        FORMS.make_octets("c", b"\x00\xff"),
        FORMS.make_injected("a", {"temp": 3}),
        FORMS.make_legacy("b", {"temp": 4}),
        FORMS.make_structured("c", {"temp": 5}),
        FORMS.make_structured("d", {"temp": 6}, b"\x01\x02", batch=True),
    ]
    url = f"{admin.stack.url}/functions/v1/golioth-webhook/{integration_id}"

    with Pipeline(url, WITH_SECRET) as pipeline:
        for request in [*requests, *requests]:
            assert pipeline.send(request).status_code == 202

    names = ("received", "stored", "duplicates", "failed")
    minutes = admin.rows("integration_metrics", integration_id=f"eq.{integration_id}", select=",".join(names))
    assert [sum(minute[name] for minute in minutes) for name in names] == [16, 8, 8, 0]
    devices = admin.rows("devices", integration_id=f"eq.{integration_id}", select="external_id")
    assert {row["external_id"] for row in devices} == {"a", "b", "c", "d"}


def test_an_unknown_device_is_not_made_where_that_is_off_and_its_message_is_kept(admin: Platform) -> None:
    integration_id = create(admin, auto_provision_devices=False)

    post(admin.stack, integration_id, FORMS.make_json("new", {"temp": 1}))

    (message,) = read_messages(admin, integration_id)
    assert (message["payload"], message["device_id"], message["external_id"]) == ({"temp": 1}, None, "new")
    assert admin.rows("devices", integration_id=f"eq.{integration_id}", select="id") == []


@pytest.mark.parametrize(
    "body", [b"{", b"", b'{"a": "\\u0000"', b"\xff\xfe", b'"\\ud800"', b"1e999", b"[" * 5000]
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/cbor", "application/cloudevents+json"]
)
def test_what_claims_to_be_readable_and_is_not_is_kept_with_the_reason(
    admin: Platform, unreadable: str, body: bytes, content_type: str
) -> None:
    request = replace(FORMS.make_octets(str(uuid.uuid4()), body))
    request.headers["Content-Type"] = content_type

    reply = post(admin.stack, unreadable, request)

    assert (reply.status_code, reply.json()["failed"]) == (202, 1)


@pytest.fixture(scope="module")
def unreadable(admin: Platform) -> str:
    return create(admin)


def test_a_body_of_a_megabyte_is_stored_and_one_of_more_refused_before_anything(admin: Platform) -> None:
    integration_id, most = create(admin), 1_048_576
    fits, over = (FORMS.make_octets("a", b"x" * size) for size in (most, most + 1))

    statuses = [
        post(admin.stack, integration_id, fits).status_code,
        post(admin.stack, integration_id, over).status_code,
        post(admin.stack, str(uuid.uuid4()), over).status_code,
    ]

    assert statuses == [202, 413, 413]
    assert [len(row["raw"]) for row in read_messages(admin, integration_id)] == [most]


def test_anything_but_post_is_refused_with_what_is_allowed(stack: Stack) -> None:
    reply = httpx.get(f"{stack.url}/functions/v1/golioth-webhook/{uuid.uuid4()}", timeout=60)

    assert (reply.status_code, reply.headers["Allow"]) == (405, "OPTIONS, POST")


def describe(reply: httpx.Response) -> tuple[Any, ...]:
    """What a refusal tells, without what differs in every reply there is."""
    headers = {name: value for name, value in reply.headers.items() if name not in {"date", "x-request-id"}}
    return reply.status_code, headers, reply.json() | {"request_id": ""}


def test_nobody_who_cannot_prove_a_request_learns_or_changes_anything(admin: Platform) -> None:
    stack, request = admin.stack, FORMS.make_json("a", {"temp": 1})
    known, other_project = create(admin), Forms("other").make_json("a", {"temp": 1})
    mqtt = admin.create(
        "mqtt", {"broker_url": "mqtt://127.0.0.1", "port": 9, "topics": "a"}, status="inactive"
    )
    active_mqtt = admin.create("webhook", {"url": "http://127.0.0.1:9/"})
    before = count_work(stack)

    refusals = [
        post(stack, str(uuid.uuid4()), request),
        post(stack, "nonsense", request),
        post(stack, known, request, {"X-Webhook-Secret": "wrong"}),
        post(stack, known, request, {}),
        post(stack, known, other_project),
        post(stack, create(admin, status="inactive"), request),
        post(stack, create(admin, webhook_secret=None), request, {"X-Webhook-Secret": ""}),
        post(stack, mqtt["id"], request),
        post(stack, active_mqtt["id"], request, by="receive"),
    ]

    assert refusals[0].status_code == 401
    assert [describe(refusal) for refusal in refusals] == [describe(refusals[0])] * len(refusals)
    assert count_work(stack) == before


def prove(kind: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    if kind == "header":
        return {"X-Webhook-Secret": secret}
    if kind == "standard-webhooks":
        return sign_webhook([secret], "msg_1", int(time.time()), body)
    if kind == "basic":
        return {"Authorization": "Basic " + base64.b64encode(f"golioth:{secret}".encode()).decode()}
    return {"X-Hub-Signature-256": "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()}


@pytest.fixture(scope="module")
def by_kind(admin: Platform) -> dict[str, str]:
    """An integration for each kind of authentication."""
    names = {"basic": {"webhook_username": "golioth"}}
    kinds = ("header", "standard-webhooks", "hmac-sha256", "basic")
    return {kind: create(admin, webhook_authentication=kind, **names.get(kind, {})) for kind in kinds}


@pytest.mark.parametrize("kind", ["header", "standard-webhooks", "hmac-sha256", "basic"])
def test_each_kind_of_authentication_lets_its_own_proof_pass_and_no_other(
    stack: Stack, by_kind: dict[str, str], kind: str
) -> None:
    request = FORMS.make_json("a", {"temp": kind})
    proofs = {other: prove(other, request.body) for other in by_kind}

    statuses = {
        other: post(stack, by_kind[kind], request, proof).status_code for other, proof in proofs.items()
    }

    assert statuses == {other: 202 if other == kind else 401 for other in by_kind}


def spoil_signatures(body: bytes) -> Iterator[tuple[str, dict[str, str], bytes]]:
    """Every way in which a Standard Webhooks signature can be wrong."""
    now = int(time.time())
    good = sign_webhook([SECRET], "msg_1", now, body)
    signature = good["webhook-signature"]
    yield from ((f"without {name}", {key: good[key] for key in good if key != name}, body) for name in good)
    yield from ((f"{s} s", sign_webhook([SECRET], "msg_1", now + s, body), body) for s in (-302, 302))
    for timestamp in ("hello", "nan", "Infinity", "1e9", "1_7", f"{now}.0", f"+{now}"):
        yield f"time {timestamp}", good | {"webhook-timestamp": timestamp}, body
    wrong = (
        signature.replace("v1,", "v2,"),
        signature.replace(",", ""),
        "v1,%%%",
        "v1,",
        signature[:-2],
        " ".join(["v1,AAAA"] * 33),
        sign_webhook([make_secret()], "msg_1", now, body)["webhook-signature"],
    )
    yield from ((f"signature {value[:40]}", good | {"webhook-signature": value}, body) for value in wrong)
    yield "another id", good | {"webhook-id": "msg_2"}, body
    yield from ((f"body {other!r}", good, other) for other in (b"", body + b" ", b"\xff", body[:-1] + b"]"))


def test_every_wrong_signature_is_answered_401_and_does_nothing(
    stack: Stack, by_kind: dict[str, str]
) -> None:
    request = FORMS.make_json("a", {"temp": 1})
    before = count_work(stack)

    answers = {
        name: post(stack, by_kind["standard-webhooks"], replace(request, body=body), proof).status_code
        for name, proof, body in spoil_signatures(request.body)
    }

    assert answers == dict.fromkeys(answers, 401)
    assert len(answers) == 24
    assert count_work(stack) == before


def spoil_proofs(kind: str, body: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """Ways in which a proof of the other kinds can be wrong, with the body it comes with."""
    yield from (({}, body), (prove(kind, body, make_secret()), body), (prove(kind, body, ""), body))
    (name, value), *_ = prove(kind, body).items()
    for wrong in ("", value[:-1], value + "x", value[1:], f"{value}, {value}", value[::-1]):
        yield {name: wrong}, body
    if kind == "hmac-sha256":
        now = int(time.time())
        yield from (({name: value}, other) for other in (b"", body + b" ", body[:-1] + b"]"))
        yield {name: value, "X-Webhook-Timestamp": str(now)}, body
        for at in (now - 302, now + 302):
            signed = hmac.digest(SECRET.encode(), b"%d.%s" % (at, body), "sha256").hex()
            yield {name: signed, "X-Webhook-Timestamp": str(at)}, body
            yield {name: signed}, body
            yield {name: signed}, b"%d.%s" % (at, body)
    if kind == "basic":
        for pair in (f":{SECRET}", f"other:{SECRET}", "golioth:", SECRET):
            yield {name: "Basic " + base64.b64encode(pair.encode()).decode()}, body


@pytest.mark.parametrize("kind", ["header", "hmac-sha256", "basic"])
def test_every_wrong_proof_of_the_other_kinds_is_answered_401_and_does_nothing(
    stack: Stack, by_kind: dict[str, str], kind: str
) -> None:
    request = FORMS.make_json("a", {"temp": 1})
    before = count_work(stack)

    answers = [
        post(stack, by_kind[kind], replace(request, body=body), proof).status_code
        for proof, body in spoil_proofs(kind, request.body)
    ]

    assert answers == [401] * len(answers)
    assert len(answers) >= 9
    assert count_work(stack) == before


def vary_unsigned(request: Request) -> Iterator[Request]:
    """One captured request with everything changed that its signature does not cover."""
    event = {"specversion": "1.0", "id": "1", "source": "victim", "type": "io.golioth.data.v1/.s/a"}
    headers = {f"Ce-{name}": value for name, value in event.items()}
    times = {"Ce-Time": "2026-11-01T00:00:00Z"}
    media_types = ("application/json", "application/cbor", "application/cloudevents+json", "text/plain", "")
    yield from (Request({"Content-Type": media_type}, request.body) for media_type in media_types)
    for number in range(5):
        changed = headers | times | {"Ce-Source": f"victim-{number}", "Ce-Id": str(number)}
        yield Request(request.headers | changed, request.body)
        yield Request(request.headers | {"Ce-Type": "DEVICE_STREAM_TYPE"}, request.body)


@pytest.mark.parametrize("kind", ["standard-webhooks", "hmac-sha256", "timed"])
@pytest.mark.parametrize("form", ["injected", "structured", "json"])
def test_one_captured_signature_is_one_message_of_the_device_that_it_covers(
    admin: Platform, kind: str, form: str
) -> None:
    integration_id = create(admin, webhook_authentication=kind.replace("timed", "hmac-sha256"))
    request: Request = getattr(FORMS, f"make_{form}")("sensor-1", {"temp": 1})
    proof, now = prove(kind, request.body), int(time.time())
    if kind == "timed":
        signed = hmac.digest(SECRET.encode(), b"%d.%s" % (now, request.body), "sha256").hex()
        proof = {"X-Webhook-Signature": signed, "X-Webhook-Timestamp": str(now)}

    replies = [post(admin.stack, integration_id, each, proof) for each in [request, *vary_unsigned(request)]]

    assert {reply.status_code for reply in replies} == {202}
    assert sum(reply.json()["stored"] for reply in replies) == 1
    (row,) = read_messages(admin, integration_id)
    devices = admin.rows("devices", integration_id=f"eq.{integration_id}", select="id,external_id")
    wanted = [] if form == "json" else ["sensor-1"]
    assert [device["external_id"] for device in devices] == wanted
    assert (row["kind"], row["payload"]) == ("telemetry", {"temp": 1})


def test_what_is_signed_with_its_time_passes_within_five_minutes(
    stack: Stack, by_kind: dict[str, str]
) -> None:
    request, now = FORMS.make_json("a", {"temp": "timed"}), int(time.time())
    signed = hmac.digest(SECRET.encode(), b"%d.%s" % (now - 290, request.body), "sha256").hex()
    proof = {"X-Webhook-Signature": signed, "X-Webhook-Timestamp": str(now - 290)}

    assert post(stack, by_kind["hmac-sha256"], request, proof).status_code == 202


def test_one_right_signature_among_several_is_enough_even_over_bytes(
    stack: Stack, by_kind: dict[str, str]
) -> None:
    request = FORMS.make_octets("a", b"\xff\xfe\x00")
    proof = sign_webhook([make_secret(), SECRET], "msg_1", int(time.time()), request.body)

    reply = post(stack, by_kind["standard-webhooks"], request, proof)

    assert (reply.status_code, reply.json()["stored"]) == (202, 1)


def test_after_a_rotation_both_secrets_pass_until_the_grace_period_ends(admin: Platform) -> None:
    integration_id = create(admin)
    rotated = admin.call("POST", f"/integrations/{integration_id}/rotate-secret", json={"grace_seconds": 600})
    new = {"X-Webhook-Secret": rotated.json()["generated"]["webhook_secret"]}

    def send(proof: dict[str, str]) -> int:
        return post(admin.stack, integration_id, FORMS.make_json("a", {"temp": 1}), proof).status_code

    during = [send(WITH_SECRET), send(new)]
    past = {"config": {"previous_webhook_secret_until": "2026-01-01T00:00:00Z"}}
    admin.call("PATCH", f"/integrations/{integration_id}", json=past)
    after = [send(WITH_SECRET), send(new)]

    assert (during, after) == ([202, 202], [401, 202])


def empty_bucket(stack: Stack, integration_id: str) -> None:
    with stack.connect() as connection:
        connection.execute(
            "update private.rate_limits set full_at = now() + interval '70 seconds' where subject = %s",
            [integration_id],
        )


def test_a_sender_over_its_limit_is_told_when_and_others_are_told_nothing(admin: Platform) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"temp": 1})
    post(admin.stack, integration_id, request)
    empty_bucket(admin.stack, integration_id)

    refused = post(admin.stack, integration_id, FORMS.make_json("a", {"temp": 2}))
    unproven = post(admin.stack, integration_id, request, {})

    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 8 <= int(refused.headers["Retry-After"]) <= 11
    assert unproven.status_code == 401
    assert len(read_messages(admin, integration_id)) == 1


def test_unproven_requests_take_nothing_of_the_senders_limit(admin: Platform) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"temp": 1})

    for _ in range(20):
        post(admin.stack, integration_id, request, {"X-Webhook-Secret": "wrong"})

    with admin.stack.connect() as connection:
        taken = connection.execute("select 1 from private.rate_limits where subject = %s", [integration_id])
        assert taken.fetchall() == []


def test_many_wrong_secrets_raise_one_alert_and_are_answered_as_ever(admin: Platform) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"temp": 1})

    def refuse(times: int) -> set[int]:
        wrong = {"X-Webhook-Secret": "wrong"}
        return {post(admin.stack, integration_id, request, wrong).status_code for _ in range(times)}

    # One kept connection is served by one process, whose count comes to a burst; the request after it brings the news.
    few = refuse(BURST - 1), count_alerts(admin, integration_id)
    many = refuse(BURST + 2), count_alerts(admin, integration_id)

    assert (few, many) == (({401}, 0), ({401}, 1))
    activity = admin.call("GET", f"/integrations/{integration_id}/activity").json()["activity"]
    assert [entry["kind"] for entry in activity] == ["receive.refused"]
    assert describe(post(admin.stack, integration_id, request, {})) == describe(
        post(admin.stack, str(uuid.uuid4()), request)
    )


def test_who_guesses_is_told_to_wait_and_the_true_sender_comes_through_from_the_same_address(
    admin: Platform,
) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"temp": 1})
    unknown = str(uuid.uuid4())

    addresses = {integration_id: {"X-Forwarded-For": "192.0.2.1"}, unknown: {"X-Forwarded-For": "192.0.2.2"}}

    def guess(at: str) -> httpx.Response:
        return post(admin.stack, at, request, {"X-Webhook-Secret": "wrong"} | addresses[at])

    answers = {at: [guess(at) for _ in range(TRIES_OF_BOTH + 5)] for at in addresses}
    proof = WITH_SECRET | addresses[integration_id]
    proven = [post(admin.stack, integration_id, request, proof) for _ in range(3)]

    for each in answers.values():
        assert {reply.status_code for reply in each[:TRIES_OF_BOTH]} == {401}
        assert {reply.status_code for reply in each[TRIES_OF_BOTH:]} == {429}
        assert 0 < int(each[-1].headers["Retry-After"]) <= 60
    assert [reply.status_code for reply in proven] == [202, 202, 202]
    assert guess(integration_id).json()["detail"] == guess(unknown).json()["detail"]


def count_alerts(admin: Platform, integration_id: str) -> int:
    return len(admin.rows("alerts", integration_id=f"eq.{integration_id}", select="id"))


def test_a_config_that_no_longer_fits_is_told_to_the_admin_and_to_nobody_else(admin: Platform) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"temp": 1})
    with admin.stack.connect() as connection:
        connection.execute(
            "update device_integrations set settings = settings || '{\"project_id\": 5}' where id = %s",
            [integration_id],
        )

    refused = [post(admin.stack, integration_id, request) for _ in range(2)]
    unknown = post(admin.stack, str(uuid.uuid4()), request)

    assert [describe(refusal) for refusal in refused] == [describe(unknown)] * 2
    shown = admin.call("GET", f"/integrations/{integration_id}").json()["integration"]
    assert "project_id" in shown["error_message"]
    activity = admin.call("GET", f"/integrations/{integration_id}/activity").json()["activity"]
    assert [entry["kind"] for entry in activity].count("receive.failed") == 1


def test_what_is_taken_again_ends_what_was_shown_of_a_refusal_at_once(admin: Platform) -> None:
    integration_id, request = create(admin), FORMS.make_json("a", {"temp": 1})
    with admin.stack.connect() as connection:
        # As after a key was missing from the ring, whose return is no change of the integration.
        connection.execute(
            "update device_integrations set error_message = %s where id = %s",
            (f"{REFUSED}the key 'k1' is not there.", integration_id),
        )

    replies = [post(admin.stack, integration_id, request) for _ in range(2)]

    assert {reply.status_code for reply in replies} == {202}
    shown = admin.call("GET", f"/integrations/{integration_id}").json()["integration"]
    assert (shown["status"], shown["error_message"]) == ("active", None)
    activity = admin.call("GET", f"/integrations/{integration_id}/activity").json()["activity"]
    assert [entry["kind"] for entry in activity].count("receive.recovered") == 1


def test_the_end_of_a_refusal_is_told_once_for_all_that_came_together(
    admin: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    integration_id = create(admin)
    requests = [FORMS.make_json("a", {"temp": number}) for number in range(3)]
    arrivals = [
        arrive(integration_id, PushedRequest({**each.headers, "x-webhook-secret": SECRET}, each.body))
        for each in requests
    ]
    with admin.stack.connect() as connection:
        connection.execute(
            "update device_integrations set error_message = %s where id = %s", (REFUSED, integration_id)
        )

    with environment_of(admin.stack, monkeypatch):
        results = _receive_all(arrivals)

    assert [isinstance(each, dict) and each["stored"] for each in results] == [1, 1, 1]
    activity = admin.call("GET", f"/integrations/{integration_id}/activity").json()["activity"]
    assert [entry["kind"] for entry in activity].count("receive.recovered") == 1


def test_the_same_events_from_many_senders_at_once_are_each_stored_by_one(admin: Platform) -> None:
    integration_id = create(admin)
    requests = [FORMS.make_structured("a", {"n": n}, {"n": -n}, batch=True) for n in range(20)]

    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda request: post(admin.stack, integration_id, request), requests * 4))

    assert {reply.status_code for reply in replies} == {202}
    assert sum(reply.json()["stored"] for reply in replies) == 40
    assert sum(reply.json()["duplicates"] for reply in replies) == 120
    assert len(read_messages(admin, integration_id)) == 40


@contextmanager
def database_away(stack: Stack) -> Iterator[None]:
    """/rest/v1 gets no connection, and those it has are ended, as in a restart of Postgres."""
    folder = DataFolder(stack.functions_env.parent)
    url = database_url(folder.load_credentials(), folder.load_ports().postgres, "supabase_admin")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter role authenticator nologin")
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'"
        )
        try:
            yield
        finally:
            connection.execute("alter role authenticator login")


def test_a_request_that_meets_a_defect_of_ours_takes_no_other_of_its_batch_along(
    admin: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    integration_id = create(admin)
    good = PushedRequest({"x-webhook-secret": SECRET, "content-type": "application/json"}, b'{"temp": 1}')
    bad = replace(good, headers=None)  # type: ignore[arg-type] # what no server hands over

    with environment_of(admin.stack, monkeypatch):
        first, second = _receive_all([Arrival(integration_id, None, each, weight=0) for each in (bad, good)])

    assert isinstance(first, Problem)
    assert first.status == 500
    assert second == {"received": 1, "stored": 1, "duplicates": 0, "failed": 0}


HEAVY: dict[str, tuple[str, bytes]] = {
    "items": ("application/json", b"[" + b"[]," * 40_000 + b"[]]"),
    "levels": ("application/json", b"[" + (b"[" * 101 + b"]" * 101 + b",") * 400 + b"1]"),
    "fields": ("application/json", b"[" + b'{"a":1},' * 8_000 + b"{}]"),
    "escapes": ("application/json", b'{"a":"' + b"\\u0000" * 40_000 + b'"}'),
    "cbor": ("application/cbor", b"\x9f" + b"\x01" * 60_000 + b"\xff"),
}


@pytest.mark.parametrize("form", HEAVY)
def test_what_takes_long_to_read_is_only_proven_beside_the_requests_of_others(
    admin: Platform, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    integration_id, (content_type, body) = create(admin), HEAVY[form]
    headers = {"x-webhook-secret": SECRET, "content-type": content_type}
    heavy = PushedRequest(headers, body)
    small = PushedRequest(headers | {"content-type": "application/json"}, b'{"temp": 1}')
    unproven = PushedRequest(headers | {"x-webhook-secret": "wrong"}, body)

    with environment_of(admin.stack, monkeypatch):
        results = _receive_all([arrive(integration_id, each) for each in (heavy, unproven, small)])
        assert isinstance(results[0], Proven)
        receipt = receive_proven(results[0], None)

    assert isinstance(results[1], Unauthenticated)
    assert results[2] == {"received": 1, "stored": 1, "duplicates": 0, "failed": 0}
    assert isinstance(receipt, dict)
    assert receipt["received"] >= 1


def test_requests_that_come_together_take_two_calls_of_the_database_and_unproven_ones_one(
    admin: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    integration_ids = [create(admin) for _ in range(2)]

    def make(secret: str) -> list[Arrival]:
        headers = {"x-webhook-secret": secret, "content-type": "application/json"}
        requests = (PushedRequest(headers, b'{"n": %d}' % number) for number in range(4))
        return [arrive(integration_ids[n % 2], request) for n, request in enumerate(requests)]

    with environment_of(admin.stack, monkeypatch), HttpReceiver(relay_to(admin.stack)) as database:
        monkeypatch.setenv("SUPABASE_URL", database.url.removesuffix("/hook"))
        load_settings.cache_clear()
        proven = _receive_all([*make(SECRET), *make("wrong")])
        unproven = _receive_all(make("wrong"))
        open_project(load_settings().supabase_url).close()

    assert [isinstance(result, dict) for result in proven] == [True] * 4 + [False] * 4
    assert all(isinstance(result, Unauthenticated) for result in unproven)
    calls = [request.path.rpartition("/")[2] for request in database.requests]
    assert calls == ["receiver_configs", "receive_messages", "receiver_configs"]


def relay_to(stack: Stack) -> Callable[[Received], Answer]:
    """What the stack answers to the same request."""

    def relay(request: Received) -> Answer:
        names = ("apikey", "authorization", "content-type")
        headers = {name: request.headers[name] for name in names}
        reply = HTTP.post(f"{stack.url}{request.path}", content=request.body, headers=headers)
        return Answer(reply.status_code, reply.content)

    return relay


def test_while_the_database_is_away_senders_are_asked_to_come_again_and_nothing_is_lost(
    admin: Platform,
) -> None:
    integration_id = create(admin)
    url = f"{admin.stack.url}/functions/v1/golioth-webhook/{integration_id}"
    requests = [FORMS.make_injected(f"device-{n}", {"n": n}) for n in range(12)]

    with Pipeline(url, WITH_SECRET) as pipeline, ThreadPoolExecutor(len(requests)) as threads:
        with database_away(admin.stack):
            sent = [threads.submit(pipeline.send, request) for request in requests]
            refused = post(admin.stack, integration_id, requests[0])
        replies = [future.result() for future in sent]

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert {reply.status_code for reply in replies} == {202}
    assert 503 in pipeline.statuses
    assert sorted(row["payload"]["n"] for row in read_messages(admin, integration_id)) == list(range(12))


def test_a_short_absence_of_the_database_is_not_even_noticed(admin: Platform) -> None:
    integration_id = create(admin)

    with ThreadPoolExecutor(1) as threads:
        with database_away(admin.stack):
            sent = threads.submit(post, admin.stack, integration_id, FORMS.make_json("a", {"temp": 1}))
            time.sleep(0.3)

        assert sent.result().status_code == 202


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Ce-Id",
            "Ce-Source",
            "Ce-Subject",
            "Ce-Type",
            "Ce-Time",
            "Content-Type",
            "Authorization",
            "X-Request-Id",
        ]
    ),
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80),
        st.sampled_from([PROJECT, "stream", "DEVICE_STREAM_TYPE", "%00", "%ff", "io.golioth.data.v1/.s/"]),
    ),
)
CONTENT_TYPES = (
    "application/json",
    "application/cbor",
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "",
)
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def send_anything(admin: Platform) -> Iterator[Callable[[dict[str, str], bytes], int]]:
    """Posts over one kept connection, whatever the headers are; the status."""
    integration_id, address = create(admin), urlsplit(admin.stack.url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=30)

    def send(headers: dict[str, str], body: bytes) -> int:
        path = f"/functions/v1/receive/{integration_id}"
        connection.request("POST", path, body, WITH_SECRET | headers)
        reply = connection.getresponse()
        reply.read()
        return reply.status

    yield send
    connection.close()


@given(headers=HEADERS, content_type=st.sampled_from(CONTENT_TYPES), body=st.binary(max_size=300))
@settings(max_examples=120)
def test_no_headers_and_no_bytes_are_answered_with_an_error_of_ours(
    send_anything: Callable[[dict[str, str], bytes], int],
    headers: dict[str, str],
    content_type: str,
    body: bytes,
) -> None:
    given_type = {"Content-Type": content_type} if content_type else {}

    assert send_anything(given_type | headers, body) in {202, 401}


@given(headers=HEADERS, content_type=st.sampled_from(CONTENT_TYPES), document=ODD)
@example(headers={}, content_type="application/cbor", document={"\x00": None})
@settings(max_examples=50)
def test_no_document_in_no_form_is_answered_with_an_error_of_ours(
    send_anything: Callable[[dict[str, str], bytes], int],
    headers: dict[str, str],
    content_type: str,
    document: Any,
) -> None:
    event = {"id": document, "source": document, "type": document, "time": document, "data": document}
    envelope = {"data": document, "device_id": "a", "project_id": PROJECT, "timestamp": document}
    wholes = (event, [event, document], envelope)
    write = cbor2.dumps if content_type == "application/cbor" else write_json

    statuses = [send_anything({"Content-Type": content_type} | headers, write(whole)) for whole in wholes]

    assert set(statuses) <= {202, 401}


def write_json(document: Any) -> bytes:
    return json.dumps(document, default=repr).encode()
