"""JSON that the database takes: so large and so deep, and no more, as `private.is_portable` has it.

What reads JSON here has refused already what no double holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar, overload

import orjson

from shared.runtime.exact_json import write_json

Value = TypeVar("Value")

LEVELS = 100


@overload
def replace_nul(value: str) -> str: ...
@overload
def replace_nul(value: Any) -> Any: ...
def replace_nul(value: Any) -> Any:
    """A text, or a document that did not come as JSON, its NUL characters replaced, which Postgres has no text with."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {replace_nul(name): replace_nul(inner) for name, inner in value.items()}
    return [replace_nul(inner) for inner in value] if isinstance(value, list) else value


def check_portable(value: Value, most_bytes: int) -> Value:
    """`value` itself; ValueError where the database would not take it."""
    size, levels = measure_json(value, most_bytes)
    if size > most_bytes or levels > LEVELS:
        raise ValueError(f"expected JSON of at most {most_bytes} bytes and {LEVELS} levels")
    return value


def measure_json(value: object, most_bytes: int) -> tuple[int, int]:
    """Bytes as the database prints it, who writes 1e300 out, and levels; no further than `most_bytes` and `LEVELS`."""
    size = deepest = 0
    waiting = [(value, 0)]
    while waiting and size <= most_bytes and deepest <= LEVELS:
        item, level = waiting.pop()
        deepest = max(deepest, level)
        if isinstance(item, Mapping):
            size += max(2, 2 * len(item)) + sum(len(orjson.dumps(name)) + 2 for name in item)
            waiting += [(inner, level + 1) for inner in item.values()]
        elif isinstance(item, list | tuple):
            size += max(2, 2 * len(item))
            waiting += [(inner, level + 1) for inner in item]
        elif isinstance(item, float):
            size += len(format(Decimal(repr(item or 0.0)), "f"))  # numeric has no -0.0
        else:
            size += len(write_json(item))
    return size, deepest
