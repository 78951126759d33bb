"""Commands as downlinks of The Things Stack: encoded, queued, followed to their end, held back together."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from shared.commands.sending import run_commands
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.end_to_end.messages.test_codecs import make_codec
from tests.end_to_end.providers.lorawan.test_webhooks import Network
from tests.fakes.lorawan.senders import TtsEvents
from tests.fakes.lorawan.tts import FakeTts
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")

VALVE = """
function decodeUplink(input) { return { data: { t: input.bytes[0] } }; }
function encodeDownlink(input) {
  if (input.name !== "valve") return { errors: ["unknown command " + input.name] };
  return { bytes: [1, input.data.open ? 255 : 0], fPort: 9 };
}
"""


@pytest.fixture
def fake() -> Iterator[FakeTts]:
    with FakeTts(f"a-{uuid.uuid4().hex[:20]}") as started:
        yield started


class Site:
    """An integration over the fake, with devices that have been heard once."""

    def __init__(self, admin: Platform, fake: FakeTts, **config: Any) -> None:
        self.admin, self.fake, self.events = admin, fake, TtsEvents(fake.application)
        named = {
            "application_id": fake.application,
            "api_key": fake.key,
            "base_url": fake.url,
            "sync_direction": "off",
        }
        self.network = Network(admin, **named, **config)

    def add_device(self, name: str) -> str:
        """Its id here."""
        self.fake.devices[name] = {"ids": {"device_id": name}}
        assert self.network.post(self.events.make_uplink(name, 1, b"\x01", {"t": 1})) == 202
        (device,) = self.admin.rows(
            "devices", integration_id=f"eq.{self.network.id}", external_id=f"eq.{name}", select="id"
        )
        return str(device["id"])

    def send(self, device: str, payload: Any, name: str = "valve") -> str:
        body = {"device_id": device, "name": name, "payload": payload}
        reply = self.admin.call("POST", "/commands", json=body)
        assert reply.status_code == 202, reply.text
        return str(reply.json()["command"]["id"])

    def show(self, command: str) -> dict[str, Any]:
        return dict(self.admin.call("GET", f"/commands/{command}").json()["command"])

    def work_until(self, *commands: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Send until none of these is pending any more; what became of each."""
        patience = Deadline(seconds)
        while not patience.expired:
            run_commands(as_service(), Deadline(0.5), Pulse())
            shown = [self.show(each) for each in commands]
            if not {each["status"] for each in shown} & {"pending", "sending"}:
                return shown
        raise AssertionError([self.show(each) for each in commands])


def test_a_downlink_that_was_taken_and_answered_with_no_json_is_not_queued_twice(
    admin: Platform, fake: FakeTts
) -> None:
    site = Site(admin, fake)
    device = site.add_device("room-1")
    fake.garbled = 1

    (shown,) = site.work_until(site.send(device, {"hex": "01", "f_port": 1}))

    assert (shown["status"], shown["attempts"], shown["result"]) == ("sent", 1, {"stage": "queued"})
    assert len(fake.queues["room-1"]) == 1


def test_bytes_go_into_the_queue_and_the_command_is_sent_until_the_device_acknowledges(
    admin: Platform, fake: FakeTts
) -> None:
    site = Site(admin, fake)
    device = site.add_device("room-1")
    command = site.send(device, {"hex": "beef", "f_port": 15, "confirmed": True, "priority": "HIGH"})

    (sent,) = site.work_until(command)
    stages = []
    for key in ("downlink_queued", "downlink_sent", "downlink_queued", "downlink_ack"):
        site.network.post(site.events.make_downlink("room-1", key, command))
        shown = site.show(command)
        stages.append((shown["status"], shown["result"]["stage"]))

    assert fake.queues["room-1"] == [
        {
            "f_port": 15,
            "frm_payload": "vu8=",
            "priority": "HIGH",
            "confirmed": True,
            "correlation_ids": [f"cmd:{command}"],
        }
    ]
    assert (sent["status"], sent["reference"], sent["result"]) == (
        "sent",
        f"cmd:{command}",
        {"stage": "queued"},
    )
    # What comes late takes nothing back.
    assert stages == [("sent", "queued"), ("sent", "sent"), ("sent", "sent"), ("confirmed", "acknowledged")]


