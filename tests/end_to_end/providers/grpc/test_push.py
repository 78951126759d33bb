"""Gateways that push our Publish by Connect and gRPC-Web: proven, stored once, and answered as they asked."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json
import os
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.stack import ROOT
from shared.provider import describe_file
from shared.providers.grpc.ingest import METHOD, PACKAGE, TABLE
from tests.end_to_end.messages.test_codecs import devices_of, make_codec, messages_of
from tests.fakes.grpc.proto_files import compile_proto
from tests.platform import Platform

PROTO = Path(ROOT) / "docs" / "grpc" / "ingest.proto"
READINGS = [
    {"id": "a-1", "device": "pump-1", "time": "2026-11-29T13:14:15Z", "values": {"temperature": 21.5}},
    {"device": "pump-2", "time": "2026-11-29T13:14:15Z", "payload": {"state": "running", "parts": [1, None]}},
    {"device": "pump-3", "values": {"rpm": 900}, "payload": {"state": "running"}},
]


@pytest.fixture(scope="module")
def messages() -> dict[str, Any]:
    """The published messages as protoc makes them of the published file."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    for each in descriptor_pb2.FileDescriptorSet.FromString(compile_proto(PROTO)).file:
        pool.Add(each)
    find = pool.FindMessageTypeByName
    return {name: message_factory.GetMessageClass(find(f"{PACKAGE}.{name}")) for name in TABLE}


@pytest.fixture(scope="module")
def batch(messages: dict[str, Any]) -> bytes:
    from google.protobuf import json_format

    made = json_format.ParseDict({"readings": READINGS}, messages["Batch"]())
    return bytes(made.SerializeToString())


def make_gateway(admin: Platform, **config: Any) -> tuple[str, dict[str, str]]:
    secret = f"secret-{uuid.uuid4()}"
    created = admin.create("grpc", {"webhook_secret": secret} | config)
    return str(created["id"]), {"X-Webhook-Secret": secret}


def publish(  # noqa: PLR0913, PLR0917 - as many things a call has
    admin: Platform, place: str, body: bytes, media: str, proof: dict[str, str], method: str = METHOD
) -> httpx.Response:
    return httpx.post(
        f"{admin.stack.url}/functions/v1/receive/{place}/{method}",
        content=body,
        headers={"Content-Type": media, **proof},
        timeout=60,
    )


def write_frame(content: bytes, flags: int = 0) -> bytes:
    return bytes((flags,)) + len(content).to_bytes(4, "big") + content


def read_frames(body: bytes) -> list[tuple[int, bytes]]:
    frames = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        frames.append((body[0], body[5 : 5 + size]))
        body = body[5 + size :]
    return frames


def read_ack(messages: dict[str, Any], body: bytes) -> tuple[int, int, int]:
    ack = messages["Ack"].FromString(body)
    return ack.stored, ack.duplicates, ack.failed


def test_the_published_file_and_what_is_made_in_code_are_the_same_messages() -> None:
    from google.protobuf import descriptor_pb2

    (*_, published) = descriptor_pb2.FileDescriptorSet.FromString(compile_proto(PROTO)).file
    ours = {each.name: each for each in describe_file(PACKAGE, TABLE).message_type}

    assert [each.name for each in published.message_type] == [*ours]
    for each in published.message_type:
        for field in (*each.field, *(inner for nested in each.nested_type for inner in nested.field)):
            field.ClearField("json_name")
        assert each == ours[each.name]
    (service,) = published.service
    assert f"{published.package}.{service.name}/{service.method[0].name}" == METHOD
    assert len(service.method) == 1


def test_connect_with_json(admin: Platform) -> None:
    integration_id, proof = make_gateway(admin)
    body = json.dumps({"readings": READINGS}).encode()

    replies = [
        publish(admin, integration_id, body, "application/json", proof | {"Connect-Protocol-Version": "1"})
        for _ in range(2)
    ]

    assert [reply.status_code for reply in replies] == [200, 200]
    assert replies[0].json() == {"stored": 3, "duplicates": 0, "failed": 0}
    rows = messages_of(admin, integration_id)
    names = devices_of(admin)
    stored = {names[row["device_id"]]: row for row in rows}
    assert stored["pump-1"]["payload"] == {"temperature": 21.5}
    assert stored["pump-1"]["observed_at"] == "2026-11-29T13:14:15+00:00"
    assert stored["pump-2"]["payload"] == {"state": "running", "parts": [1, None]}
    assert stored["pump-3"]["payload"] == {"values": {"rpm": 900}, "payload": {"state": "running"}}
    assert {row["topic"] for row in rows} == {METHOD}


