"""Event Grid is let in by both handshakes; what it posts is stored once, over retries, outages and rotation too."""

from __future__ import annotations

import base64
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.end_to_end.messages.test_codecs import make_codec, messages_of
from tests.end_to_end.messages.test_receive import database_away
from tests.end_to_end.providers.azure.site import SECRET, receive_only
from tests.fakes.azure.event_grid import Schema, make_connection, make_telemetry
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("no_codecs")

SCHEMAS: tuple[Schema, ...] = ("grid", "cloud")
FIRST = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2 } }; }"


def status_of(admin: Platform, integration_id: str) -> Any:
    (device,) = admin.rows("devices", integration_id=f"eq.{integration_id}", select="status")
    return device["status"]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_handshake_is_answered_to_whoever_has_the_secret_and_to_nobody_else(
    admin: Platform, schema: Schema
) -> None:
    integration_id, subscription = receive_only(admin, schema)

    greeted = subscription.validate()
    subscription.url = subscription.url.replace(SECRET, "guessed")
    guessed = subscription.validate()

    assert (greeted, guessed) == (True, False)
    assert subscription.statuses == [200, 401]
    assert messages_of(admin, integration_id) == []


@pytest.mark.parametrize(
    ("change", "back"),
    [
        (
            """device_integrations set settings = settings || '{"secret_parameter": "not allowed!"}' where id""",
            "device_integrations set settings = settings - 'secret_parameter' where id",
        ),
        (
            """device_integrations set settings = settings || '{"sync_where": 5, "nothing": 1}' where id""",
            "device_integrations set settings = settings - '{sync_where,nothing}'::text[] where id",
        ),
        (
            "private.integration_secrets set sealed_sent = 'k9.' || sealed_sent where integration_id",
            "private.integration_secrets set sealed_sent = substr(sealed_sent, 4) where integration_id",
        ),
    ],
)
def test_a_config_of_ours_that_can_not_be_used_is_no_refusal_to_who_proves_it(
    admin: Platform, change: str, back: str
) -> None:
    key: dict[str, Any] = {
        "policy_name": "platform",
        "shared_access_key": base64.b64encode(b"k" * 32).decode(),
    }
    integration_id, subscription = receive_only(admin, **key)
    stranger = subscription.url.replace(SECRET, "guessed")
    body = subscription.write(make_telemetry("a", {"n": 1}))

    update(admin, change, integration_id)
    proven, guessed = (httpx.post(url, content=body, timeout=60) for url in (subscription.url, stranger))
    nobody = httpx.post(stranger.replace(integration_id, str(uuid.uuid4())), content=body, timeout=60)
    update(admin, back, integration_id)

    assert [reply.status_code for reply in (proven, guessed, nobody)] == [503, 401, 401]
    assert proven.headers["Retry-After"] == "60"
    assert guessed.json()["detail"] == nobody.json()["detail"]
    assert httpx.post(subscription.url, content=body, timeout=60).status_code == 202


def test_a_config_whose_own_proof_does_not_open_is_refused_like_nobodys(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)
    change = "private.integration_secrets set sealed_kept = 'k9.' || sealed_kept where integration_id"
    update(admin, change, integration_id)

    reply = httpx.post(
        subscription.url, content=subscription.write(make_telemetry("a", {"n": 1})), timeout=60
    )

    assert reply.status_code == 401


def update(admin: Platform, change: str, integration_id: str) -> None:
    with admin.stack.connect() as connection, connection.transaction():
        connection.execute("select set_config('app.resealing', 'on', true)")
        connection.execute(f"update {change} = %s", [integration_id])


def test_what_a_browser_asks_first_is_answered_as_ever(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)
    http = admin.create("http", {"webhook_secret": SECRET})
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    event_grid = {"WebHook-Request-Origin": "eventgrid.azure.net", "X-Webhook-Secret": SECRET}

    preflight = httpx.options(subscription.url, headers=asked, timeout=60)
    other = httpx.options(
        subscription.url.replace(integration_id, str(http["id"])), headers=event_grid, timeout=60
    )

    for reply in (preflight, other):
        assert reply.status_code in {200, 204}
        assert "WebHook-Allowed-Origin" not in reply.headers
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


