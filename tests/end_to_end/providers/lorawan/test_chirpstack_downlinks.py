"""Commands as downlinks of ChirpStack: queued once through gRPC-Web, followed to their end, held back together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.commands.sending import run_commands
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.end_to_end.messages.test_codecs import make_codec
from tests.end_to_end.providers.lorawan.test_downlinks import VALVE
from tests.end_to_end.providers.lorawan.test_webhooks import Network
from tests.fakes.lorawan.chirpstack import FakeChirpstack, RefusedError
from tests.fakes.lorawan.senders import ChirpstackEvents
from tests.platform import Platform

pytestmark = pytest.mark.usefixtures("functions_environment", "no_codecs")

ROOM, HALL = "0102030405060701", "0102030405060702"


@pytest.fixture
def fake() -> Iterator[FakeChirpstack]:
    with FakeChirpstack(str(uuid.uuid4())) as started:
        yield started


class Site:
    """An integration over the fake, with devices that have been heard once."""

    def __init__(self, admin: Platform, fake: FakeChirpstack, **config: Any) -> None:
        self.admin, self.fake, self.events = admin, fake, ChirpstackEvents(fake.application)
        named = {"application_id": fake.application, "api_key": fake.key, "base_url": fake.url}
        self.network = Network(admin, **named | config)

    def add_device(self, eui: str) -> str:
        """Its id here."""
        self.fake.know(eui)
        assert self.network.post(self.events.make_uplink(eui, 1, b"\x01", {"t": 1}), "up") == 202
        (device,) = self.admin.rows(
            "devices", integration_id=f"eq.{self.network.id}", external_id=f"eq.{eui}", select="id"
        )
        return str(device["id"])

    def send(self, device: str, payload: Any, **more: Any) -> str:
        body = {"device_id": device, "name": "valve", "payload": payload} | more
        reply = self.admin.call("POST", "/commands", json=body)
        assert reply.status_code == 202, reply.text
        return str(reply.json()["command"]["id"])

    def show(self, command: str) -> dict[str, Any]:
        return dict(self.admin.call("GET", f"/commands/{command}").json()["command"])

    def hurry(self, command: str) -> None:
        """What waits for another try, or for the whole integration, is due now."""
        with self.admin.stack.connect() as connection:
            connection.execute("update device_commands set due_at = now() where id = %s", (command,))
            connection.execute("delete from private.rate_limits where subject = %s", (self.network.id,))

    def work_until(self, *commands: str, seconds: float = 90) -> list[dict[str, Any]]:
        """Send until none of these is pending any more; what became of each."""
        patience = Deadline(seconds)
        while not patience.expired:
            run_commands(as_service(), Deadline(0.5), Pulse())
            shown = [self.show(each) for each in commands]
            if not {each["status"] for each in shown} & {"pending", "sending"}:
                return shown
        raise AssertionError([self.show(each) for each in commands])

    def try_once(self, command: str, seconds: float = 90) -> dict[str, Any]:
        """Until one try has failed."""
        patience = Deadline(seconds)
        while not patience.expired:
            run_commands(as_service(), Deadline(0.5), Pulse())
            shown = self.show(command)
            if shown["error"]:
                return shown
        raise AssertionError(shown)

    def tell(self, topic: str, eui: str, item: str, **fields: Any) -> int:
        """What ChirpStack says of a queue item."""
        about = {"context": {"queue_item_id": item}} if topic == "log" else {"queueItemId": item}
        return self.network.post(self.events.wrap(eui, **about, **fields), topic)


def test_bytes_go_into_the_queue_and_the_command_is_sent_until_the_device_acknowledges(
    admin: Platform, fake: FakeChirpstack
) -> None:
    site = Site(admin, fake)
    command = site.send(site.add_device(ROOM), {"hex": "beef", "f_port": 15, "confirmed": True})

    (sent,) = site.work_until(command)
    (item,) = fake.queues[ROOM]
    stages = []
    for topic, fields in (("txack", {"fCntDown": 3}), ("ack", {"acknowledged": True})):
        assert site.tell(topic, ROOM, item.id, **fields) == 202
        shown = site.show(command)
        stages.append((shown["status"], shown["result"]["stage"]))

    assert (item.data, item.f_port, item.confirmed) == (b"\xbe\xef", 15, True)
    expires = datetime.fromisoformat(sent["expires_at"])
    assert item.expires_at.ToDatetime(tzinfo=UTC).replace(microsecond=0) == expires.replace(microsecond=0)
    assert (sent["status"], sent["reference"], sent["result"]) == ("sent", item.id, {"stage": "queued"})
    assert stages == [("sent", "sent"), ("confirmed", "acknowledged")]


def test_events_that_come_before_the_answer_to_the_call_count(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake)
    device = site.add_device(ROOM)
    told: list[int] = []

    def tell_at_once(item: Any) -> None:
        told.append(site.tell("txack", ROOM, item.id, fCntDown=3))
        told.append(site.tell("ack", ROOM, item.id, acknowledged=True))

    fake.before_answer = tell_at_once
    (shown,) = site.work_until(site.send(device, {"hex": "beef", "f_port": 15, "confirmed": True}))

    assert told == [202, 202]
    assert (shown["status"], shown["result"]["stage"]) == ("confirmed", "acknowledged")


FAILED: dict[str, Any] = {"level": "ERROR", "code": "DOWNLINK_PAYLOAD_SIZE", "description": "too large"}
EXPIRED: dict[str, Any] = {"level": "WARNING", "code": "EXPIRED", "description": "has expired"}


@pytest.mark.parametrize(
    ("topic", "fields", "ending"),
    [
        ("ack", {"acknowledged": False}, ("failed", "The device has not acknowledged it.")),
        ("log", FAILED, ("failed", "too large")),
        ("log", EXPIRED, ("expired", "has expired")),
    ],
)
def test_what_chirpstack_gives_up_ends_the_command(
    admin: Platform, fake: FakeChirpstack, topic: str, fields: dict[str, Any], ending: tuple[str, str]
) -> None:
    site = Site(admin, fake)
    command = site.send(site.add_device(ROOM), {"hex": "01", "f_port": 1, "confirmed": True})
    site.work_until(command)

    site.tell(topic, ROOM, fake.queues[ROOM][0].id, **fields)

    shown = site.show(command)
    assert (shown["status"], shown["error"]) == ending


def test_the_codec_encodes_and_else_chirpstack_does(admin: Platform, fake: FakeChirpstack) -> None:
    with_codec = Site(admin, fake, codec=make_codec(admin, VALVE))
    ours = with_codec.send(with_codec.add_device(ROOM), {"open": True})
    with_codec.work_until(ours)
    without = Site(admin, fake)
    device = without.add_device(HALL)
    theirs = without.send(device, {"data": {"open": True, "level": 2}, "f_port": 7})
    no_port, priority = (
        without.send(device, {"open": True}),
        without.send(device, {"hex": "01", "f_port": 1, "priority": "HIGH"}),
    )

    shown = without.work_until(theirs, no_port, priority)

    (encoded,), (asked,) = fake.queues[ROOM], fake.queues[HALL]
    assert (encoded.data, encoded.f_port) == (b"\x01\xff", 9)
    assert (dict(asked.object), asked.f_port) == ({"open": True, "level": 2.0}, 7)
    assert [each["status"] for each in shown] == ["sent", "failed", "failed"]
    assert ["port" in shown[1]["error"], "priorities" in shown[2]["error"]] == [True, True]


@pytest.mark.parametrize("name", ["Rooms", ROOM.upper()])
def test_what_decodes_a_profiles_or_a_devices_uplinks_encodes_its_downlinks(
    admin: Platform, fake: FakeChirpstack, name: str
) -> None:
    other = make_codec(admin, VALVE.replace("fPort: 9", "fPort: 8"))
    site = Site(admin, fake, codec=other, device_codecs={name: make_codec(admin, VALVE)})
    command = site.send(site.add_device(ROOM), {"open": True})

    site.work_until(command)

    assert [queued.f_port for queued in fake.queues[ROOM]] == [9]


def test_the_queue_is_replaced_and_flushed(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake)
    device = site.add_device(ROOM)
    site.work_until(*(site.send(device, {"hex": f"0{n}", "f_port": 1}) for n in range(3)))
    pushed = len(fake.queues[ROOM])

    site.work_until(site.send(device, {"hex": "0a", "f_port": 1, "mode": "replace"}))
    replaced = [each.data for each in fake.queues[ROOM]]
    site.work_until(site.send(device, {"mode": "flush"}))

    assert (pushed, replaced, fake.queues[ROOM]) == (3, [b"\x0a"], [])


@pytest.mark.parametrize("mode", ["push", "replace"])
def test_after_a_lost_answer_the_queue_is_looked_at_before_it_is_sent_again(
    admin: Platform, fake: FakeChirpstack, mode: str
) -> None:
    site = Site(admin, fake)
    device = site.add_device(ROOM)
    same = {"hex": "0a", "f_port": 1, "mode": mode}
    fake.lost = 1
    command = site.send(device, same)
    site.try_once(command)
    queued = [each.id for each in fake.queues[ROOM]]
    site.hurry(command)

    (shown,) = site.work_until(command)
    twin = site.send(device, {**same, "mode": "push"})
    site.work_until(twin)

    assert len(queued) == 1
    assert shown["reference"] == queued[0]
    # What is alike but another command is queued, too.
    assert [each.id for each in fake.queues[ROOM]] == [*queued, site.show(twin)["reference"]]
    assert fake.asked.count("Enqueue") == 2


def test_a_server_that_knows_no_expiry_is_sent_to_again(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake)
    fake.has_expiry, fake.lost = False, 1
    command = site.send(site.add_device(ROOM), {"hex": "0a", "f_port": 1})
    site.try_once(command)
    site.hurry(command)

    (shown,) = site.work_until(command)

    assert shown["reference"] == fake.queues[ROOM][-1].id
    assert len(fake.queues[ROOM]) == 2


@pytest.mark.parametrize("status", [8, 14])
def test_a_rate_limit_or_an_unavailable_server_holds_back_the_whole_integration(
    admin: Platform, fake: FakeChirpstack, status: int
) -> None:
    site = Site(admin, fake)
    fake.refusals = [RefusedError(status, "not now")]
    first = site.send(site.add_device(ROOM), {"hex": "01", "f_port": 1})
    other = site.add_device(HALL)
    began = time.monotonic()
    error = site.try_once(first)["error"]
    asked = len(fake.asked)
    second = site.send(other, {"hex": "02", "f_port": 1})
    run_commands(as_service(), Deadline(0.5), Pulse())
    # Only meaningful where this machine was quick enough to look before the hold was over.
    held = len(fake.asked) == asked or time.monotonic() - began > 3

    shown = site.work_until(first, second)

    assert "not now" in error
    assert held
    assert {each["status"] for each in shown} == {"sent"}


def test_nobody_elses_events_end_a_command(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake)
    command = site.send(site.add_device(ROOM), {"hex": "01", "f_port": 1})
    site.work_until(command)
    item = fake.queues[ROOM][0].id
    with FakeChirpstack(str(uuid.uuid4())) as elsewhere:
        other = Site(admin, elsewhere)
        other.add_device(ROOM)

        other.tell("ack", ROOM, item, acknowledged=True)

    assert site.show(command)["status"] == "sent"


def test_without_an_api_a_command_says_what_is_missing(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake, api_key=None, base_url=None)
    (shown,) = site.work_until(site.send(site.add_device(ROOM), {"hex": "01", "f_port": 1}))

    assert shown["status"] == "failed"
    assert "base_url" in shown["error"]


def test_the_connection_test_tells_of_the_key(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake)
    tested = []
    for key, refusal in (
        (fake.key, None),
        ("other", None),
        (fake.key, RefusedError(7, "tenant is read only")),
    ):
        fake.refusals = [refusal] if refusal else []
        body = {"config": {"api_key": key}}
        tested.append(admin.call("POST", f"/integrations/{site.network.id}/test", json=body).json())

    assert [each["ok"] for each in tested] == [True, False, False]
    assert "InvalidSignature" in tested[1]["checks"][-1]["detail"]
    assert "tenant is read only" in tested[2]["checks"][-1]["detail"]


def test_a_command_that_fails_by_itself_holds_back_no_other(admin: Platform, fake: FakeChirpstack) -> None:
    site = Site(admin, fake)
    first, second = site.add_device(ROOM), site.add_device(HALL)
    fake.refusals = [RefusedError(13, "Error: the codec has thrown")]
    failing = site.send(first, {"data": {"a": 1}, "f_port": 1})
    error = site.try_once(failing)["error"]

    with admin.stack.connect() as connection:
        held = connection.execute(
            "select count(*) from private.rate_limits where subject = %s and budget = 'commands_held'",
            (site.network.id,),
        ).fetchone()
    (sent,) = site.work_until(site.send(second, {"hex": "02", "f_port": 1}))

    assert "the codec has thrown" in error
    assert held == (0,)
    assert sent["status"] == "sent"
