"""Sessions and commands with a codec: what a session remembers, what devices are told, and children that are killed."""

from __future__ import annotations

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands.test_routes import listen, make_device
from tests.end_to_end.messages.test_codecs import (
    devices_of,
    make_codec,
    make_http,
    messages_of,
    post,
)
from tests.end_to_end.scheduler.test_tick import connect_broker, publish
from tests.platform import Platform, run_tick
from tests.stack import Stack
from tests.unit.codecs.test_sparkplug_b import metric, payload

pytestmark = pytest.mark.usefixtures("no_codecs")


VALVE = """
function decodeUplink(input) { return { data: { n: input.bytes[0] * 256 + input.bytes[1] } }; }
function encodeDownlink({ data, name, topic }) {
  if (name !== "valve") return { errors: ["unknown command " + name] };
  return { bytes: [1, data.open ? 255 : 0, topic.length] };
}
"""


def birth(number: int, *metrics: dict[str, object], seq: int = 0) -> bytes:
    return payload(metric("bdSeq", "Int64", long_value=number), *metrics, seq=seq)


def test_sparkplug_names_devices_states_and_rebirths_outlive_sessions(admin: Platform) -> None:
    group = uuid.uuid4().hex
    node, device = f"spBv1.0/{group}/{{}}/edge", f"spBv1.0/{group}/{{}}/edge/oven"
    config = {"topics": f"spBv1.0/{group}/#", "codec": make_codec(admin, "", "sparkplug_b")}
    created = connect_broker(admin, group, **config)
    temperature = metric("temp", "Float", alias=1, float_value=21.5)
    asked: list[tuple[str, bytes]] = []
    client = listen(admin.stack, f"spBv1.0/{group}/NCMD/+", asked)

    publish(
        admin.stack,
        [(node.format("NBIRTH"), birth(3)), (device.format("DBIRTH"), payload(temperature, seq=1))],
    )
    run_tick(admin.stack)
    publish(admin.stack, [(device.format("DDATA"), payload({"alias": 1, "float_value": 22.5}, seq=2))])
    run_tick(admin.stack)
    publish(admin.stack, [(f"spBv1.0/{group}/NDATA/other", payload({"alias": 9, "int_value": 1}, seq=5))])
    publish(admin.stack, [(node.format("NDEATH"), payload(metric("bdSeq", "Int64", long_value=3)))])
    run_tick(admin.stack)
    run_tick(admin.stack)
    client.disconnect()

    stored, names = messages_of(admin, created["id"]), devices_of(admin)
    told = [
        (names.get(row["device_id"], ""), row["kind"], row["payload"]) for row in stored if not row["error"]
    ]
    edge, oven = f"{group}/edge", f"{group}/edge/oven"
    assert (oven, "telemetry", {"temp": 22.5}) in told
    assert [(name, kind) for name, kind, said in told if said == {"status": "offline"}] == [
        (edge, "state"),
        (oven, "state"),
    ]
    (failed,) = [row for row in stored if row["error"]]
    assert "alias 9" in failed["error"]
    assert failed["raw"]
    assert [topic for topic, _ in asked] == [f"spBv1.0/{group}/NCMD/other"]
    online = admin.rows("devices", select="external_id,status", external_id=f"in.({edge},{oven})")
    assert {row["status"] for row in online} == {"offline"}


def make_commanded(admin: Platform, prefix: str, codec: str) -> dict[str, Any]:
    """A device that is told by this codec what it is told."""
    device = make_device(admin, prefix, command_topic=f"{prefix}/{{device}}/commands/{{name}}")
    (row,) = admin.rows("devices", id=f"eq.{device['id']}", select="integration_id")
    changed = admin.call("PATCH", f"/integrations/{row['integration_id']}", json={"config": {"codec": codec}})
    assert changed.status_code == 200, changed.text
    return device


def send(admin: Platform, device_id: str, name: str, told: object) -> str:
    body = {"device_id": device_id, "name": name, "payload": told}
    sent = admin.call("POST", "/commands", json=body)
    assert sent.status_code == 202, sent.text
    return str(sent.json()["command"]["id"])