def test_connect_with_protobuf(admin: Platform, messages: dict[str, Any], batch: bytes) -> None:
    integration_id, proof = make_gateway(admin)

    replies = [publish(admin, integration_id, batch, "application/proto", proof) for _ in range(2)]

    assert {reply.headers["content-type"] for reply in replies} == {"application/proto"}
    first, second = (read_ack(messages, reply.content) for reply in replies)
    assert first == (3, 0, 0)
    # The third has neither id nor time: it is new once a minute has begun between the two.
    assert second in {(0, 3, 0), (1, 2, 0)}
    assert len(messages_of(admin, integration_id)) == 3 + second[0]


def test_the_same_batch_in_json_and_protobuf_is_one(
    admin: Platform, messages: dict[str, Any], batch: bytes
) -> None:
    integration_id, proof = make_gateway(admin)
    publish(admin, integration_id, json.dumps({"readings": READINGS[:1]}).encode(), "application/json", proof)

    again = publish(admin, integration_id, batch, "application/proto", proof)

    assert read_ack(messages, again.content) == (2, 1, 0)


@pytest.mark.parametrize(
    "media", ["application/grpc-web+proto", "application/grpc-web", "application/grpc-web-text"]
)
def test_grpc_web(admin: Platform, messages: dict[str, Any], batch: bytes, media: str) -> None:
    integration_id, proof = make_gateway(admin)
    body, is_text = write_frame(batch), media.endswith("text")

    reply = publish(admin, integration_id, base64.b64encode(body) if is_text else body, media, proof)

    assert (reply.status_code, reply.headers["content-type"]) == (200, media)
    answer = base64.b64decode(reply.content) if is_text else reply.content
    (data, ack), (trailers, status) = read_frames(answer)
    assert (data, trailers, status) == (0, 0x80, b"grpc-status:0\r\n")
    assert read_ack(messages, ack) == (3, 0, 0)


def test_a_compressed_batch(admin: Platform, messages: dict[str, Any], batch: bytes) -> None:
    integration_id, proof = make_gateway(admin)

    plain = publish(
        admin, integration_id, gzip.compress(batch), "application/proto", proof | {"Content-Encoding": "gzip"}
    )
    framed = publish(
        admin,
        integration_id,
        write_frame(gzip.compress(batch), 1),
        "application/grpc-web",
        proof | {"grpc-encoding": "gzip"},
    )

    assert read_ack(messages, plain.content)[0] == 3
    assert read_ack(messages, read_frames(framed.content)[0][1])[1] >= 2


def test_a_wrong_proof_is_refused_as_each_protocol_refuses_and_like_an_unknown_id(
    admin: Platform, batch: bytes
) -> None:
    integration_id, _ = make_gateway(admin)
    wrong = {"X-Webhook-Secret": "wrong"}

    for place in (integration_id, str(uuid.uuid4())):
        connect = publish(admin, place, batch, "application/proto", wrong)
        web = publish(admin, place, write_frame(batch), "application/grpc-web+proto", wrong)
        assert (connect.status_code, connect.json()["code"]) == (401, "unauthenticated")
        assert (web.status_code, b"grpc-status:16" in web.content) == (200, True)
        assert "Retry-After" not in connect.headers
    assert messages_of(admin, integration_id) == []


