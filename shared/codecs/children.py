"""The children of this process: a few, lent to one organization at a time, fairly.

An organization holds at most half of them at once, and one alone for a while after its codec had to be killed. Who
breaks a child waits for the new one, not whoever comes next.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

from shared.codecs.child import Child, ChildLostError
from shared.codecs.limits import CHILDREN, CHILDREN_OF_ONE, IDLE_SECONDS, TROUBLE_SECONDS, WAIT_SECONDS
from shared.runtime.errors import Unavailable

START_ATTEMPTS = 2


class Slot:
    """The place of one child, which may be empty. Used by whoever has borrowed it."""

    def __init__(self) -> None:
        self._child: Child | None = None

    def take_child(self, engine: str) -> Child:
        """The child here, started where there is none for this engine. Unavailable where it does not start."""
        if self._child is None or self._child.engine != engine:
            self.drop()
            self._child = _start(engine)
        return self._child

    def drop(self) -> None:
        """Kill the child."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def drop_spent(self) -> None:
        """Kill the child if it is spent."""
        if self._child is not None and self._child.is_spent:
            self.drop()

    def renew(self) -> None:
        """Replace the child if it is spent; one that does not start is left to the next who needs it."""
        child = self._child
        if child is not None and child.is_spent:
            self.drop()
            with suppress(Unavailable):
                self._child = _start(child.engine)

    def rank(self, engine: str, key: str, *, is_troubled: bool) -> int:
        """How much is to be done before it serves this source, the least first; who is in trouble takes nobody's."""
        child = self._child
        if child is None:
            return 2
        if child.engine != engine:
            return 3
        return 0 if child.knows(key) else 4 if is_troubled else 1

    @property
    def is_stale(self) -> bool:
        """Whether its child had nothing to do for long."""
        return self._child is not None and time.monotonic() - self._child.idle_since > IDLE_SECONDS


class Children:
    """At most `most` child processes, `of_one` of them for the same organization. Thread-safe."""

    def __init__(
        self, most: int = CHILDREN, of_one: int = CHILDREN_OF_ONE, wait: float = WAIT_SECONDS
    ) -> None:
        self._of_one, self._wait = of_one, wait
        self._idle = [Slot() for _ in range(most)]
        self._lent: Counter[str] = Counter()
        self._line: list[_Ticket] = []
        self._troubled: dict[str, float] = {}
        self._changed = threading.Condition()

    @contextmanager
    def borrow(self, organization_id: str, engine: str, key: str = "") -> Iterator[Slot]:
        """A place for this organization alone, preferably with a child that knows `key`.

        Errors: Unavailable where none gets free in time, or no process starts.
        """
        slot = self._reserve(organization_id, engine, key)
        try:
            yield slot
        finally:
            try:
                # Who is in trouble starts its next one itself, and leaves others theirs.
                slot.drop_spent() if self._is_troubled(organization_id) else slot.renew()
            finally:
                self._release(organization_id, slot)

    def note_trouble(self, organization_id: str) -> None:
        """This organization's codec had to be killed."""
        now = time.monotonic()
        with self._changed:
            self._troubled = {name: until for name, until in self._troubled.items() if until > now}
            self._troubled[organization_id] = now + TROUBLE_SECONDS

    def close(self) -> None:
        """End the children that are idle."""
        with self._changed:
            for slot in self._idle:
                slot.drop()

    def _reserve(self, organization_id: str, engine: str, key: str) -> Slot:
        ticket = _Ticket(organization_id)
        with self._changed:
            self._line.append(ticket)
            try:
                if not self._changed.wait_for(lambda: self._is_next(ticket), self._wait):
                    raise Unavailable("All decoders are busy; nothing was decoded.")
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
            is_troubled = self._is_troubled(organization_id)
            slot = min(self._idle, key=lambda idle: idle.rank(engine, key, is_troubled=is_troubled))
            self._idle.remove(slot)
            self._lent[organization_id] += 1
            self._drop_stale()
        return slot

    def _release(self, organization_id: str, slot: Slot) -> None:
        with self._changed:
            self._idle.append(slot)
            self._lent[organization_id] -= 1
            self._lent += Counter()  # forgets those at zero
            self._changed.notify_all()

    def _is_next(self, ticket: _Ticket) -> bool:
        return bool(self._idle) and ticket is next(filter(self._is_within_share, self._line), None)

    def _is_within_share(self, ticket: _Ticket) -> bool:
        most = 1 if self._is_troubled(ticket.organization_id) else self._of_one
        return self._lent[ticket.organization_id] < most

    def _is_troubled(self, organization_id: str) -> bool:
        return self._troubled.get(organization_id, 0.0) > time.monotonic()

    def _drop_stale(self) -> None:
        for slot in self._idle:
            if slot.is_stale:
                slot.drop()


class _Ticket:
    """A place in the line; equal to itself alone."""

    def __init__(self, organization_id: str) -> None:
        self.organization_id = organization_id


def get_children() -> Children:
    """The children of this process; another process, though forked from it, has its own."""
    return _children_of(os.getpid())


@cache
def _children_of(_pid: int) -> Children:
    children = Children()
    atexit.register(children.close)
    return children


def _start(engine: str) -> Child:
    for _ in range(START_ATTEMPTS):
        try:
            child = Child(engine)
        except OSError:
            continue  # no process, no memory or no descriptor is left
        try:
            child.wait_until_ready()
        except ChildLostError:
            child.close()
        else:
            return child
    raise Unavailable("No process for a codec could be started; nothing was decoded.")
