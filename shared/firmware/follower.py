"""Following one rollout: begun once, then events and devices read from where the last step stopped, until its end.

What was heard and from where to read on are committed together: a step that is cut off is read again and counts once.
Events are read from the newest moment heard of, less an overlap, page by page to their end; so neither their order
matters nor for how long the platform honours the token of a page. Now and then all devices are looked through as well,
which tells who belongs to the target, and what became of those that said nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NotRequired, TypedDict

from shared.firmware.reports import Hearing, Report
from shared.provider import DeviceFirmware, Firmware, Listing, OtaEvent, RolloutPlan, read_plan
from shared.runtime.database.client import Database
from shared.runtime.errors import Conflict, NotSupported, Problem, ProtocolFailed
from shared.runtime.page_trail import CIRCLE, Trail, follow_cursor

PAGES_AT_ONCE = 50
"""Of events, and of devices, in one step."""

OVERLAP = timedelta(seconds=60)
"""An event may be kept so much later than others that are younger."""

FORESIGHT = timedelta(days=1)
"""How far ahead of ours the platform's clock may be."""

SWEEP_SECONDS = 30.0
SWEEP_SECONDS_PER_PAGE = 3.0
"""A larger fleet is looked through less often."""

NEVER = datetime.fromtimestamp(0, UTC).isoformat()

Sweep = TypedDict(
    "Sweep", {"from": str, "page": str | None, "pages": int, "trail": NotRequired[Trail | None]}
)
"""A look through all devices that has begun: when by our clock, and how far it is."""


class NotOurs(Conflict):
    """What the platform has under the rollout's name is not this rollout."""


class FollowState(TypedDict, total=False):
    """From where the next step goes on: times are ISO 8601, or seconds since 1970 by our clock."""

    newest: str
    """The newest moment that an event tells of."""
    heard_at: float
    """When that was heard of."""
    since: str
    token: str | None
    """The page of events since then that is next; None where all are read."""
    trail: Trail | None
    """How far it has come since then."""
    sweep: Sweep
    next_sweep: float
    swept_from: str
    """When the last whole sweep began."""


class OpenRollout(TypedDict):
    """A rollout that is followed, and where its last step stopped."""

    id: str
    name: str
    target: dict[str, str]
    artifacts: list[dict[str, str]]
    status: str
    started_at: str | None
    state: FollowState


class Followed(TypedDict):
    """How far it is; devices are counted once it runs."""

    status: str
    counts: NotRequired[dict[str, int]]


class Swept(TypedDict, total=False):
    """What `settle_rollout` is to know of a sweep that is done; nothing of any other."""

    p_swept: bool
    p_missed_since: str


