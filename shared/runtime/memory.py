"""Memory for what comes from outside: a budget of this process, shared by organization, that one takes bytes from.

What is being parsed, not stored yet or on its way counts by what it takes once parsed. The budget is a quarter of what
the process may have: the container's own limit, or MEMORY_MB where that is less.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Self

from shared.runtime.deadline import Deadline
from shared.runtime.errors import Unavailable
from shared.runtime.settings import load_settings

MEGABYTE = 1_048_576
PART, READING_PART = 4, 16
"""Of the memory of a process what is from outside may have one in so many, and large packets that are not complete
another: one budget, or whoever waits for memory to decode one would hold what the next needs to end."""

SMALL = 65_536
"""Bytes that nobody counts: so much everything that is under way may have beside the budget."""

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


class MemoryBudget:
    """Bytes that are shared as places are (see `Shares`): an organization takes more while it holds less than is free.

    Its first it may take whenever there is room at all, and what is larger than a share counts as one. So whoever is
    alone has half, however many come have as much each, and who holds nothing waits for nobody's whole.
    """

    def __init__(self, most: int) -> None:
        self.share = most // 2
        self._free = most
        self._held: Counter[str] = Counter()
        self._changed = threading.Condition()

    @property
    def free(self) -> int:
        """Bytes that nobody holds; less than none where something larger had come already."""
        return self._free

    def open(self, owner: str) -> Holding:
        """What something of that organization will hold; nothing yet."""
        return Holding(self, owner)

    def has_room(self, owner: str, extra: int = 0) -> bool:
        """Whether the organization may take so much more."""
        held, extra = self._held[owner], min(extra, self.share)
        return extra <= self._free > 0 and (not held or held + extra <= self._free - extra)

    def change(self, owner: str, extra: int) -> None:
        """It holds so much more, or less, whether there is room or not."""
        with self._changed:
            self._change(owner, extra)

    def wait(self, owner: str, extra: int, deadline: Deadline) -> None:
        """Take so much more once there is room; Unavailable where there is none by the deadline."""
        with self._changed:
            while not self.has_room(owner, extra):
                if deadline.expired:
                    raise Unavailable(
                        "This process has no memory left for it just now; try again.", retry_after=2
                    )
                self._changed.wait(min(deadline.remaining(), 1.0))
            self._change(owner, extra)

    def _change(self, owner: str, extra: int) -> None:
        self._free -= extra
        self._held[owner] += extra
        if self._held[owner] <= 0:
            del self._held[owner]
        if extra < 0:
            self._changed.notify_all()


class Holding:
    """What one thing holds of a budget. Of one thread at a time; give all back with `close`, or in a `with`."""

    def __init__(self, budget: MemoryBudget, owner: str) -> None:
        self.size = 0
        self._budget = budget
        self._owner = owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def has_room(self, size: int) -> bool:
        """Whether it may hold so much, in all."""
        return size <= self.size or self._budget.has_room(self._owner, size - self.size)

    def hold(self, size: int) -> None:
        """It holds so much now: for what is there already."""
        if size != self.size:
            self._budget.change(self._owner, size - self.size)
            self.size = size

    def reserve(self, size: int, deadline: Deadline) -> None:
        """Hold so much, in all, once there is room; Unavailable where there is none by the deadline.

        More than a share counts as a share.
        """
        size = min(size, self._budget.share)
        if size > self.size:
            self._budget.wait(self._owner, size - self.size, deadline)
            self.size = size

    def close(self) -> None:
        """Give all back; it may be used again."""
        self.hold(0)


def weigh_json(text: bytes | bytearray) -> int:
    """About how many bytes `text` and what is parsed of it take, if it is JSON: rather too many than too few."""
    objects = 192 * text.count(b"{")
    if objects:  # two letters take three times as long to look for as one
        objects -= 128 * text.count(b"{}")
    return 2 * len(text) + 32 * text.count(b",") + 64 * text.count(b"[") + objects


@cache
def load_budget() -> MemoryBudget:
    """The one of this process."""
    return MemoryBudget(find_memory() // PART)


@cache
def load_reading_budget() -> MemoryBudget:
    """The one of packets that are not complete."""
    return MemoryBudget(find_memory() // READING_PART)


@cache
def find_memory() -> int:
    """Bytes that this process may have: of the container's limits and MEMORY_MB the least."""
    return min([load_settings().memory_mb * MEGABYTE, *list_limits(_OWN_CGROUPS, _CGROUPS)])


def list_limits(own: Path, groups: Path) -> Iterator[int]:
    """The limits of memory of the control groups that a process is in, as `own` (/proc/self/cgroup) names them."""
    yield from _read_limits(groups / "memory.max", groups / "memory" / "memory.limit_in_bytes")
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for place in (PurePosixPath(path), *PurePosixPath(path).parents):
                within = str(place).lstrip("/")
                if not controllers:
                    yield from _read_limits(groups / within / "memory.max")
                elif "memory" in controllers.split(","):
                    yield from _read_limits(groups / "memory" / within / "memory.limit_in_bytes")


def _read_limits(*files: Path) -> Iterator[int]:
    for file in files:
        # `max` stands for none, and so does a number larger than any memory.
        with suppress(OSError, ValueError):
            yield int(file.read_text())