@pytest.mark.parametrize("media", ["application/proto", "application/json"])
def test_a_signature_proves_a_batch(admin: Platform, batch: bytes, media: str) -> None:
    secret = f"secret-{uuid.uuid4()}"
    created = admin.create("grpc", {"webhook_secret": secret, "webhook_authentication": "hmac-sha256"})
    body = batch if media == "application/proto" else json.dumps({"readings": READINGS}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    good = publish(admin, created["id"], body, media, {"X-Webhook-Signature": signature})
    bad = publish(admin, created["id"], body + b" ", media, {"X-Webhook-Signature": signature})

    assert (good.status_code, bad.status_code) == (200, 401)
    assert len(messages_of(admin, created["id"])) == 3


def test_basic_authentication_is_metadata_as_any(admin: Platform, batch: bytes) -> None:
    secret = f"secret-{uuid.uuid4()}"
    config = {"webhook_secret": secret, "webhook_authentication": "basic", "webhook_username": "gateway"}
    created = admin.create("grpc", config)
    pair = base64.b64encode(f"gateway:{secret}".encode()).decode()

    reply = publish(admin, created["id"], batch, "application/proto", {"Authorization": f"Basic {pair}"})

    assert reply.status_code == 200


def test_another_method_is_not_implemented(admin: Platform, batch: bytes) -> None:
    integration_id, proof = make_gateway(admin)

    connect = publish(
        admin, integration_id, batch, "application/proto", proof, "devices.v1.Ingest/PublishStream"
    )
    web = publish(
        admin, integration_id, b"", "application/grpc-web", proof, "devices.v1.Ingest/PublishStream"
    )

    assert (connect.status_code, connect.json()["code"]) == (501, "unimplemented")
    assert b"grpc-status:12" in web.content


@pytest.mark.parametrize(
    "body",
    [
        b"\xff" * 30,
        b"{",
        b'{"readings": 5}',
        b'{"readings": [5]}',
        b'["a"]',
        os.urandom(500),
        b"\x00\x00\x00\x00\xff",
        b"A===",
        b"\x1f\x8b" + b"\xff" * 40,
        gzip.compress(b"\0" * 20_000_000),
        write_frame(b"") * 3,
        b"\x0a\x00" * 100_000,
        b"[" * 100_000,
        b'{"readings": [{"payload": ' + b'{"a": ' * 900 + b"1" + b"}" * 900 + b"}]}",
    ],
    ids=range(14),
)
def test_what_is_no_batch_is_kept_raw_and_counted_as_failed(admin: Platform, body: bytes) -> None:
    integration_id, proof = make_gateway(admin)

    reply = publish(admin, integration_id, body, "application/json", proof)

    assert (reply.status_code, reply.json()) == (200, {"stored": 0, "duplicates": 0, "failed": 1})
    (row,) = messages_of(admin, integration_id)
    assert row["error"]
    assert row["raw"]


def test_an_empty_batch_is_answered(admin: Platform, messages: dict[str, Any]) -> None:
    integration_id, proof = make_gateway(admin)

    replies = [publish(admin, integration_id, body, "application/proto", proof) for body in (b"", b"{}")]

    assert [read_ack(messages, reply.content) for reply in replies] == [(0, 0, 0)] * 2


def test_odd_values_are_stored_and_not_a_crash(admin: Platform) -> None:
    integration_id, proof = make_gateway(admin)
    odd: list[dict[str, Any]] = [
        {"device": 7, "values": {"a": "NaN", "b": 1e308}},
        {"device": "x" * 5_000, "values": []},
        {"id": {"a": 1}, "device": "d", "time": 5, "payload": "text"},
        {"id": "n\x00ul", "device": "d\x00", "payload": {"\x00": "\x00"}},
        {"device": "d", "raw": "not base64!"},
        {"device": "d", "raw": 5},
        {"surprise": True},
        {},
        {"device": "d", "time": "0001-01-01T00:00:00Z", "values": {"t": 1}},
    ]

    reply = publish(admin, integration_id, json.dumps({"readings": odd}).encode(), "application/json", proof)

    assert reply.status_code == 200, reply.text
    told = reply.json()
    assert told["stored"] + told["failed"] == len(odd)


@pytest.mark.usefixtures("no_codecs")
def test_raw_bytes_are_decoded_by_a_codec_or_as_json(admin: Platform) -> None:
    halves = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2, all: input.text } }; }"
    coded, proof = make_gateway(admin, codec=make_codec(admin, halves))
    plain, plain_proof = make_gateway(admin)
    raw = [{"device": "d", "raw": base64.b64encode(body).decode()} for body in (b"\x08", b'{"t": 1}')]
    body = json.dumps({"readings": raw}).encode()

    publish(admin, coded, body, "application/json", proof)
    reply = publish(admin, plain, body, "application/json", plain_proof)

    assert {row["payload"]["t"] for row in messages_of(admin, coded)} == {4, 61.5}
    assert reply.json() == {"stored": 1, "duplicates": 0, "failed": 1}


def test_too_large_a_body_is_refused(admin: Platform) -> None:
    integration_id, proof = make_gateway(admin)

    reply = publish(admin, integration_id, b" " * 1_100_000, "application/json", proof)

    assert reply.status_code == 413


@pytest.mark.usefixtures("no_codecs")
def test_what_failed_is_decoded_again(admin: Platform) -> None:
    integration_id, proof = make_gateway(admin)
    raw = [{"device": "d", "raw": base64.b64encode(b"\x08").decode()}]
    publish(admin, integration_id, json.dumps({"readings": raw}).encode(), "application/json", proof)
    halves = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2 } }; }"
    admin.call(
        "PATCH", f"/integrations/{integration_id}", json={"config": {"codec": make_codec(admin, halves)}}
    )

    reply = admin.call("POST", f"/integrations/{integration_id}/messages/replay")

    assert reply.json()["stored"] == 1
    (row,) = messages_of(admin, integration_id)
    assert (row["payload"], devices_of(admin)[row["device_id"]]) == ({"t": 4}, "d")
