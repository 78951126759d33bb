"""One reader per dialect: what it finds in a JSON object."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.provider.decoding.storable import read_document
from shared.provider.messages import JsonObject, Kind

KNOWN_READINGS = frozenset(
    (
        "temperature",
        "humidity",
        "pressure",
        "battery",
        "voltage",
        "current",
        "power",
        "rssi",
        "snr",
        "battery_level",
        "signal_strength",
    )
)
NUMBERS = frozenset((int, float))
_CONTAINERS = frozenset((dict, list))

_NO_READINGS = frozenset(("timestamp", "ts", "time", "id", "device", "deviceId", "device_id"))


class Reading(NamedTuple):
    """What a dialect found: candidates for the device and its time as they came, of which the first usable one counts.

    `component` may name the device too, or a part of it: it counts where nothing else names one.
    """

    devices: tuple[Any, ...]
    kind: Kind
    payload: Any
    times: tuple[Any, ...]
    error: str | None = None
    component: Any = None


def read_standard(document: JsonObject) -> Reading:
    """The whole body; telemetry where it holds a number, but for times and ids, or further in a known reading."""
    find = document.get
    return Reading(
        (find("device"), find("deviceId"), find("device_id")),
        judge_kind(document),
        document,
        (find("timestamp"), find("ts")),
        None,
        find("id"),
    )


def read_vmark(document: JsonObject) -> Reading:
    """The object in `paras`, else in `data`; else the whole body."""
    payload = next((found for name in ("paras", "data") if (found := document.get(name)) is not None), None)
    is_report = document.get("handle", "properties_report") == "properties_report"
    devices, times = (document.get("device"),), (document.get("time"),)
    if isinstance(payload, dict) and payload:
        return Reading(devices, "telemetry" if is_report else "event", payload, times)
    return Reading(devices, "event", document, times)


def read_custom(document: JsonObject, device_path: str, telemetry_path: str, timestamp_path: str) -> Reading:
    """What is at the configured paths; without a telemetry path the whole body."""
    devices, times = (find_path(document, device_path),), (find_path(document, timestamp_path),)
    payload = find_path(document, telemetry_path) if telemetry_path else document
    if payload is None:
        return Reading(devices, "event", document, times, f"Nothing is at telemetry_path {telemetry_path!r}.")
    return Reading(devices, "telemetry", payload if isinstance(payload, dict) else {"value": payload}, times)


def find_path(document: Any, path: str) -> Any:
    """What is at the dotted `path` of a JSON document, None where there is nothing; a number picks from a list."""
    for name in path.split("."):
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document


def is_vmark_reply(document: JsonObject) -> bool:
    """Whether this is the answer to a report, our own most likely, and no reading at all."""
    return len(document) == 1 and "result" in document


def find_vmark_reply(topic: str, body: bytes) -> tuple[str, bytes] | None:
    """What to publish once a vmark message is stored, as (topic, body): a hub without its answer stops sending."""
    if b"properties_report" not in body:
        return None
    document = read_document(body)[0]
    is_report = isinstance(document, dict) and document.get("handle") == "properties_report"
    return (f"{topic}_reply", b'{"result":0}') if is_report else None


def judge_kind(document: JsonObject) -> Kind:
    """Telemetry where it holds a number that is no time and no id, or a known reading as text."""
    # Further in only known readings count, as where a device groups them by sensor (Tasmota, Shelly).
    containers: list[Any] = [document]
    for container in containers:
        if type(container) is list:
            containers += [each for each in container if type(each) in _CONTAINERS]
            continue
        for name, value in container.items():
            if type(value) in NUMBERS:
                if (container is document and name not in _NO_READINGS) or name.lower() in KNOWN_READINGS:
                    return "telemetry"
            elif type(value) in _CONTAINERS:
                containers.append(value)
            elif type(value) is str and name.lower() in KNOWN_READINGS and _is_number(value):
                return "telemetry"
    return "state" if isinstance(document.get("status"), str) else "event"


def _is_number(value: str) -> bool:
    """Whether a device sent a number as text."""
    if not value.strip().lstrip("+-")[:1].isdecimal():
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True
