"""Simulated meters that post bytes of their own protocol over HTTP, and the JavaScript codec that reads them."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable

import httpx

from scripts.demonstration.fleet import PAUSE_SECONDS, Published
from scripts.demonstration.posting import post_reading
from scripts.demonstration.threads import Simulation

DEVICES = ("meter-1", "meter-2", "valve-9")
DEVICE_PATH = "meters/+/up"
FRAME = struct.Struct(">BHhB")
"""Version, sequence, temperature in hundredths of a degree, battery in per cent."""

SOURCE = """
function decodeUplink({ bytes }) {
  if (bytes[0] !== 1) return { errors: ["unknown version " + bytes[0]] };
  return { data: {
    temperature: (bytes[3] << 24 >> 16 | bytes[4]) / 100, battery: bytes[5], seq: bytes[1] << 8 | bytes[2],
  } };
}
"""
FIXTURES = [{"hex": "01 0007 ff9c 5d", "data": {"temperature": -1, "battery": 93, "seq": 7}}]


def start_meters(url: str, secret: str, readings: int, report: Callable[[Published], None]) -> Simulation:
    """Post `readings` of every meter below `url`; `report` hears of each once it is accepted.

    Errors: RuntimeError when it isn't.
    """
    http = httpx.Client(headers={"X-Webhook-Secret": secret}, timeout=30)
    return Simulation(lambda device: _run_meter(http, url, device, readings, report), DEVICES)


def _run_meter(
    http: httpx.Client, url: str, device: str, readings: int, report: Callable[[Published], None]
) -> None:
    path = DEVICE_PATH.replace("+", device)
    for sequence in range(1, readings + 1):
        body = FRAME.pack(1, sequence, round(random.gauss(400, 100)), 90)
        post_reading(http, f"{url}/{path}", body)
        report(Published(path, body))
        time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - a simulation