def test_a_device_that_does_not_acknowledge_fails_the_command_until_it_does(
    admin: Platform, fake: FakeTts
) -> None:
    site = Site(admin, fake)
    device = site.add_device("room-1")
    refused, late = (site.send(device, {"hex": "01", "f_port": 1, "confirmed": True}) for _ in range(2))
    site.work_until(refused, late)

    site.network.post(site.events.make_downlink("room-1", "downlink_failed", refused))
    site.network.post(site.events.make_downlink("room-1", "downlink_nack", late))
    before = site.show(late)
    site.network.post(site.events.make_downlink("room-1", "downlink_ack", late))

    assert (before["status"], before["error"]) == ("failed", "The device has not acknowledged it.")
    assert site.show(late)["status"] == "confirmed"
    assert site.show(late)["error"] is None
    failed = site.show(refused)
    assert failed["status"] == "failed"
    assert "exceeds maximum" in failed["error"]


def test_the_codec_encodes_and_else_the_server_does(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake, codec=make_codec(admin, VALVE))
    first, second = site.add_device("room-1"), site.add_device("room-2")
    ours, refused = site.send(first, {"open": True}), site.send(first, {"open": True}, name="reboot")
    other = site.send(second, {"data": {"open": False}, "f_port": 30})

    shown = site.work_until(ours, refused, other)

    assert [each["status"] for each in shown] == ["sent", "failed", "sent"]
    assert "unknown command reboot" in shown[1]["error"]
    (queued,) = fake.queues["room-1"]
    assert (queued["f_port"], base64.b64decode(queued["frm_payload"])) == (9, b"\x01\xff")
    assert base64.b64decode(fake.queues["room-2"][0]["frm_payload"]) == b"\x01\x00"


def test_what_decodes_a_profiles_uplinks_encodes_its_downlinks(admin: Platform, fake: FakeTts) -> None:
    other = make_codec(admin, VALVE.replace("fPort: 9", "fPort: 8"))
    site = Site(admin, fake, codec=other, device_codecs={"dragino/lht65": make_codec(admin, VALVE)})
    command = site.send(site.add_device("room-1"), {"open": True})

    site.work_until(command)

    assert [queued["f_port"] for queued in fake.queues["room-1"]] == [9]


