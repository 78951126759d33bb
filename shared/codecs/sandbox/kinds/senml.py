"""SenML (RFC 8428) in JSON and CBOR: records resolved, and gathered into one message for each base name and time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from shared.codecs.sandbox.format import Format, Parsed, read_json
from shared.codecs.sandbox.kinds.cbor import read_cbor
from shared.codecs.sandbox.program import Body, CodecError, write_json

VERSION = 10
ABSOLUTE_FROM = 2**28
"""Smaller times are seconds from now."""

LABELS = dict(
    zip(
        range(-6, 9),
        ("bs", "bv", "bu", "bt", "bn", "bver", *"nuv", "vs", "vb", *"st", "ut", "vd"),
        strict=True,
    )
)
VALUES = ("v", "vs", "vb", "vd")
NUMBERS = ("bt", "bv", "bs", "bver", "v", "s", "t", "ut")
TEXTS = ("bn", "bu", "n", "u", "vs", "vd")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-:./_]*")


class Kind(Format):
    """Data are the resolved records; a message is `{"temperature": 21.5, "units": {"temperature": "Cel"}}`."""

    label = "SenML"
    media_type = "application/senml+json"

    def read(self, body: Body) -> Parsed:
        """The records of a pack. CodecError where it is none, or of a version or with fields that are not known."""
        records = _read_pack(body.content)
        resolved = list(_resolve(records, _find_now(body)))
        return Parsed([record for _, record in resolved], _gather(resolved))

    def write(self, data: Any, /) -> bytes:
        """A pack in JSON: of records as they are, or of an object's members."""
        records = (
            data
            if isinstance(data, list)
            else [_make_record(name, value) for name, value in _list_members(data)]
        )
        for record in records:
            _check_record(record)
        return write_json(records).encode()


def _read_pack(content: bytes) -> list[dict[str, Any]]:
    is_json = content.lstrip()[:1] in {b"[", b"{", b""}
    pack = read_json(content) if is_json else read_cbor(content)
    if not isinstance(pack, list) or not pack:
        raise CodecError("A SenML pack is a list of records, and not empty.")
    records = [_name_fields(record) for record in pack]
    for record in records:
        _check_record(record)
    return records


def _name_fields(record: Any) -> dict[str, Any]:
    if not isinstance(record, Mapping):
        raise CodecError("A SenML record is an object.")
    return {
        LABELS.get(name, str(name)) if isinstance(name, int) else str(name): value
        for name, value in record.items()
    }


def _check_record(record: Any) -> None:
    if not isinstance(record, Mapping):
        raise CodecError("A SenML record is an object.")
    for name, value in record.items():
        if name.endswith("_"):
            raise CodecError(f"The SenML field {name[:100]!r} must be understood, and is not.")
        if name in NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise CodecError(f"The SenML field {name!r} has to be a number.")
        if name in TEXTS and not isinstance(value, str | bytes):
            raise CodecError(f"The SenML field {name!r} has to be text.")
    if record.get("bver", VERSION) > VERSION:
        raise CodecError(f"The SenML version is above {VERSION}.")
    if sum(name in record for name in VALUES) > 1:
        raise CodecError("A SenML record has more than one value.")


def _resolve(records: list[dict[str, Any]], now: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each record with all base fields applied, and the base name that it stands under."""
    base: dict[str, Any] = {}
    for record in records:
        base.update({name: value for name, value in record.items() if name in {"bn", "bt", "bu", "bv", "bs"}})
        if any(name in record for name in (*VALUES, "s")):
            yield base.get("bn", ""), _resolve_record(record, base, now)


def _resolve_record(record: dict[str, Any], base: dict[str, Any], now: float) -> dict[str, Any]:
    name = base.get("bn", "") + record.get("n", "")
    if not _NAME.fullmatch(name):
        raise CodecError("A SenML record has no valid name.")
    resolved = {"n": name, "u": record.get("u", base.get("bu"))}
    resolved.update({value: record[value] for value in ("vs", "vb", "vd") if value in record})
    for value, its_base in (("v", "bv"), ("s", "bs")):
        if value in record:
            resolved[value] = record[value] + base.get(its_base, 0)
    when = base.get("bt", 0) + record.get("t", 0)
    if when:
        resolved["t"] = when if when >= ABSOLUTE_FROM else now + when
    resolved["ut"] = record.get("ut")
    return {field: value for field, value in resolved.items() if value is not None}


def _gather(resolved: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    messages: dict[tuple[str, Any], dict[str, Any]] = {}
    for base_name, record in resolved:
        when = record.get("t")
        message = messages.setdefault((base_name, when), {"payload": {}})
        message.update({"device": base_name.rstrip(":/.-_") or None, "time": when})
        _add_value(message["payload"], record["n"][len(base_name) :] or "value", record)
    return list(messages.values())


def _add_value(payload: dict[str, Any], field: str, record: dict[str, Any]) -> None:
    for name in VALUES:
        if name in record:
            payload[field] = [*_as_list(payload[field]), record[name]] if field in payload else record[name]
    if "s" in record:
        payload[f"{field}_sum"] = record["s"]
    if "u" in record:
        payload.setdefault("units", {})
        if isinstance(payload["units"], dict):
            payload["units"][field] = record["u"]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _find_now(body: Body) -> float:
    try:
        return datetime.fromisoformat(body.received_at or "").timestamp()
    except ValueError:
        return time.time()


def _list_members(data: Any) -> list[tuple[str, Any]]:
    if not isinstance(data, Mapping) or not data:
        raise CodecError('SenML is made of a list of records, or of an object such as {"temperature": 21.5}.')
    return list(data.items())


def _make_record(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"n": name, "vb": value}
    if isinstance(value, int | float | str):
        return {"n": name, "vs" if isinstance(value, str) else "v": value}
    raise CodecError(f"{name[:100]!r} has to be a number, text, true or false.")
