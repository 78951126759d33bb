"""Running due sessions side by side until the deadline."""

from __future__ import annotations

import uuid
from collections import Counter

from shared.messages.committer import LEASE_SECONDS, LeasedSession
from shared.messages.session import run_session
from shared.runtime.database.client import Database
from shared.runtime.database.leases import UNREAD, Unread
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from shared.runtime.lease_loop import LeaseLoop

SESSIONS_AT_ONCE = 200
"""Each has a thread, which sleeps while its broker is silent."""

GREED = 9.0
"""An organization that is alone has nine tenths of the places; one that comes then finds one free at once."""

TURN_SECONDS = 600.0
"""How long a session lasts at most: so that those beyond `SESSIONS_AT_ONCE` get their turn."""

SHARED_TURN_SECONDS = 60.0
"""Of one of several sessions of an integration: so that a worker that comes has its part of them within a minute."""

MORE_POLL_SECONDS = 0.025
"""How long to wait for each that was begun where there may be more: time for another worker to take its share, and for
those that are under way, as connecting takes a hundred times the processor that receiving does."""

MOST_BEGUN = 8
"""At once."""


def run_sessions(database: Database, deadline: Deadline, pulse: Pulse) -> Counter[str]:
    """Lease and run what is due, at most `SESSIONS_AT_ONCE` at a time; the sum of what `run_session` counts."""
    return _Sessions(database, deadline, pulse).run()


class _Sessions(LeaseLoop[LeasedSession, Counter[str]]):
    """Each keeps its own lease: with every batch it commits."""

    name = "session"

    def __init__(self, database: Database, deadline: Deadline, pulse: Pulse) -> None:
        super().__init__(database, deadline, SESSIONS_AT_ONCE, GREED)
        self._pulse = pulse
        self._share = 1
        self._worker = str(uuid.uuid4())

    def find_room(self) -> int:
        room = super().find_room()
        if not room:
            self._share = 1
        return min(self._share, room)

    def find_pause(self) -> float:
        return MORE_POLL_SECONDS * self._share if self._share > 1 else super().find_pause()

    def lease(self, room: int) -> list[LeasedSession]:
        # One first, then two, four …: so that workers side by side share what is due at the same moment.
        share, self._share = self._share, 1
        room = self.shares.find_room(room)
        leases = self.database.lease(
            "lease_sessions",
            p_limit=room,
            p_lease_seconds=LEASE_SECONDS,
            p_shares=self.shares.limit(),
            p_worker=self._worker,
        )
        if len(leases.rows) + len(leases.unread) == room:
            self._share = min(share * 2, MOST_BEGUN)
        return self.keep_readable(leases)

    def name_owner(self, row: LeasedSession) -> str:
        return row["organization_id"]

    def refuse(self, unread: Unread) -> None:
        names = {"p_integration_id": unread.id, "p_lease_token": unread.lease_token}
        with self._pulse.busy():
            self.database.call("finish_session", **names, p_error=UNREAD)

    def work(self, row: LeasedSession) -> Counter[str]:
        turn = self.deadline.within(TURN_SECONDS if row["slots"] == 1 else SHARED_TURN_SECONDS)
        return run_session(row, self.database, turn, self._pulse)

    def finish(self, ended: list[Counter[str]]) -> None:
        for counts in ended:
            self.counts.update(counts)
