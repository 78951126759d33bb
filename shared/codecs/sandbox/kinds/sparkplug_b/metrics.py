"""Metrics of Sparkplug B, read and written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from shared.codecs.sandbox.kinds.sparkplug_b.schema import Payload
from shared.codecs.sandbox.kinds.sparkplug_b.values import (
    DATA_TYPES,
    guess_type,
    name_type,
    read_properties,
    read_value,
    write_value,
)
from shared.codecs.sandbox.program import CodecError


def read_head(payload: Any) -> dict[str, Any]:
    """What a payload has beside its metrics."""
    names = ("timestamp", "seq", "uuid", "body")
    return {name: getattr(payload, name) for name in names if payload.HasField(name)}


def read_metric(metric: Any, name: str, datatype: int) -> dict[str, Any]:
    """One metric with all that is said of it."""
    kind = name_type(datatype)
    read = {"name": name, "datatype": kind, "value": None if metric.is_null else read_value(metric, kind)}
    optional = ("alias", "timestamp", "is_historical", "is_transient")
    read.update({field: getattr(metric, field) for field in optional if metric.HasField(field)})
    if metric.HasField("properties"):
        read["properties"] = read_properties(metric.properties)
    return read


def find_birth_number(payload: Any) -> int | None:
    """bdSeq, by which births and deaths belong together."""
    for metric in payload.metrics:
        if metric.name == "bdSeq":
            number = read_value(metric, name_type(metric.datatype))
            return number if isinstance(number, int) else None
    return None


def make_payload(metrics: Sequence[Any]) -> bytes:
    """A payload of now with metrics of `{"name", "value", "datatype"?}`. Errors: CodecError."""
    payload: Any = Payload(timestamp=time.time_ns() // 1_000_000)
    for metric in metrics:
        _write_metric(payload, metric)
    return bytes(payload.SerializeToString())


def _write_metric(payload: Any, told: Any) -> None:
    name = told.get("name") if isinstance(told, Mapping) else None
    if not isinstance(name, str) or not name:
        raise CodecError("A metric has a name and a value.")
    data_type = told.get("datatype") or guess_type(told.get("value"))
    if data_type not in DATA_TYPES:
        raise CodecError(
            f"{str(data_type)[:100]!r} is no Sparkplug B data type; known are {', '.join(DATA_TYPES[1:16])}."
        )
    write_value(payload.metrics.add(name=name, timestamp=payload.timestamp), told.get("value"), data_type)
