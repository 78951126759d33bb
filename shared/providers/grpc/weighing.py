"""What parsing a body takes of memory, before it is parsed: two bytes may be a message of a thousand fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MOST_BYTES = 33_554_432
"""Of one parsed body."""

TOO_HEAVY = "it would take too much memory: it holds too many messages"
MESSAGE_BYTES, FIELD_BYTES, VALUE_BYTES = 64, 16, 16
VARINT, FIXED64, LENGTH, BEGIN, END, FIXED32 = range(6)
_TAKEN = frozenset(("HasField", "DESCRIPTOR", "ByteSize", "DiscardUnknownFields", "ListFields", "WhichOneof"))
"""What protobuf's classes call their own."""

_WELL_KNOWN = {
    **{name: {"seconds", "nanos"} for name in ("Timestamp", "Duration")},
    "Any": {"type_url", "value"},
    "Struct": {"fields"},
    "ListValue": {"values"},
    "FieldMask": {"paths"},
    **{f"{name}Value": {"value"} for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32")},
    **{f"{name}Value": {"value"} for name in ("Bool", "String", "Bytes")},
    "Value": {f"{name}_value" for name in ("null", "number", "string", "bool", "struct", "list")},
}
"""The fields of types of google.protobuf that are read in a way of their own."""

_MESSAGES = frozenset((10, 11))
"""Of a field's type, group and message."""


def _check_names(of: str, names: set[str]) -> None:
    """ValueError where nothing could be read by these names."""
    if taken := sorted(names & _TAKEN):
        raise ValueError(f"a field of its descriptors is called {taken[0]}, which protobuf keeps for itself")
    known = _WELL_KNOWN.get(of.removeprefix("google.protobuf."))
    if known and of.startswith("google.protobuf.") and names != known:
        raise ValueError(f"its descriptors have a {of} of their own")


class Weight:
    """What messages of a type cost, and which of its fields are messages, by their numbers."""

    __slots__ = ("cost", "inner")

    def __init__(self, descriptor: Any = None) -> None:
        fields = list(descriptor.fields) if descriptor else []
        if descriptor:
            _check_names(descriptor.full_name, {each.name for each in fields})
        self.cost = MESSAGE_BYTES + FIELD_BYTES * len(fields)
        self.inner = {each.number: each.message_type for each in fields if each.type in _MESSAGES}


UNKNOWN = Weight()


class Scale:
    """Weighs bodies of the types of one service, whose descriptors it looks at once."""

    def __init__(self) -> None:
        self._weights: dict[Any, Weight] = {}
        self._heaviest: dict[Any, int] = {}

    def check(self, descriptor: Any, body: bytes) -> None:
        """ValueError where a body would take more than `MOST_BYTES` once parsed. One that is damaged passes."""
        # Without looking at it: no more messages than half its bytes.
        if (len(body) // 2 + 1) * (self._find_heaviest(descriptor) + VALUE_BYTES) <= MOST_BYTES:
            return
        total = 0
        for cost in self._list_costs(descriptor, body):
            total += cost
            if total > MOST_BYTES:
                raise ValueError(TOO_HEAVY)

    def _weigh(self, descriptor: Any) -> Weight:
        if descriptor not in self._weights:
            self._weights[descriptor] = Weight(descriptor)
        return self._weights[descriptor]

    def _find_heaviest(self, descriptor: Any) -> int:
        """The cost of the costliest message that may be within one of this type."""
        if descriptor not in self._heaviest:
            met, left = {descriptor}, [descriptor]
            while left:
                fresh = {*self._weigh(left.pop()).inner.values()} - met
                met |= fresh
                left += fresh
            self._heaviest[descriptor] = max(self._weigh(each).cost for each in met)
        return self._heaviest[descriptor]

    def _list_costs(self, descriptor: Any, body: bytes) -> Iterator[int]:
        """What each part costs; it ends early where the body is damaged."""
        stack: list[tuple[Weight, int | None]] = [(self._weigh(descriptor), len(body))]
        at = 0
        while stack:
            weight, end = stack[-1]
            if end is not None and at >= end:
                stack.pop()
                continue
            tag, at = _read_varint(body, at)
            kind, inner = tag & 7, weight.inner.get(tag >> 3)
            size, at = _read_varint(body, at) if kind == LENGTH and at >= 0 else (0, at)
            if at < 0 or at + size > len(body) or kind > FIXED32:
                return
            yield VALUE_BYTES
            if kind == END:
                stack.pop()
            elif kind == BEGIN or (kind == LENGTH and inner is not None):
                within = self._weigh(inner) if inner is not None else UNKNOWN
                stack.append((within, None if kind == BEGIN else at + size))
                yield within.cost
            elif kind == LENGTH:
                # Packed numbers take eight bytes each, and may come in one.
                yield 8 * size
                at += size
            else:
                at = _skip_number(body, at, kind)


def _skip_number(body: bytes, at: int, kind: int) -> int:
    if kind == VARINT:
        after = _read_varint(body, at)[1]
        return after if after > 0 else len(body)
    return at + (8 if kind == FIXED64 else 4)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    """The number, and where it ends; -1 where it does not."""
    value = shift = 0
    while at < len(body) and shift < 70:  # noqa: PLR2004 - ten bytes of seven bits
        byte = body[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no high bit
            return value, at
    return 0, -1
