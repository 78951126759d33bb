"""The heartbeat of a tick: which parts are at work, told to the database and, by HEARTBEAT_URL, to a dead man's switch.

A scheduler that has stopped can't say so. Whoever looks at the database sees how old its last word is, and whoever
waits for the ping hears that it does not come.
"""

from __future__ import annotations

import time
from collections import Counter

from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.log import get_log
from shared.runtime.outbound import OutboundRequest, send_once
from shared.runtime.settings import load_settings

BEAT_SECONDS = 15.0
PING_SECONDS = 60.0
PING_DEADLINE_SECONDS = 5.0


class Heartbeat:
    """Of one tick: `watch` gives each part a database that notes when it last answered; `run` tells it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: dict[str, float | None] = {}
        self._counts: Counter[str] = Counter()

    def watch(self, part: str) -> Database:
        """The database for one part of the tick: each answer says that the part is at work."""
        self._seen[part] = None
        return self._database.watched(lambda: self._seen.update({part: time.monotonic()}))

    def run(self, deadline: Deadline) -> Counter[str]:
        """Beat at once, every `BEAT_SECONDS`, and once more at the end; ping once a tick and every minute of it."""
        next_ping = 0.0
        while True:
            still = self._beat()
            # What stood still before this tick began may have its first answer within it.
            if still == [] and time.monotonic() >= next_ping:
                next_ping = time.monotonic() + PING_SECONDS
                self._ping()
            if deadline.expired:
                if still:
                    get_log().error(
                        "parts of the tick stand still, so the heartbeat was not sent", parts=still
                    )
                return self._counts
            deadline.within(BEAT_SECONDS).wait()

    def _beat(self) -> list[str] | None:
        """Which parts stand still, in this tick and those before; None where the database could not be told."""
        now = time.monotonic()
        parts = {part: None if seen is None else round(now - seen, 3) for part, seen in self._seen.items()}
        try:
            still: list[str] = self._database.call("record_heartbeat", p_parts=parts, p_at=time.time())
        except Problem as problem:
            get_log().warning("the heartbeat could not be recorded", code=problem.code, detail=problem.detail)
            self._counts["failed_beats"] += 1
            return None
        self._counts["beats"] += 1
        return still

    def _ping(self) -> None:
        """Tell whoever waits for it; not while a part stands still, for then somebody should come and look."""
        url = load_settings().heartbeat_url
        if not url:
            return
        try:
            reply = send_once(OutboundRequest("GET", url, timeout_seconds=PING_DEADLINE_SECONDS))
        except Problem as problem:
            # Its address is a secret, and is in no problem's words.
            get_log().warning("HEARTBEAT_URL could not be reached", code=problem.code)
            self._counts["failed_pings"] += 1
        else:
            self._counts["pings" if reply.status < 400 else "failed_pings"] += 1  # noqa: PLR2004 - HTTP
