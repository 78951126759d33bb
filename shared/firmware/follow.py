"""Following one rollout: begun once, then events and devices read from where the last step stopped, until its end.

What was heard and from where to read on are committed together: a step that is cut off is read again and counts once.
Events are read from the newest moment heard of, less an overlap, page by page to their end; so neither their order
matters nor for how long the platform honours the token of a page. Now and then all devices are looked through as well,
which tells who belongs to the target, and what became of those that said nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.provider import DeviceFirmware, Firmware, Listing, OtaEvent, Plan, judge_state, read_plan
from shared.runtime.database.client import Database
from shared.runtime.errors import NotSupported, Problem

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

Report = dict[str, Any]


@dataclass
class Follower:
    """One open rollout, a row of `firmware_rollouts`, and what it takes to follow it."""

    row: Mapping[str, Any]
    firmware: Firmware
    database: Database
    mask: Callable[[str], str]
    """Takes our secrets out of what the platform says."""
    state: dict[str, Any] = field(default_factory=dict)
    unfinished: bool = False
    """Whether there is more to read than one step reads."""

    def follow(self) -> dict[str, Any]:
        """Begin it where it has not begun, and read on; `{status, counts}`.

        What the platform refuses for good ends the rollout with its words; other OutsideErrors pass.
        """
        started_at = self.row["started_at"]
        if started_at is None:
            try:
                started_at = self._begin(read_plan(self.row))
            except Problem as problem:
                if not problem.is_final:
                    raise
                words = self.mask(problem.detail)
                self.database.call("fail_rollout", p_rollout_id=self.row["id"], p_error=words)
                return {"status": "failed"}
        return self._read_on(started_at) if started_at else {"status": "cancelled"}

    def settle(self, error: str | None = None, **read: Any) -> dict[str, Any]:
        """Count, and end it where all are through or its time is over; `error` is why nothing is heard."""
        settled: dict[str, Any] = self.database.call(
            "settle_rollout", p_rollout_id=self.row["id"], p_error=error, **read
        )
        return settled

    def _begin(self, plan: Plan) -> str | None:
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

    def _read_on(self, started_at: str) -> dict[str, Any]:
        plan, started = read_plan(self.row), datetime.fromisoformat(started_at)
        self.state = {"newest": started_at, "heard_at": 0.0} | self.row["state"]
        heard = Hearing({artifact.package: artifact.version for artifact in plan.artifacts}, started)
        at_end = self._read_events(plan, heard, self._find_since(started))
        swept = self._sweep(plan, heard)
        if swept:
            # What was said before a device was looked at is in the history before the rollout may end.
            at_end = self._read_events(plan, heard, self.state["newest"])
        self.unfinished = not at_end or "sweep" in self.state
        return self.settle(p_more=self.unfinished, **swept)

    def _find_since(self, started: datetime) -> str:
        newest = datetime.fromisoformat(self.state["newest"])
        fresh = time.time() - self.state["heard_at"] < OVERLAP.total_seconds()
        return max(newest - OVERLAP if fresh else newest, started).isoformat()

    def _read_events(self, plan: Plan, heard: Hearing, since: str) -> bool:
        """From where it stopped in the middle, else from `since`; whether it got to the end."""
        if not self.state.get("token"):
            self.state["since"] = since
        for _ in range(PAGES_AT_ONCE):
            before, page = self.state.get("token"), self._list_events(plan)
            self.state["token"] = page.after
            self._note_newest(page.items)
            reports = [report for event in page.items if (report := heard.report_event(event))]
            if reports or before != page.after:
                self._record(reports)
            if page.after is None:
                return True
        return False

    def _note_newest(self, events: list[OtaEvent]) -> None:
        known = datetime.fromisoformat(self.state["newest"])
        times = [datetime.fromisoformat(event.at) for event in events if event.at]
        # A moment that is far ahead would hide all that is still to come.
        newest = max((each for each in times if each < datetime.now(UTC) + FORESIGHT), default=known)
        if newest > known:
            self.state |= {"newest": newest.isoformat(), "heard_at": time.time()}

    def _list_events(self, plan: Plan) -> Listing[OtaEvent]:
        since, token = self.state["since"], self.state.get("token")
        try:
            return self.firmware.list_events(plan.target, since, token)
        except Problem as problem:
            if not token or not problem.is_final:
                raise
            # The token is too old: what was read already is read again, and changes nothing.
            return self.firmware.list_events(plan.target, since, None)

    def _sweep(self, plan: Plan, heard: Hearing) -> dict[str, Any]:
        """Look through all devices where that is due; what `settle` is to know of it once it is done."""
        if "sweep" not in self.state:
            if time.time() < self.state.get("next_sweep", 0):
                return {}
            self.state["sweep"] = {"from": self._record([]), "page": None, "pages": 0}
        sweep = self.state["sweep"]
        for _ in range(PAGES_AT_ONCE):
            page = self.firmware.list_devices(plan.target, sweep["page"])
            sweep |= {"page": page.after, "pages": sweep["pages"] + 1}
            ended = {} if page.after else self._end_sweep(sweep)
            self._record([report for device in page.items for report in heard.report_device(device)])
            if ended:
                return ended
        return {}

    def _end_sweep(self, sweep: Mapping[str, Any]) -> dict[str, Any]:
        self.state["next_sweep"] = time.time() + max(SWEEP_SECONDS, sweep["pages"] * SWEEP_SECONDS_PER_PAGE)
        # Gone is who was missed by this sweep and the one before: one alone misses who moves between its pages.
        missed_since = self.state.get("swept_from", NEVER)
        self.state["swept_from"] = self.state.pop("sweep")["from"]
        return {"p_swept": True, "p_missed_since": missed_since}

    def _record(self, reports: list[Report]) -> Any:
        for report in reports:
            report["message"] = report["message"] and self.mask(report["message"])
        return self.database.call(
            "record_firmware", p_rollout_id=self.row["id"], p_reports=reports, p_state=self.state
        )


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is heard, as `record_firmware` takes it: `wanted` is the version of each package, from `started` on."""

    wanted: Mapping[str, str]
    started: datetime

    def report_event(self, event: OtaEvent) -> Report | None:
        """A step of the history; None for what speaks of no version at all."""
        version = self.wanted.get(event.package)
        ours = version is not None and (
            event.target_version in (None, version) or event.current_version == version
        )
        to_version = version if ours else event.target_version
        if not to_version:
            return None
        at = event.at or self.started.isoformat()
        return _make_report(event, to_version, at) | {"ours": ours, "event": event.event_type}

    def report_device(self, device: DeviceFirmware) -> list[Report]:
        """What a device says of itself, for each package; idle where that is of another time or update."""
        return [
            self._report_package(
                device.packages.get(package) or OtaEvent(device.device, package, "idle"), version
            )
            for package, version in self.wanted.items()
        ]

    def _report_package(self, said: OtaEvent, version: str) -> Report:
        at = datetime.fromisoformat(said.at) if said.at else self.started
        report = _make_report(said, version, max(at, self.started).isoformat())
        elsewhere = said.target_version not in (None, version) or at < self.started
        if report["state"] != "updated" and elsewhere:
            report |= {"state": "idle", "message": None}
        return report | {"ours": True, "listed": True}


def _make_report(event: OtaEvent, to_version: str, at: str) -> Report:
    return {
        "device": event.device,
        "package": event.package,
        "to_version": to_version,
        "from_version": event.current_version,
        "state": judge_state(event, to_version),
        "message": event.message,
        "at": at,
    }
