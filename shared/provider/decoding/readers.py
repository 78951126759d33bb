"""One reader per dialect: what it finds in a JSON object."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

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
DEVICE_FIELDS = ("device", "deviceId", "device_id", "id")
NUMBERS = frozenset((int, float))

_NO_READINGS = frozenset(("timestamp", "ts", "time", *DEVICE_FIELDS))


class Reading(NamedTuple):
    """What a dialect found; `when` is the device's time as it came, None where absent."""

    device: Any
    kind: Kind
    payload: Any
    when: Any
    error: str | None = None


def read_standard(document: JsonObject) -> Reading:
    """The known readings; where there are none every number but times and ids; else the whole body."""
    device = None
    for name in DEVICE_FIELDS:
        if name in document:
            device = document[name]
            break
    when = document.get("timestamp")
    if when is None:
        when = document.get("ts")
    payload: Any = _find_known(document) or {
        name: value for name, value in document.items() if type(value) in NUMBERS and name not in _NO_READINGS
    }
    if payload:
        return Reading(device, "telemetry", payload, when)
    return Reading(device, "state" if isinstance(document.get("status"), str) else "event", document, when)


def read_vmark(document: JsonObject) -> Reading:
    """The object in `paras`, else in `data`; else the whole body."""
    payload = document.get("paras", document.get("data"))
    is_report = document.get("handle", "properties_report") == "properties_report"
    if isinstance(payload, dict) and payload:
        return Reading(
            document.get("device"), "telemetry" if is_report else "event", payload, document.get("time")
        )
    return Reading(document.get("device"), "event", document, document.get("time"))


def read_custom(document: JsonObject, device_path: str, telemetry_path: str, timestamp_path: str) -> Reading:
    """What is at the configured paths; without a telemetry path the whole body."""
    device, when = find_path(document, device_path), find_path(document, timestamp_path)
    payload = find_path(document, telemetry_path) if telemetry_path else document
    if payload is None or payload == {}:
        return Reading(device, "event", document, when, f"Nothing is at telemetry_path {telemetry_path!r}.")
    return Reading(device, "telemetry", payload if isinstance(payload, dict) else {"value": payload}, when)


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
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    is_report = isinstance(document, dict) and document.get("handle") == "properties_report"
    return (f"{topic}_reply", b'{"result":0}') if is_report else None


def _find_known(document: dict[str, Any]) -> dict[str, float]:
    readings: dict[str, float] = {}
    for name, value in document.items():
        if name in KNOWN_READINGS:
            number = value if type(value) in NUMBERS else _read_number(value)
            if number is not None:
                readings[name] = number
    return readings


def _read_number(value: Any) -> float | None:
    """The number a device sent as text; nothing else is one."""
    if not isinstance(value, str) or not value.strip().lstrip("+-")[:1].isdecimal():
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) <= 1e300 else None  # noqa: PLR2004 - no reading, and no JSON beyond 1.8e308
