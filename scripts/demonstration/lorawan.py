"""Simulated LoRaWAN sensors: what two network servers push for them, and a decoder as vendors publish them."""

from __future__ import annotations

import base64
import random
import struct
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson

from scripts.demonstration.fleet import PAUSE_SECONDS, Published
from scripts.demonstration.posting import post_reading
from scripts.demonstration.threads import Simulation

TTS_DEVICES = ("room-1", "room-2")
CHIRPSTACK_DEVICES = ("0004a30b001c0530",)
TTS_APPLICATION, CHIRPSTACK_APPLICATION = "demo-rooms", "17c82e96-be03-4f38-aef3-f83d48582d97"
NOWHERE = "http://127.0.0.1:9"
"""Nothing is asked there: only what network servers push is simulated."""

FRAME = struct.Struct(">HhH")
"""Battery in millivolts, temperature in hundredths of a degree, humidity in tenths of a per cent."""

SOURCE = """
function decodeUplink(input) {
  var bytes = input.bytes;
  if (input.fPort !== 2) return { errors: ["unknown FPort " + input.fPort] };
  return { data: {
    battery: ((bytes[0] << 8) | bytes[1]) / 1000,
    temperature: ((bytes[2] << 24 >> 16) | bytes[3]) / 100,
    humidity: ((bytes[4] << 8) | bytes[5]) / 10,
  } };
}
"""
FIXTURES = [{"hex": "0bb8 ff9c 01f4", "f_port": 2, "data": {"battery": 3, "temperature": -1, "humidity": 50}}]
Report = Callable[[Published], None]


def make_tts_config(codec_id: str) -> dict[str, Any]:
    """The config of the demo's application at The Things Stack."""
    nothing = {"sync_direction": "off", "base_url": NOWHERE}
    return {"application_id": TTS_APPLICATION, "api_key": "demo", "codec": codec_id, **nothing}


def make_chirpstack_config(codec_id: str) -> dict[str, Any]:
    """The config of the demo's application at ChirpStack."""
    return {"application_id": CHIRPSTACK_APPLICATION, "codec": codec_id}


def start_network(url: str, secret: str, readings: int, report: Report) -> Simulation:
    """Post `readings` of every sensor to `url` as The Things Stack does; `report` hears of each that is accepted."""
    return _start(url, secret, (TTS_DEVICES, "uplink_message", _make_tts), readings, report)


def start_chirpstack(url: str, secret: str, readings: int, report: Report) -> Simulation:
    """The same as ChirpStack does."""
    return _start(f"{url}?event=up", secret, (CHIRPSTACK_DEVICES, "up", _make_chirpstack), readings, report)


Sender = tuple[tuple[str, ...], str, Callable[[str, int], dict[str, Any]]]
"""Its devices, the topic of what it says, and how it writes an uplink of a device."""


def _start(url: str, secret: str, sender: Sender, readings: int, report: Report) -> Simulation:
    devices, topic, make = sender
    http = httpx.Client(headers={"X-Webhook-Secret": secret, "Content-Type": "application/json"}, timeout=30)

    def run(device: str) -> None:
        for count in range(readings):
            body = orjson.dumps(make(device, count))
            post_reading(http, url, body)
            report(Published(topic, body))
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - a simulation

    return Simulation(run, devices)


def _make_frame() -> str:
    reading = FRAME.pack(
        round(random.gauss(3000, 20)), round(random.gauss(2150, 60)), round(random.gauss(480, 20))
    )
    return base64.b64encode(reading).decode()


def _say_now() -> str:
    return datetime.now(UTC).isoformat()


def _make_tts(device: str, count: int) -> dict[str, Any]:
    heard = {"gateway_ids": {"gateway_id": "demo-roof"}, "rssi": random.randint(-120, -40), "snr": 7.5}  # noqa: S311
    lora = {"bandwidth": 125_000, "spreading_factor": 7, "coding_rate": "4/5"}
    return {
        "end_device_ids": {"device_id": device, "application_ids": {"application_id": TTS_APPLICATION}},
        "received_at": _say_now(),
        "uplink_message": {
            "session_key_id": "ZGVtbw==",
            "f_port": 2,
            "f_cnt": count,
            "frm_payload": _make_frame(),
            "rx_metadata": [heard],
            "settings": {"data_rate": {"lora": lora}, "frequency": "868100000"},
            "consumed_airtime": "0.051456s",
        },
    }


def _make_chirpstack(device: str, count: int) -> dict[str, Any]:
    heard = {"gatewayId": "0016c001f153a14c", "rssi": random.randint(-120, -40), "snr": 7.5}  # noqa: S311
    lora = {"bandwidth": 125_000, "spreadingFactor": 7, "codeRate": "CR_4_5"}
    return {
        "deduplicationId": str(uuid.uuid4()),
        "time": _say_now(),
        "deviceInfo": {"applicationId": CHIRPSTACK_APPLICATION, "deviceName": "Yard", "devEui": device},
        "fCnt": count,
        "fPort": 2,
        "data": _make_frame(),
        "rxInfo": [heard],
        "txInfo": {"frequency": 867_100_000, "modulation": {"lora": lora}},
    }