def test_without_a_codec_the_server_encodes_what_is_an_object(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    device = site.add_device("room-1")
    theirs, no_port = site.send(device, {"open": True}), site.send(device, {"hex": "01"})
    no_object, malformed = site.send(device, [1]), site.send(device, {"hex": "xyz", "f_port": 1})

    shown = site.work_until(theirs, no_port, no_object, malformed)

    assert [each["status"] for each in shown] == ["sent", "failed", "failed", "failed"]
    assert [
        word in each["error"] for each, word in zip(shown[1:], ("port", "object", "hex"), strict=True)
    ] == [True] * 3
    assert fake.queues["room-1"][0]["decoded_payload"] == {"open": True}


def test_the_queue_is_replaced_and_flushed(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    device = site.add_device("room-1")
    site.work_until(*(site.send(device, {"hex": f"0{n}", "f_port": 1}) for n in range(3)))
    pushed = len(fake.queues["room-1"])

    site.work_until(site.send(device, {"hex": "0a", "f_port": 1, "mode": "replace"}))
    replaced = [each["frm_payload"] for each in fake.queues["room-1"]]
    (both,) = site.work_until(site.send(device, {"mode": "flush", "hex": "0b", "f_port": 1}))
    kept = len(fake.queues["room-1"])
    site.work_until(site.send(device, {"mode": "flush"}))

    assert (both["status"], "leave out f_port, hex" in both["error"], kept) == ("failed", True, 1)
    assert (pushed, replaced, fake.queues["room-1"]) == (3, [base64.b64encode(b"\x0a").decode()], [])


def test_a_rate_limit_holds_back_the_whole_integration_and_no_other(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    first = site.add_device("room-1")
    fake.limited = [3.0]
    limited = site.send(first, {"hex": "01", "f_port": 1})
    while fake.limited:
        run_commands(as_service(), Deadline(0.5), Pulse())
    asked_at, asked = time.monotonic(), len(fake.asked)
    others = [site.send(site.add_device(f"room-{n}"), {"hex": "02", "f_port": 1}) for n in range(2, 5)]
    with FakeTts(f"b-{uuid.uuid4().hex[:20]}") as elsewhere:
        other_site = Site(admin, elsewhere)
        free = other_site.send(other_site.add_device("room-1"), {"hex": "03", "f_port": 1})
        other_site.work_until(free)
        held = time.monotonic() - asked_at < 2 and len(fake.asked) == asked

    shown = site.work_until(limited, *others)

    # Only meaningful where this machine was quick enough to look before the hold was over.
    assert held or time.monotonic() - asked_at >= 2
    assert {each["status"] for each in shown} == {"sent"}
    assert time.monotonic() - asked_at >= 2.5


def test_a_right_that_is_missing_is_named_in_the_servers_words(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    fake.missing = {"down"}
    command = site.send(site.add_device("room-1"), {"hex": "01", "f_port": 1})

    run_commands(as_service(), Deadline(2), Pulse())

    shown = site.show(command)
    assert "insufficient application rights" in shown["error"]
    assert "RIGHT_APPLICATION_TRAFFIC_DOWN_WRITE" in shown["error"]
    assert fake.key not in shown["error"]


def test_the_outcome_that_comes_before_the_answer_counts(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    device = site.add_device("room-1")
    command = site.send(device, {"hex": "01", "f_port": 1})

    site.network.post(site.events.make_downlink("room-1", "downlink_queued", command))
    run_commands(as_service(), Deadline(1), Pulse())

    assert site.show(command)["status"] == "sent"
    assert fake.queues == {}


def test_nobody_elses_events_end_a_command(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    command = site.send(site.add_device("room-1"), {"hex": "01", "f_port": 1})
    site.work_until(command)
    site.network.post(site.events.make_downlink("room-2", "downlink_ack", command))
    with FakeTts(f"b-{uuid.uuid4().hex[:20]}") as elsewhere:
        other = Site(admin, elsewhere)

        other.network.post(other.events.make_downlink("room-1", "downlink_ack", command))

    assert site.show(command)["status"] == "sent"


def test_the_connection_test_tells_of_the_key(admin: Platform, fake: FakeTts) -> None:
    site = Site(admin, fake)
    good = admin.call("POST", f"/integrations/{site.network.id}/test").json()
    fake.missing = {"devices"}
    bad = admin.call("POST", f"/integrations/{site.network.id}/test").json()

    assert (good["ok"], bad["ok"]) == (True, False)
    assert "RIGHT_APPLICATION_DEVICES_READ" in bad["checks"][-1]["detail"]


def test_without_a_key_it_receives_and_says_what_is_missing_for_more(admin: Platform, fake: FakeTts) -> None:
    network = Network(admin, application_id=fake.application)
    assert network.post(TtsEvents(fake.application).make_uplink("room-1", 1, b"\x01", {"t": 1})) == 202
    (device,) = admin.rows("devices", integration_id=f"eq.{network.id}", select="id")
    body = {"device_id": device["id"], "name": "valve", "payload": {"hex": "01", "f_port": 1}}
    command = admin.call("POST", "/commands", json=body).json()["command"]["id"]

    run_commands(as_service(), Deadline(1), Pulse())
    tested = admin.call("POST", f"/integrations/{network.id}/test").json()

    assert network.created["config"]["sync_direction"] == "off"
    shown = admin.call("GET", f"/commands/{command}").json()["command"]
    assert (shown["status"], "api_key" in shown["error"]) == ("failed", True)
    assert tested["ok"]