@dataclass
class Follower:
    """One open rollout, a row of `firmware_rollouts`, and what it takes to follow it."""

    row: OpenRollout
    firmware: Firmware
    database: Database
    mask: Callable[[str], str]
    """Takes our secrets out of what the platform says."""
    state: FollowState = field(default_factory=FollowState)
    unfinished: bool = False
    """Whether there is more to read than one step reads."""

    def follow(self) -> Followed:
        """Begin it where it has not begun, and read on; `{status, counts}`.

        What the platform refuses for good to begin, or has under its name for others, ends the rollout with its words;
        other OutsideErrors pass.
        """
        started_at = self.row["started_at"]
        if started_at is None:
            try:
                started_at = self._begin(read_plan(self.row))
            except Problem as problem:
                if not problem.is_final:
                    raise
                return self._fail(problem)
        try:
            return self._read_on(started_at) if started_at else {"status": "cancelled"}
        except NotOurs as problem:
            return self._fail(problem)

    def settle(self, error: str | None = None, swept: Swept | None = None, *, more: bool = False) -> Followed:
        """Count, and end it where all are through or its time is over; `error` is why nothing is heard."""
        settled: Followed = self.database.call(
            "settle_rollout", p_rollout_id=self.row["id"], p_error=error, p_more=more, **(swept or {})
        )
        return settled

    def _fail(self, problem: Problem) -> Followed:
        words = self.mask(problem.detail)
        self.database.call("fail_rollout", p_rollout_id=self.row["id"], p_error=words)
        return {"status": "failed"}

    def _begin(self, plan: RolloutPlan) -> str | None:
        """When it began by the platform's clock; None where it was cancelled before."""
        rollout_id = self.row["id"]
        if not self.database.call("claim_rollout", p_rollout_id=rollout_id):
            return None
        begun = self.firmware.begin(plan)
        started_at: str | None = self.database.call(
            "run_rollout", p_rollout_id=rollout_id, p_reference=begun.reference, p_started_at=begun.at
        )
        if started_at is None:
            # Cancelled while the platform was being told.
            with suppress(NotSupported):
                self.firmware.withdraw(plan)
        return started_at

    def _read_on(self, started_at: str) -> Followed:
        plan, started = read_plan(self.row), datetime.fromisoformat(started_at)
        self.state = {"newest": started_at, "heard_at": 0.0, **self.row["state"]}
        heard = Hearing({artifact.package: artifact.version for artifact in plan.artifacts}, started)
        at_end = self._read_events(plan, heard, self._find_since(started))
        swept = self._sweep(plan, heard)
        if swept:
            # What was said before a device was looked at is in the history before the rollout may end.
            at_end = self._read_events(plan, heard, self.state["newest"])
        self.unfinished = not at_end or "sweep" in self.state
        return self.settle(swept=swept, more=self.unfinished)

    def _find_since(self, started: datetime) -> str:
        newest = datetime.fromisoformat(self.state["newest"])
        fresh = time.time() - self.state["heard_at"] < OVERLAP.total_seconds()
        return max(newest - OVERLAP if fresh else newest, started).isoformat()

    def _read_events(self, plan: RolloutPlan, heard: Hearing, since: str) -> bool:
        """From where it stopped in the middle, else from `since`; whether it got to the end."""
        if not self.state.get("token"):
            self.state |= {"since": since, "trail": None}
        for _ in range(PAGES_AT_ONCE):
            before, page = self.state.get("token"), self._list_events(plan)
            trail = follow_cursor(self.state.get("trail"), page.after) if page.after else None
            self.state |= {"token": page.after if trail else None, "trail": trail}
            self._note_newest(page.items)
            reports = [report for event in page.items if (report := heard.report_event(event))]
            if reports or before != self.state["token"]:
                self._record(reports)
            if page.after is None:
                return True
            if trail is None:
                raise ProtocolFailed(f"What devices report can't be read to its end: {CIRCLE}.")
        return False

    def _note_newest(self, events: list[OtaEvent]) -> None:
        known = datetime.fromisoformat(self.state["newest"])
        times = [datetime.fromisoformat(event.at) for event in events if event.at]
        # A moment that is far ahead would hide all that is still to come.
        newest = max((each for each in times if each < datetime.now(UTC) + FORESIGHT), default=known)
        if newest > known:
            self.state |= {"newest": newest.isoformat(), "heard_at": time.time()}

    def _list_events(self, plan: RolloutPlan) -> Listing[OtaEvent]:
        since, token = self.state["since"], self.state.get("token")
        try:
            return self.firmware.list_events(plan, since, token)
        except Problem as problem:
            if not token or not problem.is_final:
                raise
            # The token is too old: what was read already is read again, and changes nothing.
            self.state["trail"] = None
            return self.firmware.list_events(plan, since, None)

    def _sweep(self, plan: RolloutPlan, heard: Hearing) -> Swept:
        """Look through all devices where that is due; what `settle` is to know of it once it is done."""
        if "sweep" not in self.state:
            if time.time() < self.state.get("next_sweep", 0):
                return {}
            self.state["sweep"] = {"from": self._record([]), "page": None, "pages": 0}
        sweep = self.state["sweep"]
        for _ in range(PAGES_AT_ONCE):
            page = self._list_devices(plan, sweep["page"])
            trail = follow_cursor(sweep.get("trail"), page.after) if page.after else None
            sweep |= {"page": page.after, "pages": sweep["pages"] + 1, "trail": trail}
            ended = {} if trail else self._end_sweep(sweep)
            self._record([report for device in page.items for report in heard.report_device(device)])
            if page.after and trail is None:
                raise ProtocolFailed(f"The list of its devices can't be read to its end: {CIRCLE}.")
            if ended:
                return ended
        return {}

    def _list_devices(self, plan: RolloutPlan, after: str | None) -> Listing[DeviceFirmware]:
        try:
            return self.firmware.list_devices(plan, after)
        except Conflict as problem:
            raise NotOurs(problem.detail) from None

    def _end_sweep(self, sweep: Sweep) -> Swept:
        """What is known once it is over; nothing where it is broken off: who was not seen then is not missed."""
        self.state["next_sweep"] = time.time() + max(SWEEP_SECONDS, sweep["pages"] * SWEEP_SECONDS_PER_PAGE)
        began = self.state.pop("sweep")["from"]
        if sweep["page"] is not None:
            return {}
        # Gone is who was missed by this sweep and the one before: one alone misses who moves between its pages.
        missed_since = self.state.get("swept_from", NEVER)
        self.state["swept_from"] = began
        return {"p_swept": True, "p_missed_since": missed_since}

    def _record(self, reports: Sequence[Report]) -> str:
        """When that was, by the database's clock."""
        masked = [replace(each, message=each.message and self.mask(each.message)) for each in reports]
        at: str = self.database.call(
            "record_firmware", p_rollout_id=self.row["id"], p_reports=masked, p_state=self.state
        )
        return at
