"""What network servers push becomes the same messages whatever is left out, and again whenever it comes again."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.provider import (
    CommandReport,
    Identity,
    Message,
    Unauthenticated,
    load_provider,
    read_json,
    write_json,
)
from shared.provider.lorawan import LorawanReceiver
from tests.contract.configs import read_config
from tests.fakes.lorawan.senders import ChirpstackEvents, TtsEvents, drop_zeros

APPLICATION = read_config("lorawan_chirpstack")["application_id"]
TTS, CHIRPSTACK = TtsEvents(), ChirpstackEvents(APPLICATION)
READING = {"temperature": 21.5, "door": {"open": False}}
DATA = b"\x01\x9a"


def read(name: str, event: Any, topic: str | None = None) -> list[Message]:
    provider = load_provider(read_config(name), Identity(str(uuid.uuid4()), str(uuid.uuid4()), name))
    assert isinstance(provider, LorawanReceiver)
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return provider.make_messages(provider.read_event(topic, body), body)


def read_one(name: str, event: Any, topic: str | None = None) -> Message:
    (message,) = read(name, event, topic)
    return message


def test_an_uplink_that_the_things_stack_has_decoded_is_a_reading_with_the_facts_of_its_radio() -> None:
    event = TTS.make_uplink("room-1", 0, DATA, READING)

    message = read_one("lorawan_tts", event)

    eui = event["end_device_ids"]["dev_eui"]
    assert message.event_id == f"{eui}:{TTS.session}:0:uplink_message"
    assert (message.device, message.kind, message.topic) == ("room-1", "telemetry", "uplink_message")
    assert message.payload == READING
    assert message.observed_at == "2026-11-28T10:20:30.500000+00:00"
    assert json.loads(message.raw or "") == event
    assert message.metadata == {
        "dev_eui": eui,
        "f_port": 2,
        "f_cnt": 0,
        "confirmed": False,
        "frequency": 868100000,
        "airtime_ms": 51.456,
        "data_rate": "SF7BW125",
        "spreading_factor": 7,
        "bandwidth": 125000,
        "coding_rate": "4/5",
        "rssi": -35,
        "snr": 9.5,
        "gateways": [
            {"id": "gw-roof", "rssi": -35, "snr": 9.5},
            {"id": "gw-yard", "rssi": -110, "snr": -2.25},
        ],
        "decoded_by": "server",
    }
    assert message.report
    assert message.report.facts == {
        "dev_eui": eui,
        "battery": 87.5,
        "gateways": ["gw-roof", "gw-yard"],
        "codec_names": ("room-1", eui, eui.lower(), "dragino/lht65", "lht65"),
    }


def test_an_uplink_of_chirpstack_is_the_same_with_zeros_and_without() -> None:
    event = CHIRPSTACK.make_uplink("0102030405060708", 0, DATA, {"temperature": 21.5})

    whole, short = (read_one("lorawan_chirpstack", each, "up") for each in (event, drop_zeros(event)))

    assert whole.metadata == short.metadata
    assert (whole.event_id, whole.payload, whole.observed_at, whole.report) == (
        *(short.event_id, short.payload, short.observed_at, short.report),
    )
    assert whole.event_id == f"{event['deduplicationId']}:up"
    assert whole.device == "0102030405060708"
    assert whole.observed_at == "2026-11-28T10:20:30.123456+00:00"
    assert whole.metadata is not None
    assert {name: whole.metadata[name] for name in ("rssi", "snr", "data_rate", "coding_rate", "f_cnt")} == {
        "rssi": -36,
        "snr": 0,
        "data_rate": "SF11BW125",
        "coding_rate": "4/5",
        "f_cnt": 0,
    }
    assert whole.report
    assert whole.report.facts
    assert whole.report.facts["gateways"] == ["0016c001f153a14c", "0016c001f153a14d"]


def test_the_same_uplink_under_another_key_is_a_message_of_its_own() -> None:
    event = TTS.make_uplink("room-1", 7, DATA, READING)
    uplink = event.pop("uplink_message") | {"normalized_payload": {"air": {"temperature": 21.5}}}

    message = read_one("lorawan_tts", event | {"uplink_normalized": uplink})

    assert message.event_id.endswith(f"{TTS.session}:7:uplink_normalized")
    assert message.payload == {"air": {"temperature": 21.5}}


@pytest.mark.parametrize(
    ("name", "event", "topic"),
    [
        ("lorawan_tts", TTS.make_uplink("room-1", 1, DATA), None),
        ("lorawan_chirpstack", CHIRPSTACK.make_uplink("0102030405060708", 1, DATA), "up"),
    ],
)
def test_bytes_that_nobody_decodes_are_kept_with_what_to_do_about_it(
    name: str, event: Any, topic: str
) -> None:
    message = read_one(name, event, topic)

    assert message.payload is None
    assert "choose a codec" in (message.error or "")
    assert json.loads(message.raw or "") == event
    assert message.metadata
    assert message.metadata["f_port"] == 2


def test_an_uplink_without_bytes_says_that_the_device_is_there() -> None:
    message = read_one("lorawan_tts", TTS.make_uplink("room-1", 1, b""))

    assert (message.error, message.payload, message.kind) == (None, {}, "event")


def test_a_field_mask_may_leave_out_all_but_the_ids() -> None:
    event = TTS.wrap("room-1", "uplink_message", {})
    del event["received_at"], event["correlation_ids"]

    first, again = read_one("lorawan_tts", event), read_one("lorawan_tts", event)

    assert (first.error, first.device, first.event_id) == (None, "room-1", again.event_id)


COMMAND = str(uuid.uuid4())


@pytest.mark.parametrize(
    ("key", "stage", "says"),
    [
        ("downlink_queued", "queued", None),
        ("downlink_sent", "sent", None),
        ("downlink_ack", "acknowledged", None),
        ("downlink_nack", "failed", "not acknowledged"),
        ("downlink_failed", "failed", "exceeds maximum"),
    ],
)
def test_what_became_of_a_downlink_of_ours_is_told_of_its_command(
    key: str, stage: str, says: str | None
) -> None:
    message = read_one("lorawan_tts", TTS.make_downlink("room-1", key, COMMAND))

    assert message.event_id == f"cmd:{COMMAND}:{key}"
    assert message.report
    command = message.report.command
    assert command
    assert (command.stage, command.id) == (stage, COMMAND)
    assert (says or "") in (command.error or "")
    # It is about the device, which has not spoken unless it acknowledged.
    assert message.device_status == (None if key == "downlink_ack" else "unheard")


def test_a_downlink_of_others_is_stored_and_no_command_of_ours() -> None:
    queued = TTS.make_downlink("room-1", "downlink_queued", "not-an-id")

    message = read_one("lorawan_tts", queued)

    assert message.report is None
    assert message.payload["f_port"] == 15


@pytest.mark.parametrize(
    "key", ["join_accept", "downlink_queue_invalidated", "location_solved", "service_data"]
)
def test_every_other_event_is_a_message_whose_payload_is_what_it_says(key: str) -> None:
    about = {
        "session_key_id": TTS.session,
        "service": "geo",
        "location": {"latitude": 48.2, "longitude": 16.4},
    }

    message = read_one("lorawan_tts", TTS.wrap("room-1", key, about))

    assert (message.topic, message.payload, message.error) == (key, about, None)


def test_an_event_that_nobody_knows_yet_is_kept_whole() -> None:
    event = TTS.wrap("room-1", "uplink_of_tomorrow", {"a": 1})

    message = read_one("lorawan_tts", event)

    assert (message.payload, message.device, message.kind) == (event, "room-1", "event")


def test_the_status_of_a_device_tells_its_battery_and_margin() -> None:
    event = CHIRPSTACK.wrap(
        "0102030405060708",
        margin=7,
        externalPowerSource=False,
        batteryLevelUnavailable=False,
        batteryLevel=75.2,
    )

    message, short = (read_one("lorawan_chirpstack", each, "status") for each in (event, drop_zeros(event)))

    assert (message.kind, message.device_status) == ("state", None)
    assert message.payload["batteryLevel"] == 75.2
    facts = {"margin": 7, "external_power": False, "battery": 75.2}
    assert message.report
    assert short.report
    assert message.report.facts == short.report.facts == facts


ITEM = str(uuid.uuid4())


@pytest.mark.parametrize(
    ("topic", "fields", "report"),
    [
        ("txack", {"downlinkId": 1, "queueItemId": ITEM}, CommandReport("sent", None, ITEM)),
        ("ack", {"queueItemId": ITEM, "acknowledged": True}, CommandReport("acknowledged", None, ITEM)),
        (
            "ack",
            {"queueItemId": ITEM, "acknowledged": False},
            CommandReport("failed", None, ITEM, "The device has not acknowledged it."),
        ),
        (
            "log",
            {
                "level": "ERROR",
                "code": "DOWNLINK_PAYLOAD_SIZE",
                "description": "too long",
                "context": {"queue_item_id": ITEM},
            },
            CommandReport("failed", None, ITEM, "too long"),
        ),
        (
            "log",
            {"level": "WARNING", "code": "EXPIRED", "context": {"queue_item_id": ITEM}},
            CommandReport("expired", None, ITEM, "EXPIRED"),
        ),
    ],
)
def test_chirpstack_tells_what_became_of_its_queue_item(
    topic: str, fields: dict[str, Any], report: CommandReport
) -> None:
    message = read_one("lorawan_chirpstack", CHIRPSTACK.wrap("0102030405060708", **fields), topic)

    assert message.report
    assert message.report.command == report
    assert message.payload == fields
    assert message.device_status == "unheard"


def test_an_uplink_has_one_name_however_its_eui_is_spelled() -> None:
    event = TTS.make_uplink("room-1", 4, DATA)
    ids = event["end_device_ids"]
    spelled = event | {"end_device_ids": ids | {"dev_eui": ids["dev_eui"].lower()}}

    assert read_one("lorawan_tts", spelled).event_id == read_one("lorawan_tts", event).event_id


def test_of_tags_there_are_no_more_than_a_chart_needs() -> None:
    event = CHIRPSTACK.make_uplink("0102030405060708", 0, DATA, READING)
    event["deviceInfo"]["tags"] = {f"{number:04}": "x" * 1_000 for number in range(900)} | {"0000": {"a": 1}}

    metadata = read_one("lorawan_chirpstack", event, "up").metadata or {}

    tags = metadata["tags"]
    assert isinstance(tags, dict)
    assert (len(tags), tags["0000"], len(tags["0001"])) == (50, "", 512)


def test_an_event_of_another_application_is_not_taken() -> None:
    with pytest.raises(Unauthenticated):
        read("lorawan_tts", TtsEvents("others").make_uplink("room-1", 1, DATA))
    with pytest.raises(Unauthenticated):
        read("lorawan_chirpstack", ChirpstackEvents(str(uuid.uuid4())).make_uplink("01", 1, DATA), "up")


def test_what_is_no_event_is_kept_with_its_remedy() -> None:
    assert "choose JSON" in (read_one("lorawan_chirpstack", b"\x08\x01\xff", "up").error or "")
    assert "?event=" in (read_one("lorawan_chirpstack", b"{}", None).error or "")
    assert "JSON object" in (read_one("lorawan_tts", b"[1]").error or "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *(
                        "end_device_ids",
                        "uplink_message",
                        "rx_metadata",
                        "settings",
                        "downlink_ack",
                        "f_cnt",
                        "dev_eui",
                    ),
                    *(
                        "correlation_ids",
                        "deviceInfo",
                        "rxInfo",
                        "txInfo",
                        "object",
                        "data",
                        "context",
                        "time",
                        "devEui",
                    ),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(event=JSON, topic=st.sampled_from(["up", "status", "log", "ack", "txack", "join", "x"]))
def test_whatever_comes_is_a_message_that_can_be_stored(event: Any, topic: str) -> None:
    for name, named in (("lorawan_tts", None), ("lorawan_chirpstack", topic)):
        (message,) = read(name, event, named)

        assert message.event_id
        assert read_json(write_json(message))["event_id"] == message.event_id
        assert message.device_status in {None, "unheard"}