def test_what_event_grid_asks_first_tells_nobody_else_who_is_there(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)
    off = admin.create("azure_iot", {"host_name": None, "webhook_secret": SECRET}, status="inactive")
    account = {"account_sid": f"AC{'0' * 32}", "auth_token": "0" * 32, "from_number": "+15005550006"}
    phone = admin.create("twilio", account | {"recipients": [{"name": "Ada", "to": "+4366012345678"}]})
    ids = [str(uuid.uuid4()), "no-id", integration_id, str(off["id"]), str(phone["id"])]
    urls = [subscription.url.replace(integration_id, each) for each in ids]
    urls[2] = urls[2].replace(SECRET, "guessed")

    replies = [
        httpx.options(
            url,
            headers={"WebHook-Request-Origin": "eventgrid.azure.net", "Origin": "https://x.example"},
            timeout=60,
        )
        for url in urls
    ]
    preflights = [httpx.options(url, headers={"Origin": "https://x.example"}, timeout=60) for url in urls]

    told = [
        {name: value for name, value in reply.json().items() if name != "request_id"} for reply in replies
    ]
    assert [reply.status_code for reply in replies] == [401] * 5
    assert told == [told[0]] * 5
    assert not any("WebHook-Allowed-Origin" in reply.headers for reply in [*replies, *preflights])
    assert {reply.status_code for reply in preflights} == {204}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_batch_that_comes_again_is_stored_once(admin: Platform, schema: Schema) -> None:
    integration_id, subscription = receive_only(admin, schema)
    events = [make_telemetry(f"pump-{number % 3}", {"n": number}) for number in range(40)]

    assert subscription.deliver(*events)
    assert subscription.deliver(*reversed(events))
    assert subscription.deliver(events[0])

    stored = messages_of(admin, integration_id)
    assert sorted(row["payload"]["n"] for row in stored) == list(range(40))
    assert {row["error"] for row in stored} == {None}
    assert len(admin.rows("devices", integration_id=f"eq.{integration_id}")) == 3


def test_what_can_not_be_decoded_is_taken_and_kept_and_so_is_the_rest_of_its_batch(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)

    assert subscription.deliver(make_telemetry("a", b"\x00\xff"), make_telemetry("b", {"t": 1}))
    assert subscription.post(b"no JSON at all") == 202

    stored = messages_of(admin, integration_id)
    assert [row["error"] is None for row in stored] == [False, True, False]
    assert subscription.dropped == []


def test_coming_and_going_counts_by_the_sequence_number_however_it_arrives(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)
    seen = []

    for status, sequence in (("online", 2), ("offline", 1), ("offline", 3), ("online", 2), ("online", 4)):
        assert subscription.deliver(make_connection("pump-1", status, sequence))
        seen.append(status_of(admin, integration_id))

    assert seen == ["online", "online", "offline", "offline", "online"]


def test_a_codec_decodes_all_of_a_batch(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin, codec=make_codec(admin, FIRST))

    assert subscription.validate()
    assert subscription.deliver(*(make_telemetry("a", bytes([number])) for number in range(10)))

    stored = messages_of(admin, integration_id)
    assert [row["payload"] for row in stored] == [{"t": number / 2} for number in range(10)]


def test_the_previous_secret_is_honoured_while_it_rotates(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)

    rotated = admin.call("POST", f"/integrations/{integration_id}/rotate-secret", json={})
    assert rotated.status_code == 200, rotated.text
    secret = rotated.json()["generated"]["webhook_secret"]

    assert secret != SECRET
    assert subscription.deliver(make_telemetry("a", {"n": 1}))
    subscription.url = subscription.url.replace(SECRET, secret)
    assert subscription.deliver(make_telemetry("a", {"n": 2}))
    assert [row["payload"]["n"] for row in messages_of(admin, integration_id)] == [1, 2]


def test_a_fault_of_ours_is_tried_again_and_nothing_is_dropped_or_stored_twice(admin: Platform) -> None:
    integration_id, subscription = receive_only(admin)
    assert subscription.deliver(make_telemetry("a", {"n": -1}))
    events = [make_telemetry("a", {"n": number}) for number in range(12)]
    subscription.sleep = lambda pause: time.sleep(min(pause, 1))

    with ThreadPoolExecutor(len(events)) as threads:
        with database_away(admin.stack):
            sent = [threads.submit(subscription.deliver, event) for event in events]
            time.sleep(4)
        assert all(each.result() for each in sent)

    stored = [row["payload"]["n"] for row in messages_of(admin, integration_id)]
    assert sorted(stored) == list(range(-1, 12))
    assert subscription.dropped == []
    assert not {400, 401, 403, 413} & {*subscription.statuses}
