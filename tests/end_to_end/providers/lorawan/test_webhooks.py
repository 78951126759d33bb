"""What LoRaWAN network servers push is stored once, also while the database restarts, with radio and battery."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from shared.messages import receive_coded
from shared.messages.arrival import Arrival
from shared.messages.receive import _receive_all
from shared.provider import PushedRequest
from tests.end_to_end.messages.test_codecs import make_codec, messages_of
from tests.end_to_end.messages.test_receive import database_away
from tests.fakes.lorawan.senders import ChirpstackEvents, TtsEvents, post_once
from tests.inside import environment_of
from tests.platform import Platform
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("no_codecs")

HALVES = "function decodeUplink(input) { return { data: { t: input.bytes[0] / 2, port: input.fPort } }; }"
NEGATIVE = "function decodeUplink(input) { return { data: { t: -input.bytes[0] } }; }"
DEVICE = "0102030405060708"
PATIENCE_SECONDS = 2.5
"""How long a database may be away until senders are told to come again."""


class Network:
    """An integration, and the sender that knows its address and secret."""

    def __init__(self, admin: Platform, integration_type: str = "lora", **config: Any) -> None:
        secret = f"secret-{uuid.uuid4()}"
        self.headers = {"X-Webhook-Secret": secret}
        self.created = admin.create(integration_type, {"webhook_secret": secret} | config)
        self.id = str(self.created["id"])
        self.url = f"{admin.stack.url}/functions/v1/receive/{self.id}"

    def post(self, event: dict[str, Any], topic: str = "") -> int:
        return post_once(f"{self.url}?event={topic}" if topic else self.url, event, self.headers)


def connect_tts(admin: Platform, **config: Any) -> tuple[Network, TtsEvents]:
    application = f"a-{uuid.uuid4().hex[:20]}"
    given: dict[str, Any] = {"api_key": "NNSXS.KEY", "sync_direction": "off"} | config
    return Network(admin, application_id=application, **given), TtsEvents(application)


def connect_chirpstack(admin: Platform, **config: Any) -> tuple[Network, ChirpstackEvents]:
    application = str(uuid.uuid4())
    return Network(admin, application_id=application, **config), ChirpstackEvents(application)


def device_of(admin: Platform, network: Network, external_id: str) -> dict[str, Any]:
    (device,) = admin.rows(
        "devices", integration_id=f"eq.{network.id}", external_id=f"eq.{external_id}", select="*"
    )
    return device


def test_the_type_lora_becomes_what_the_config_is_of_and_finds_both(admin: Platform) -> None:
    tts, _ = connect_tts(admin)
    chirpstack, _ = connect_chirpstack(admin)

    listed = admin.call("GET", "/integrations?integration_type=lora").json()["integrations"]

    types = {tts.id: "lorawan_tts", chirpstack.id: "lorawan_chirpstack"}
    assert {
        tts.id: tts.created["integration_type"],
        chirpstack.id: chirpstack.created["integration_type"],
    } == types
    assert {row["id"]: row["integration_type"] for row in listed} == types
    for each in ("lorawan_tts", "lorawan_chirpstack"):
        only = admin.call("GET", f"/integrations?integration_type={each}").json()["integrations"]
        assert {row["integration_type"] for row in only} == {each}


def test_what_the_type_lora_can_not_be_is_said_at_its_field(admin: Platform) -> None:
    body: dict[str, Any] = {
        "organization_id": admin.user.organization_id,
        "integration_type": "lora",
        "name": "x",
        "config": {},
    }

    reply = admin.call("POST", "/integrations", json=body)

    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == ["application_id"]


def test_every_event_is_stored_once_however_often_it_comes(admin: Platform) -> None:
    network, tts = connect_tts(admin)
    events = [
        *(tts.make_uplink("room-1", count, b"\x01", {"temperature": 20 + count}) for count in range(3)),
        tts.wrap("room-1", "join_accept", {"session_key_id": tts.session}),
        *(tts.make_downlink("room-1", key) for key in ("downlink_queued", "downlink_sent", "downlink_ack")),
        tts.make_downlink("room-1", "downlink_failed"),
        tts.wrap("room-1", "location_solved", {"service": "geo", "location": {"latitude": 48.2}}),
        tts.wrap("room-1", "service_data", {"service": "geo", "data": {"a": 1}}),
    ]

    statuses = [network.post(event) for event in [*events, *reversed(events)]]

    assert set(statuses) == {202}
    stored = messages_of(admin, network.id)
    assert [row["topic"] for row in stored] == [next(key for key in event if key in KEYS) for event in events]
    assert {row["error"] for row in stored} == {None}


KEYS = (
    *("uplink_message", "join_accept", "downlink_queued", "downlink_sent", "downlink_ack", "downlink_failed"),
    *("location_solved", "service_data"),
)


def test_the_device_has_its_battery_and_the_gateways_that_ever_heard_it(admin: Platform) -> None:
    network, tts = connect_tts(admin)
    network.post(tts.make_uplink("room-1", 1, b"\x01", {"t": 1}))
    heard = [{"gateway_ids": {"gateway_id": "gw-new"}, "rssi": -99, "snr": 1.5}]
    network.post(
        tts.make_uplink(
            "room-1", 2, b"\x01", {"t": 1}, rx_metadata=heard, last_battery_percentage={"value": 50}
        )
    )

    facts = device_of(admin, network, "room-1")["metadata"]["lorawan"]

    assert facts["gateways"] == ["gw-new", "gw-roof", "gw-yard"]
    assert facts["battery"] == 50


def test_a_device_that_is_only_told_something_is_not_online_for_it(admin: Platform) -> None:
    network, tts = connect_tts(admin)
    network.post(tts.make_downlink("room-1", "downlink_queued"))
    silent = device_of(admin, network, "room-1")

    network.post(tts.make_uplink("room-1", 1, b"\x01", {"t": 1}))
    heard = device_of(admin, network, "room-1")

    assert (silent["status"], silent["last_seen_at"]) == ("unknown", None)
    assert heard["status"] == "online"
    assert heard["last_seen_at"]


def test_a_codec_decodes_what_the_server_does_not_and_both_stay_apart(admin: Platform) -> None:
    network, tts = connect_tts(admin, codec=make_codec(admin, HALVES))
    network.post(tts.make_uplink("room-1", 1, b"\x2b"))
    network.post(tts.make_uplink("room-1", 2, b"\x2b", {"temperature": 7}))

    ours, theirs = messages_of(admin, network.id)

    assert (ours["payload"], ours["metadata"]["decoded_by"]) == ({"t": 21.5, "port": 2}, "codec")
    assert (theirs["payload"], theirs["metadata"]["decoded_by"]) == ({"temperature": 7}, "server")
    assert '"frm_payload": "Kw=="' in theirs["raw"]
    assert '"frm_payload": "Kw=="' in ours["raw"]
    assert {ours["kind"], theirs["kind"]} == {"telemetry"}


def test_a_profile_or_a_device_may_have_a_codec_of_its_own(admin: Platform) -> None:
    halves, negative = make_codec(admin, HALVES), make_codec(admin, NEGATIVE)
    tts_network, tts = connect_tts(
        admin, codec=halves, device_codecs={"dragino/lht65": negative, "room-2": halves}
    )
    network, chirpstack = connect_chirpstack(admin, device_codecs={"Rooms": negative})

    tts_network.post(tts.make_uplink("room-1", 1, b"\x02"))
    tts_network.post(tts.make_uplink("room-2", 1, b"\x02"))
    network.post(chirpstack.make_uplink(DEVICE, 1, b"\x02"), "up")

    first, second = messages_of(admin, tts_network.id)
    (third,) = messages_of(admin, network.id)
    assert [row["payload"]["t"] for row in (first, second, third)] == [-2, 1, -2]
    used = admin.call("DELETE", f"/integrations/codecs/{negative}")
    assert used.status_code == 409


def test_a_codec_of_nobody_is_refused_at_its_field(admin: Platform) -> None:
    config = {"application_id": "acme-1", "api_key": "NNSXS.KEY", "device_codecs": {"a": str(uuid.uuid4())}}
    named = {"organization_id": admin.user.organization_id, "integration_type": "lorawan_tts", "name": "x"}

    reply = admin.call("POST", "/integrations", json={**named, "config": config})

    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == ["device_codecs"]


def test_what_came_before_its_codec_is_decoded_by_a_replay(admin: Platform) -> None:
    network, chirpstack = connect_chirpstack(admin)
    network.post(chirpstack.make_uplink(DEVICE, 1, b"\x2b"), "up")
    codec = make_codec(admin, HALVES)
    admin.call("PATCH", f"/integrations/{network.id}", json={"config": {"codec": codec}})

    (before,) = messages_of(admin, network.id)
    replayed = admin.call("POST", f"/integrations/{network.id}/messages/replay", json={})

    (after,) = messages_of(admin, network.id)
    assert replayed.status_code in {200, 202}, replayed.text
    assert "choose a codec" in before["error"]
    assert (after["error"], after["payload"]) == (None, {"t": 21.5, "port": 2})
    assert after["received_at"] == before["received_at"]


def test_what_a_codec_says_of_another_device_tells_nothing_of_its_radio(admin: Platform) -> None:
    source = "function decodeUplink() { return { messages: [{ device: 'meter-1', payload: { t: 1 } }] }; }"
    network, tts = connect_tts(admin, codec=make_codec(admin, source))

    network.post(tts.make_uplink("room-1", 1, b"\x02"))

    assert device_of(admin, network, "meter-1")["metadata"] == {}


def test_what_came_of_an_application_before_is_no_obstacle_to_a_replay(admin: Platform) -> None:
    network, chirpstack = connect_chirpstack(admin)
    network.post(chirpstack.make_uplink(DEVICE, 1, b"\x2b"), "up")
    following = ChirpstackEvents(str(uuid.uuid4()))
    config = {"codec": make_codec(admin, HALVES), "application_id": following.application}
    assert admin.call("PATCH", f"/integrations/{network.id}", json={"config": config}).status_code == 200
    network.post(following.make_uplink(DEVICE, 2, b"\x2b"), "up")
    replayed = admin.call("POST", f"/integrations/{network.id}/messages/replay", json={})

    assert replayed.status_code == 200, replayed.text
    assert (replayed.json()["replayed"], replayed.json()["failed"]) == (1, 1)


def test_where_no_decoder_is_free_the_uplink_is_kept_and_its_sender_need_not_try_again(
    admin: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, chirpstack = connect_chirpstack(admin, codec=make_codec(admin, HALVES))
    monkeypatch.setattr(receive_coded, "MOST_OF_ONE", 0)
    request = PushedRequest({"x-webhook-secret": network.headers["X-Webhook-Secret"]}, b"", "", "event=up")

    with environment_of(admin.stack, monkeypatch):
        receipt = receive_one(network, chirpstack, request)

    (stored,) = messages_of(admin, network.id)
    assert receipt["received"] == 1
    assert "replay" in stored["error"]
    assert stored["metadata"]["rssi"] == -36


def receive_one(network: Network, chirpstack: ChirpstackEvents, request: PushedRequest) -> Any:
    """As /receive does, in this process."""
    body = json.dumps(chirpstack.make_uplink(DEVICE, 1, b"\x2b")).encode()
    (proven,) = _receive_all([Arrival(network.id, None, replace(request, body=body), weight=0)])
    assert isinstance(proven, receive_coded.Proven)
    return receive_coded.receive_proven(proven, None)


@contextmanager
def database_restarting(stack: Stack) -> Iterator[list[float]]:
    """The server itself is stopped and comes back; then, for how many seconds it was away."""
    away: list[float] = []
    begun, stopped = time.monotonic(), stack.stop_postgres()
    yield away
    wait_until(
        lambda: stack.postgres_pid not in {0, stopped} and is_answering(stack), "Postgres did not come back"
    )
    away.append(time.monotonic() - begun)


def is_answering(stack: Stack) -> bool:
    try:
        with stack.connect():
            return True
    except psycopg.OperationalError:
        return False


class Pushing:
    """A sender that tries everything once, and twelve uplinks of it."""

    def __init__(self, admin: Platform, *, has_codec: bool) -> None:
        config = {"codec": make_codec(admin, HALVES)} if has_codec else {}
        self.admin = admin
        self.network, chirpstack = connect_chirpstack(admin, **config)
        assert self.network.post(chirpstack.wrap(DEVICE, devAddr="00189440"), "join") == 202
        self.events = [chirpstack.make_uplink(DEVICE, count, b"\x2b", {"n": count}) for count in range(12)]
        self.names = [f"{event['deduplicationId']}:up" for event in self.events]

    def push(self, threads: ThreadPoolExecutor) -> list[Future[int]]:
        return [threads.submit(self.network.post, event, "up") for event in self.events]

    def stored(self) -> list[str]:
        rows = messages_of(self.admin, self.network.id)
        return sorted(row["event_id"] for row in rows if row["topic"] == "up")


@pytest.mark.parametrize("has_codec", [False, True])
def test_a_sender_that_never_tries_again_loses_nothing_while_the_database_is_away_for_two_seconds(
    admin: Platform,
    has_codec: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    site = Pushing(admin, has_codec=has_codec)

    with ThreadPoolExecutor(len(site.events)) as threads:
        with database_away(admin.stack):
            sent = site.push(threads)
            time.sleep(2)
        statuses = [each.result() for each in sent]

    assert statuses == [202] * len(site.events)
    assert site.stored() == sorted(site.names)


@pytest.mark.parametrize("has_codec", [False, True])
def test_a_sender_that_never_tries_again_loses_nothing_while_the_database_restarts(
    admin: Platform,
    has_codec: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    site = Pushing(admin, has_codec=has_codec)

    with ThreadPoolExecutor(len(site.events)) as threads:
        with database_restarting(admin.stack) as away:
            sent = site.push(threads)
        statuses = [each.result() for each in sent]

    taken = [name for name, status in zip(site.names, statuses, strict=True) if status == 202]
    # On a machine that takes longer to start it than its senders wait, they are told that nothing was kept.
    assert len(taken) == len(site.names) or (away[0] > PATIENCE_SECONDS and set(statuses) <= {0, 202, 503})
    assert set(taken) <= set(site.stored())
    assert len(site.stored()) == len(set(site.stored()))


def test_who_has_no_secret_or_another_application_stores_nothing(admin: Platform) -> None:
    network, tts = connect_tts(admin)
    network.headers, proof = {"X-Webhook-Secret": "wrong"}, network.headers
    refused = network.post(tts.make_uplink("room-1", 1, b"\x01", {"t": 1}))
    network.headers = proof

    others = network.post(TtsEvents("someone-elses").make_uplink("room-1", 1, b"\x01", {"t": 1}))

    assert (refused, others) == (401, 401)
    assert messages_of(admin, network.id) == []
