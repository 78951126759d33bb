"""The most recently used of something, a fixed number of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """Keeps the `most` keys that were put or taken last. Parent and child keep one each, and they agree."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, Value] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def take(self, key: str) -> Value:
        """The value of `key`, which is the latest now; KeyError where it is not kept."""
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: str, value: Value) -> None:
        """Keep `value` as the latest; the one that was used longest ago makes room."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def drop(self, key: str) -> None:
        """Keep it no longer."""
        self._kept.pop(key, None)