def test_a_command_goes_out_in_the_bytes_that_the_codec_makes_of_it(admin: Platform, stack: Stack) -> None:
    prefix, heard = uuid.uuid4().hex, list[tuple[str, bytes]]()
    device = make_commanded(admin, prefix, make_codec(admin, VALVE))
    client = listen(stack, f"{prefix}/#", heard)

    valve = send(admin, device["id"], "valve", {"open": True})
    other = send(admin, device["id"], "reboot", {})
    run_tick(stack)
    client.disconnect()

    ended = {
        row["id"]: row for row in admin.rows("device_commands", select="*", device_id=f"eq.{device['id']}")
    }
    ((topic, body),) = heard
    assert body == bytes([1, 255, len(topic)])
    assert ended[valve]["status"] == "sent"
    assert ended[other]["status"] == "failed"
    assert ended[other]["error"] == "The codec can't encode it: unknown command reboot"


@pytest.mark.parametrize(
    ("kind", "source", "body"),
    [
        ("javascript", "function Decoder(bytes) { return bytes; }", b'{"t":1}'),
        ("jmespath", "{messages: readings}", b'{"t":1}'),
        ("cbor", "", b"\xa1at\x01"),
        ("javascript", "function Encode(fPort, data) { return [data.t]; }", b"\x01"),
    ],
)
def test_a_codec_that_encodes_nothing_leaves_commands_json(
    admin: Platform, stack: Stack, kind: str, source: str, body: bytes
) -> None:
    prefix, heard = uuid.uuid4().hex, list[tuple[str, bytes]]()
    device = make_commanded(admin, prefix, make_codec(admin, source, kind))
    client = listen(stack, f"{prefix}/#", heard)

    send(admin, device["id"], "set", {"t": 1})
    run_tick(stack)
    client.disconnect()

    assert [told for _, told in heard] == [body]


def find_codec_processes() -> set[int]:
    """The children that codecs run in, of the stack that this process has started."""
    lines = {int(file.parent.name): read_process(file) for file in Path("/proc").glob("[0-9]*/cmdline")}
    return {pid for pid, (line, _) in lines.items() if b"sandbox.main" in line and is_ours(pid, lines)}


def read_process(file: Path) -> tuple[bytes, int]:
    try:
        return file.read_bytes(), int(file.with_name("stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return b"", 0


def is_ours(pid: int, lines: dict[int, tuple[bytes, int]]) -> bool:
    while pid in lines and pid != os.getpid():
        pid = lines[pid][1]
    return pid == os.getpid()


@contextmanager
def killing_codecs(seconds: float) -> Iterator[list[int]]:
    """Every process of a codec that is there, killed every so often."""
    over, killed = threading.Event(), list[int]()

    def kill() -> None:
        while not over.wait(seconds):
            for pid in find_codec_processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_while_children_are_killed_a_session_loses_nothing_and_doubles_nothing(admin: Platform) -> None:
    prefix = uuid.uuid4().hex
    created = connect_broker(admin, prefix, codec=make_codec(admin, VALVE))

    with killing_codecs(0.25) as killed:
        for part in range(0, 900, 300):
            numbers = range(part, part + 300)
            publish(admin.stack, [(f"{prefix}/d{n % 5}/telemetry", n.to_bytes(2)) for n in numbers])
            run_tick(admin.stack)
    run_tick(admin.stack)

    stored = messages_of(admin, created["id"])
    assert killed
    assert [row["error"] for row in stored if row["error"]] == []
    assert sorted(row["payload"]["n"] for row in stored) == list(range(900))


def test_while_children_are_killed_what_posts_loses_nothing_and_doubles_nothing(admin: Platform) -> None:
    integration_id, proof = make_http(admin, codec=make_codec(admin, VALVE))
    sent = []

    with killing_codecs(0.25) as killed:
        for n in range(150):
            keyed = proof | {"Idempotency-Key": str(n)}
            while (reply := post(admin, integration_id, n.to_bytes(2), keyed)).status_code in {429, 503}:
                pass
            sent.append(reply.json())

    assert killed
    assert {reply["failed"] for reply in sent} == {0}
    assert sorted(row["payload"]["n"] for row in messages_of(admin, integration_id)) == list(range(150))
