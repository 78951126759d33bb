"""Messages of protobuf as JSON, whole: names as in the .proto, zeros too, and what the descriptors do not name.

As protobuf's own JSON mapping, but that 64-bit integers are numbers. What has no name stands under `#<its number>`.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

from shared.providers.grpc.weighing import Scale

MOST_VALUES = 250_000
"""In one body: what comes to a megabyte of JSON."""

MOST_LEVELS = 100
TOO_MANY = f"it has more than {MOST_VALUES:,} values"
_DOUBLE, _FLOAT, _BYTES, _ENUM, _GROUP, _MESSAGE = 1, 2, 12, 14, 10, 11
_KINDS = frozenset((_DOUBLE, _FLOAT, _BYTES, _ENUM))
_ANY, _STRUCT, _VALUE, _LIST = (f"google.protobuf.{name}" for name in ("Any", "Struct", "Value", "ListValue"))
_WRITTEN = frozenset(f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask"))
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


class BodyReader:
    """Reads bodies of the types in a pool, which are also those that an Any may be of."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.scale = Scale()
        self._fields: dict[Any, tuple[Field, ...]] = {}

    def read(self, message_class: Any, body: bytes) -> dict[str, Any]:
        """The message in `body` as JSON; ValueError says why it is none."""
        from google.protobuf.message import DecodeError

        self.scale.check(message_class.DESCRIPTOR, body)
        try:
            message = message_class.FromString(body)
            has_unknown = _has_unknown(message)
            message = message_class.FromString(body) if has_unknown else message
        except DecodeError:
            raise ValueError("it is not what the descriptors say") from None
        return _Reading(self, has_unknown=has_unknown).read_fields(message, 0)

    def list_fields(self, descriptor: Any) -> tuple[Field, ...]:
        """The fields of a type."""
        if descriptor not in self._fields:
            self._fields[descriptor] = tuple(map(Field, descriptor.fields))
        return self._fields[descriptor]


