"""Bodies that a codec decodes, from every way in to what is stored, sent on and decoded again."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.end_to_end.scheduler.test_tick import connect_broker, publish
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform, run_tick

pytestmark = pytest.mark.usefixtures("no_codecs")


HALVES = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2 } }; }"
LINES = """
function decodeUplink(input) {
  return { messages: input.text.split("\\n").map((line) => {
    const [device, time, value] = line.split(" ");
    return { device, time: Number(time), kind: "event", payload: { value: Number(value) } };
  }) };
}
"""
HANGS = "function decodeUplink(input) { if (input.bytes[0] === 0xff) while (true); return { data: { ok: true } }; }"


def make_codec(admin: Platform, source: str, kind: str = "javascript") -> str:
    body = {"organization_id": admin.user.organization_id, "name": f"c {uuid.uuid4()}", "kind": kind}
    reply = admin.call("POST", "/integrations/codecs", json=body | {"source": source})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["codec"]["id"])


def change_source(admin: Platform, codec_id: str, source: str) -> None:
    reply = admin.call("PATCH", f"/integrations/codecs/{codec_id}", json={"source": source})
    assert reply.status_code == 200, reply.text


def messages_of(admin: Platform, integration_id: str) -> list[dict[str, Any]]:
    return admin.rows("device_messages", integration_id=f"eq.{integration_id}", select="*", order="id")


def devices_of(admin: Platform) -> dict[str, str]:
    return {row["id"]: row["external_id"] for row in admin.rows("devices", select="id,external_id")}


def make_http(admin: Platform, **config: Any) -> tuple[str, dict[str, str]]:
    secret = f"secret-{uuid.uuid4()}"
    created = admin.create("http", {"webhook_secret": secret} | config)
    return str(created["id"]), {"X-Webhook-Secret": secret}


def post(admin: Platform, place: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(
        f"{admin.stack.url}/functions/v1/receive/{place}", content=body, headers=headers, timeout=60
    )


def test_a_brokers_messages_are_decoded_by_the_codec_in_their_order(admin: Platform) -> None:
    prefix, codec = uuid.uuid4().hex, make_codec(admin, HALVES)
    created = connect_broker(admin, prefix, codec=codec)
    publish(admin.stack, [(f"{prefix}/d{n % 3}/telemetry", bytes([n])) for n in range(50)])

    run_tick(admin.stack)

    stored, devices = messages_of(admin, created["id"]), devices_of(admin)
    assert [row["payload"]["t"] for row in stored] == [n / 2 for n in range(50)]
    assert {devices[row["device_id"]] for row in stored} == {"d0", "d1", "d2"}
    assert {row["kind"] for row in stored} == {"telemetry"}
    assert (stored[1]["raw"], stored[0]["raw"], stored[0]["raw_encoding"]) == ("\x01", "AA==", "base64")


def test_one_body_may_be_several_messages_with_devices_times_and_kinds_of_their_own(admin: Platform) -> None:
    prefix, codec = uuid.uuid4().hex, make_codec(admin, LINES)
    created = connect_broker(admin, prefix, codec=codec)
    publish(
        admin.stack, [(f"{prefix}/gate/telemetry", b"a 1767323045 1\nb 1767323046 2\na 1767323047 3")] * 2
    )

    run_tick(admin.stack)

    stored, devices = messages_of(admin, created["id"]), devices_of(admin)
    told = [(devices[row["device_id"]], row["observed_at"][:19], row["payload"]["value"]) for row in stored]
    once = [("a", "2026-01-02T03:04:05", 1), ("b", "2026-01-02T03:04:06", 2), ("a", "2026-01-02T03:04:07", 3)]
    assert told == once * 2
    assert len({row["event_id"] for row in stored}) == 6
    assert [row["raw"] is not None for row in stored] == [True, False, False] * 2
    assert {row["kind"] for row in stored} == {"event"}


def test_what_the_codec_cannot_decode_is_kept_raw_counted_and_replayed_once_it_is_mended(
    admin: Platform,
) -> None:
    prefix, codec = (
        uuid.uuid4().hex,
        make_codec(admin, "function decodeUplink() { throw new Error('no idea'); }"),
    )
    created = connect_broker(admin, prefix, codec=codec)
    publish(
        admin.stack,
        [
            (f"{prefix}/gate/telemetry", b"a 1767323045 1\nb 1767323046 2"),
            (f"{prefix}/gate/telemetry", b"c 1767323047 3"),
        ],
    )
    run_tick(admin.stack)
    failed = messages_of(admin, created["id"])

    change_source(admin, codec, LINES)
    replayed = admin.call("POST", f"/integrations/{created['id']}/messages/replay", json={}).json()

    assert [(row["error"][:15], row["raw"][0]) for row in failed] == [
        ("Error: no idea ", "a"),
        ("Error: no idea ", "c"),
    ]
    assert replayed == {"replayed": 2, "stored": 3, "duplicates": 0, "failed": 0, "next_cursor": None}
    stored = messages_of(admin, created["id"])
    assert sorted(row["payload"]["value"] for row in stored) == [1, 2, 3]
    assert {row["error"] for row in stored} == {None}
    assert {row["received_at"] for row in stored} == {row["received_at"] for row in failed}
    minutes = admin.rows("integration_metrics", integration_id=f"eq.{created['id']}", select="*")
    assert [sum(minute[name] for minute in minutes) for name in ("received", "stored", "failed")] == [3, 3, 0]


def test_a_body_that_hangs_its_codec_harms_itself_alone_and_is_kept(admin: Platform) -> None:
    prefix, codec = uuid.uuid4().hex, make_codec(admin, HANGS)
    created = connect_broker(admin, prefix, codec=codec)
    publish(
        admin.stack, [(f"{prefix}/d/telemetry", body) for body in [b"\x01"] * 20 + [b"\xff"] + [b"\x02"] * 20]
    )

    run_tick(admin.stack, seconds=30)

    stored = messages_of(admin, created["id"])
    assert [row["payload"] for row in stored] == [{"ok": True}] * 20 + [None] + [{"ok": True}] * 20
    assert stored[20]["error"]
    assert (stored[20]["raw"], stored[20]["raw_encoding"]) == ("/w==", "base64")


def test_a_changed_codec_counts_from_then_on_in_sessions_too(admin: Platform) -> None:
    prefix, codec = uuid.uuid4().hex, make_codec(admin, HALVES)
    created = connect_broker(admin, prefix, codec=codec)
    publish(admin.stack, [(f"{prefix}/d/telemetry", b"\x08")])
    run_tick(admin.stack)

    change_source(admin, codec, HALVES.replace("/ 2", "/ 4"))
    publish(admin.stack, [(f"{prefix}/d/telemetry", b"\x08")])
    run_tick(admin.stack)

    assert [row["payload"]["t"] for row in messages_of(admin, created["id"])] == [4, 2]


def test_golioths_pipelines_bring_bytes_to_a_codec(admin: Platform) -> None:
    codec, secret = make_codec(admin, HALVES), f"secret-{uuid.uuid4()}"
    config = {"api_key": "key", "project_id": "p", "webhook_secret": secret, "codec": codec}
    created = admin.create("golioth", config)
    event = {"ce-id": str(uuid.uuid4()), "ce-source": "dev-1", "ce-type": "io.golioth.data.v1/.s/sensor"}
    headers = event | {
        "ce-specversion": "1.0",
        "ce-time": "2026-01-02T03:04:05Z",
        "Content-Type": "application/octet-stream",
    }

    replies = [post(admin, created["id"], b"\x08", headers | {"X-Webhook-Secret": secret}) for _ in range(2)]

    assert [reply.json()["stored"] for reply in replies] == [1, 0]
    (row,) = messages_of(admin, created["id"])
    assert (row["payload"], row["topic"], row["kind"], row["observed_at"][:19]) == (
        {"t": 4},
        "sensor",
        "telemetry",
        "2026-01-02T03:04:05",
    )
    assert devices_of(admin)[row["device_id"]] == "dev-1"


def test_what_was_decoded_wrongly_is_decoded_anew_over_a_range_and_the_first_version_kept(
    admin: Platform,
) -> None:
    prefix, codec = uuid.uuid4().hex, make_codec(admin, LINES.replace("Number(value)", "-1"))
    created = connect_broker(admin, prefix, codec=codec)
    publish(admin.stack, [(f"{prefix}/gate/telemetry", b"a 1767323045 1\nb 1767323046 2")])
    run_tick(admin.stack)
    ids = [row["id"] for row in messages_of(admin, created["id"])]

    more = LINES.replace("input.text", "(input.text + '\\nnew 1767323048 7')")
    change_source(admin, codec, more)
    redecode(admin, created["id"])
    redecode(admin, created["id"])

    stored = messages_of(admin, created["id"])
    assert sorted(row["payload"]["value"] for row in stored) == [1, 2, 7]
    assert {row["id"] for row in stored} > set(ids)
    kept = [row["first_version"]["payload"]["value"] for row in stored if row["first_version"]]
    assert kept == [-1, -1]


def redecode(admin: Platform, integration_id: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    body = {"from": (now - timedelta(days=1)).isoformat(), "to": (now + timedelta(days=1)).isoformat()}
    begun = admin.call("POST", f"/integrations/{integration_id}/jobs", json={"kind": "redecode", **body})
    assert begun.status_code == 202, begun.text
    run_tick(admin.stack)
    job = admin.call("GET", f"/integrations/{integration_id}/jobs/{begun.json()['job']['id']}").json()["job"]
    assert job["status"] == "done", job
    return dict(job["report"])


def test_a_webhooks_body_is_what_the_codec_makes_of_the_event(
    admin: Platform, receiver: HttpReceiver
) -> None:
    source = (
        "function encode({ data }) { return 'device=' + data.device.external_id + ';t=' + data.payload.t; }"
    )
    prefix, codec = uuid.uuid4().hex, make_codec(admin, source)
    connect_broker(admin, prefix)
    config = {"url": receiver.url, "transform": codec}
    webhook = admin.create("webhook", config)
    publish(admin.stack, [(f"{prefix}/d1/telemetry", b'{"t": 7}')])

    run_tick(admin.stack)

    (request,) = receiver.requests
    assert request.body == b"device=d1;t=7"
    assert request.headers["content-type"].startswith("text/plain")
    assert request.headers["webhook-signature"]
    tested = admin.call("POST", f"/integrations/{webhook['id']}/test").json()
    assert not tested["ok"] or receiver.requests[-1].body.startswith(b"device=test-device")


def test_a_codec_that_makes_no_body_fails_the_delivery_with_its_reason(
    admin: Platform, receiver: HttpReceiver
) -> None:
    source = "function encode(event) { if (event.data.payload.t === 1) throw new Error('not one'); return event.data; }"
    prefix, codec = uuid.uuid4().hex, make_codec(admin, source)
    connect_broker(admin, prefix)
    webhook = admin.create("webhook", {"url": receiver.url, "transform": codec, "retry_schedule": []})
    publish(admin.stack, [(f"{prefix}/d1/telemetry", b'{"t": 1}'), (f"{prefix}/d1/telemetry", b'{"t": 2}')])

    run_tick(admin.stack)

    assert [json.loads(request.body)["payload"] for request in receiver.requests] == [{"t": 2}]
    deliveries = admin.rows("webhook_deliveries", integration_id=f"eq.{webhook['id']}", select="status")
    assert sorted(row["status"] for row in deliveries) == ["dead", "delivered"]
    attempts = admin.rows("webhook_attempts", select="*")
    assert any("not one" in json.dumps(attempt) for attempt in attempts)
