"""Shared session: what one integration reads, shared out among several sessions, which any workers hold."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from pydantic import Field

from shared.provider.batch import Batch
from shared.provider.form import Group
from shared.provider.session import SESSION_FIELDS, Poller
from shared.runtime.deadline import Deadline

MOST_SESSIONS = 16


class Part(NamedTuple):
    """Which of so many sessions one is: what falls to it is nobody else's."""

    number: int = 0
    of: int = 1

    def has(self, name: str, number: int) -> bool:
        """Whether the part `number` of `name` falls to it. The SQL function private.find_slot says the same."""
        if self.of == 1:
            return True
        return (hashlib.sha256(name.encode()).digest()[0] + number) % self.of == self.number


WHOLE = Part()
"""The only one."""


class SharedPoller(Poller):
    """A poller whose sessions can be several: each is leased by itself, so that workers share one integration.

    What falls to a session is said by `Part.has`. Where it is read on from stands in the state's `parts`,
    `{name: {number: anything}}`: where the number of sessions changes, the database gives each what then falls to it,
    of those that differ in the state's `cluster` only what the first one has. The first session of all is one: it
    places everything and ends, with `more`.
    """

    read_in_sql: ClassVar[frozenset[str]] = frozenset({"parallel_sessions"})
    groups: ClassVar[tuple[Group, ...]] = (Group("Sessions", ("parallel_sessions", *SESSION_FIELDS)),)

    parallel_sessions: int = Field(1, ge=1, le=MOST_SESSIONS)
    """How many sessions share what is read, each on any worker: more than one where one can't keep up."""

    @abstractmethod
    def session_part(self, part: Part, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """As `session`, of what falls to `part`."""

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """All of it."""
        yield from self.session_part(WHOLE, state, deadline)