class _Reading:
    """Of one body."""

    def __init__(self, reader: BodyReader, *, has_unknown: bool) -> None:
        self._reader = reader
        self._left = MOST_VALUES
        self._has_unknown = has_unknown

    def read_fields(self, message: Any, level: int) -> dict[str, Any]:
        """The fields of a message by their names."""
        if level > MOST_LEVELS:
            raise ValueError("it is nested too deeply")
        descriptor, document = message.DESCRIPTOR, {}
        for field in self._reader.list_fields(descriptor):
            if field.has_presence and not message.HasField(field.name):
                continue
            value = getattr(message, field.name)
            if field.is_list and not value:
                continue
            self._spend(1)
            document[field.name] = self._read_field(field, value, level)
        if descriptor.is_extendable:
            document |= self._read_extensions(message, level)
        if self._has_unknown:
            document |= self._list_unknown(message)
        return document

    def _read_field(self, field: Field, value: Any, level: int) -> Any:
        if field.is_map:
            self._spend(2 * len(value))
            return {_write_key(key): self._read_value(field, value[key], level) for key in value}
        if field.is_list:
            self._spend(len(value))
            return [self._read_value(field, each, level) for each in value]
        return self._read_value(field, value, level)

    def _read_value(self, field: Field, value: Any, level: int) -> Any:
        if field.is_message:
            return self._read_message(value, level + 1)
        return field.write(value) if field.write else value

    def _read_message(self, message: Any, level: int) -> Any:
        name = message.DESCRIPTOR.full_name
        if not name.startswith("google.protobuf."):
            return self.read_fields(message, level)
        if level > MOST_LEVELS:
            raise ValueError("it is nested too deeply")
        if name in _WRITTEN:
            return _write_text(message) or self.read_fields(message, level)
        readers: dict[str, Callable[[Any, int], Any]] = dict.fromkeys(_WRAPPERS, self._read_wrapped) | {
            _ANY: self._read_any,
            _STRUCT: self._read_struct,
            _VALUE: self._read_json,
            _LIST: self._read_list,
        }
        read: Callable[[Any, int], Any] = readers.get(name, self.read_fields)
        return read(message, level)

    def _read_wrapped(self, message: Any, level: int) -> Any:
        (field,) = self._reader.list_fields(message.DESCRIPTOR)
        return self._read_value(field, message.value, level)

    def _read_list(self, message: Any, level: int) -> list[Any]:
        self._spend(len(message.values))
        return [self._read_json(each, level + 1) for each in message.values]

    def _read_struct(self, message: Any, level: int) -> dict[str, Any]:
        self._spend(2 * len(message.fields))
        return {key: self._read_json(message.fields[key], level + 1) for key in message.fields}

    def _read_json(self, value: Any, level: int) -> Any:
        kind = value.WhichOneof("kind")
        if kind in {"struct_value", "list_value"}:
            return self._read_message(getattr(value, kind), level + 1)
        if kind == "number_value":
            number = value.number_value
            is_whole = number.is_integer() and abs(number) < 2**53
            return int(number) if is_whole else _write_float(number)
        return getattr(value, kind) if kind in {"string_value", "bool_value"} else None

    def _read_any(self, message: Any, level: int) -> dict[str, Any]:
        """With its fields where its type is known, else as it came."""
        from google.protobuf.message import DecodeError
        from google.protobuf.message_factory import GetMessageClass

        try:
            found = self._reader.pool.FindMessageTypeByName(message.type_url.rpartition("/")[2])
            self._reader.scale.check(found, message.value)
            inner = GetMessageClass(found).FromString(message.value)
        except (AttributeError, KeyError, DecodeError):
            return {"@type": message.type_url, "value": _write_bytes(message.value)}
        known = self._read_message(inner, level + 1)
        return {"@type": message.type_url, **(known if isinstance(known, dict) else {"value": known})}

    def _read_extensions(self, message: Any, level: int) -> dict[str, Any]:
        given = ((each, value) for each, value in message.ListFields() if each.is_extension)
        return {f"[{each.full_name}]": self._read_field(Field(each), value, level) for each, value in given}

    def _list_unknown(self, message: Any) -> dict[str, Any]:
        from google.protobuf.unknown_fields import UnknownFieldSet

        found: dict[str, list[Any]] = {}
        for each in UnknownFieldSet(message):
            self._spend(1)
            value = _write_bytes(each.data) if isinstance(each.data, bytes) else each.data
            value = value if isinstance(value, int | str) else None
            found.setdefault(f"#{each.field_number}", []).append(value)
        return {name: values if len(values) > 1 else values[0] for name, values in found.items()}

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ValueError(TOO_MANY)


class Field:
    """What of a field is asked for each value."""

    __slots__ = ("has_presence", "is_list", "is_map", "is_message", "name", "write")

    def __init__(self, descriptor: Any) -> None:
        inner = descriptor.message_type
        self.name: str = descriptor.name
        self.is_list = bool(descriptor.is_repeated)
        self.is_map = bool(self.is_list and inner is not None and inner.GetOptions().map_entry)
        of = inner.fields_by_name["value"] if self.is_map else descriptor
        self.is_message = of.type in {_GROUP, _MESSAGE}
        self.has_presence = bool(descriptor.has_presence) and not self.is_list
        self.write: Callable[[Any], Any] | None = _choose_writer(of)


def _choose_writer(descriptor: Any) -> Callable[[Any], Any] | None:
    if descriptor.type == _ENUM:
        names = {number: each.name for number, each in descriptor.enum_type.values_by_number.items()}
        return lambda number: names.get(number, number)
    writers: dict[int, Callable[[Any], Any]] = {
        _DOUBLE: _write_float,
        _FLOAT: _write_single,
        _BYTES: _write_bytes,
    }
    return writers.get(descriptor.type)


def _has_unknown(message: Any) -> bool:
    """Whether there is anything that the descriptors do not name, which is gone from the message afterwards."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return bool(message.ByteSize() != size)


def _write_text(message: Any) -> str | None:
    """As text; None for a time that is none."""
    try:
        return str(message.ToJsonString())
    except (ValueError, OverflowError):
        return None


def _write_key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _write_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_single(value: float) -> float | str:
    """The shortest number that is the same in four bytes."""
    if not math.isfinite(value):
        return _write_float(value)
    for digits in (6, 7, 8):
        short = float(f"{value:.{digits}g}")
        if struct.unpack("f", struct.pack("f", short))[0] == value:
            return short
    return value
