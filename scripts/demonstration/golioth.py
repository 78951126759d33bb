"""Simulated Golioth devices: what a pipeline with `inject-metadata` posts for them to the receiver."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import httpx
import orjson

from scripts.demonstration.fleet import PAUSE_SECONDS, Published
from scripts.demonstration.posting import post_reading
from scripts.demonstration.threads import Simulation

PROJECT = "demo-project"
DEVICES = ("tracker-1", "tracker-2", "valve-3")
PATH = "sensor"


def make_config() -> dict[str, Any]:
    """The config of the demo's project, of which nothing is polled: there is no Golioth here, only its pipeline."""
    nothing = {"sync_direction": "off", "poll_state": False, "base_url": "http://127.0.0.1:9/v1"}
    return {"api_key": "demo", "project_id": PROJECT, **nothing}


def start_pipeline(url: str, secret: str, readings: int, report: Callable[[Published], None]) -> Simulation:
    """Post `readings` of every device to `url`; `report` hears of each once it is accepted.

    Errors: RuntimeError when it isn't.
    """
    http = httpx.Client(headers={"X-Webhook-Secret": secret}, timeout=30)
    return Simulation(lambda device: _run_device(http, url, device, readings, report), DEVICES)


def _run_device(
    http: httpx.Client, url: str, device: str, readings: int, report: Callable[[Published], None]
) -> None:
    for sequence in range(1, readings + 1):
        body = _make_body(device, {"temperature": round(random.gauss(4, 1), 2), "seq": sequence})
        _post(http, url, device, body)
        report(Published(PATH, body))
        time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - a simulation


def _make_body(device: str, data: dict[str, Any]) -> bytes:
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    timestamp = {"seconds": seconds, "nanos": nanos}
    return orjson.dumps({"data": data, "device_id": device, "project_id": PROJECT, "timestamp": timestamp})


def _post(http: httpx.Client, url: str, device: str, body: bytes) -> None:
    headers = {
        "Ce-Source": device,
        "Ce-Subject": PROJECT,
        "Ce-Type": f"io.golioth.data.v1/.s/{PATH}",
        "Content-Type": "application/json",
    }
    post_reading(http, url, body, headers)
