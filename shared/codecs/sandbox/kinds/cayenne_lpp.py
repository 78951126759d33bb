"""Cayenne LPP: channel, type, value, again and again; the types of the first version and those that came after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.codecs.sandbox.format import Format, Parsed
from shared.codecs.sandbox.program import Body, CodecError


class Field(NamedTuple):
    """One number within a value: its bytes, how many units are one, whether it may be negative, its name."""

    size: int
    scale: int = 1
    signed: bool = False
    name: str = ""


class Type(NamedTuple):
    """A data type; of several fields it makes an object."""

    name: str
    fields: tuple[Field, ...]


def _one(name: str, size: int, scale: int = 1, *, signed: bool = False) -> Type:
    return Type(name, (Field(size, scale, signed),))


def _axes(name: str, scale: int) -> Type:
    return Type(name, tuple(Field(2, scale, signed=True, name=axis) for axis in "xyz"))


_POSITION = (
    Field(3, 10_000, signed=True, name="latitude"),
    Field(3, 10_000, signed=True, name="longitude"),
    Field(3, 100, signed=True, name="altitude"),
)
TYPES = {
    0: _one("digital_in", 1),
    1: _one("digital_out", 1),
    2: _one("analog_in", 2, 100, signed=True),
    3: _one("analog_out", 2, 100, signed=True),
    100: _one("generic", 4),
    101: _one("luminosity", 2),
    102: _one("presence", 1),
    103: _one("temperature", 2, 10, signed=True),
    104: _one("relative_humidity", 1, 2),
    113: _axes("accelerometer", 1000),
    115: _one("barometric_pressure", 2, 10),
    116: _one("voltage", 2, 100),
    117: _one("current", 2, 1000),
    118: _one("frequency", 4),
    120: _one("percentage", 1),
    121: _one("altitude", 2, signed=True),
    125: _one("concentration", 2),
    128: _one("power", 2),
    130: _one("distance", 4, 1000),
    131: _one("energy", 4, 1000),
    132: _one("direction", 2),
    133: _one("unix_time", 4),
    134: _axes("gyrometer", 100),
    135: Type("colour", tuple(Field(1, name=name) for name in ("red", "green", "blue"))),
    136: Type("gps", _POSITION),
    142: _one("switch", 1),
}
_BY_NAME = {kind.name: number for number, kind in TYPES.items()}


class Kind(Format):
    """`{"temperature_3": 27.2, "gps_5": {…}}`: the type's name and the channel. A repeated one becomes a list."""

    label = "Cayenne LPP"

    def read(self, body: Body) -> Parsed:
        """All values in a body. CodecError for an unknown type or a body that ends within a value."""
        found: dict[str, list[Any]] = {}
        rest = body.content
        if not rest:
            raise CodecError("The body is empty.")
        while rest:
            name, value, rest = _read_value(rest, len(body.content) - len(rest))
            found.setdefault(name, []).append(value)
        return Parsed({name: values[0] if len(values) == 1 else values for name, values in found.items()})

    def write(self, data: Any, /) -> bytes:
        """The values of an object with names as they are read."""
        if not isinstance(data, Mapping) or not data:
            raise CodecError('Cayenne LPP is made of an object such as {"digital_out_3": 1}.')
        return b"".join(_write_value(str(name), value) for name, value in data.items())


def _read_value(rest: bytes, at: int) -> tuple[str, Any, bytes]:
    kind = TYPES.get(rest[1]) if len(rest) > 1 else None
    if kind is None:
        raise CodecError(
            f"Byte {at + 1} is no known Cayenne LPP type." if len(rest) > 1 else _describe_end(at)
        )
    size = sum(field.size for field in kind.fields)
    content, left = rest[2 : 2 + size], rest[2 + size :]
    if len(content) < size:
        raise CodecError(_describe_end(at))
    return f"{kind.name}_{rest[0]}", _read_fields(kind, content), left


def _describe_end(at: int) -> str:
    return f"The body ends within the value that begins at byte {at}."


def _read_fields(kind: Type, content: bytes) -> Any:
    values, at = {}, 0
    for field in kind.fields:
        number = int.from_bytes(content[at : at + field.size], signed=field.signed)
        values[field.name] = number if field.scale == 1 else number / field.scale
        at += field.size
    return values if len(values) > 1 else values[""]


def _write_value(name: str, value: Any) -> bytes:
    label, _, channel = name.rpartition("_")
    if label not in _BY_NAME or not (channel.isascii() and channel.isdigit() and int(channel) in range(256)):
        raise CodecError(
            f"{name[:100]!r} is no Cayenne LPP value; write a type and a channel, such as digital_out_3."
        )
    number = _BY_NAME[label]
    fields = TYPES[number].fields
    values = [value.get(field.name) if isinstance(value, Mapping) else None for field in fields]
    values = values if len(fields) > 1 else [value]
    return bytes((int(channel), number)) + b"".join(
        _write_field(name, field, one) for field, one in zip(fields, values, strict=True)
    )


def _write_field(name: str, field: Field, value: Any) -> bytes:
    if not isinstance(value, int | float):
        raise CodecError(f"{name!r} has to be a number{' for ' + field.name if field.name else ''}.")
    try:
        return round(value * field.scale).to_bytes(field.size, signed=field.signed)
    except (OverflowError, ValueError):
        raise CodecError(f"{name!r} is out of range.") from None
