"""One look at what Golioth does not push: device logs, and what has changed at devices.

Where to go on is saved with the messages, in their transaction, so whatever ends a look, the next one goes on there.
Looks overlap, for clocks differ and Golioth may know of things late; what comes twice has the same event id.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypedDict, cast

from shared.provider import Batch, Deadline, Item, Message, Note, Object, TimedOut
from shared.providers.golioth.api import Account, GoliothApi
from shared.providers.golioth.device_changes import MOST_UNSYNCED, Look, find_changes
from shared.providers.golioth.device_logs import read_logs

OVERLAP = timedelta(seconds=120)
BATCH_LIMIT = 500
SAVED_PAGES = 10
"""Pages of devices between two saves where nothing has changed."""

COMMIT_POLL_SECONDS = 0.01
FINISH_SECONDS = 10.0
FAIR_SECONDS = 10.0
"""A session that has had so long, or as long as it may have, and got nothing has failed; a shorter one was cut off."""


class LogsPlace(TypedDict):
    """Up to where logs are read."""

    until: str


class DevicesPlace(TypedDict, total=False):
    """How far a look at the devices is, or which one was the last; see `Look`."""

    page: int
    began: str
    since: str | None
    before: Mapping[str, str]
    unsynced: dict[str, str]
    after: str


class SavedPlaces(TypedDict, total=False):
    """The state of a session: where each of its looks goes on."""

    logs: LogsPlace
    devices: DevicesPlace


@dataclass(frozen=True, slots=True)
class PollPlan:
    """What is looked at: devices with one of `tags` and in `cohort` only, where those are given."""

    account: Account
    logs: bool
    devices: bool
    fair_seconds: float = FAIR_SECONDS
    tags: frozenset[str] = frozenset()
    cohort: str | None = None

    def concerns(self, device: Object) -> bool:
        """Whether the device, as Golioth describes it, is one of those."""
        if self.cohort and device.get("cohortId") != self.cohort:
            return False
        return not self.tags or not self.tags.isdisjoint(Item(device).texts("tagIds"))


@dataclass(frozen=True, slots=True)
class Step:
    """Messages, and where to go on once they are committed; None where that is not worth a save."""

    messages: list[Message]
    places: SavedPlaces | None
    notes: list[Note] = field(default_factory=list)


def poll_project(plan: PollPlan, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """Batches of what is new. A look that `deadline` cuts off goes on with the next session, at once."""
    saved, began, got_on = _read_places(plan, state), time.monotonic(), False
    with GoliothApi(plan.account, deadline) as api:
        try:
            for step in _poll(api, plan, saved):
                got_on = True
                saved |= step.places or {}
                for batch in _make_batches(step, saved.copy()):
                    yield batch
                yield from _wait_stored(batch, deadline)
        except TimedOut:
            if not deadline.expired or (not got_on and time.monotonic() - began > 0.9 * plan.fair_seconds):
                raise
            yield Batch(more=True)


def _read_places(plan: PollPlan, state: Mapping[str, object]) -> SavedPlaces:
    looks = [name for name, wanted in (("logs", plan.logs), ("devices", plan.devices)) if wanted]
    return cast("SavedPlaces", {name: state[name] for name in looks if name in state})


def _poll(api: GoliothApi, plan: PollPlan, saved: SavedPlaces) -> Iterator[Step]:
    if plan.logs:
        yield from _poll_logs(api, saved.get("logs"))
    if plan.devices:
        yield from _poll_devices(api, plan, saved.get("devices", {}))


def _make_batches(step: Step, saved: SavedPlaces) -> Iterator[Batch]:
    """The state comes with the last of them."""
    last = max(len(step.messages) - 1, 0) // BATCH_LIMIT * BATCH_LIMIT
    for start in range(0, last, BATCH_LIMIT):
        yield Batch(step.messages[start : start + BATCH_LIMIT])
    yield Batch(step.messages[last:], None if step.places is None else saved, step.notes)


def _wait_stored(last: Batch, deadline: Deadline) -> Iterator[Batch]:
    """Signs of life until a step is stored: while the database is away, no more than that is kept for it."""
    patience = Deadline(deadline.remaining() + FINISH_SECONDS)
    while last.messages and not (last.committed or patience.expired):
        yield Batch()
        time.sleep(COMMIT_POLL_SECONDS)


def _poll_logs(api: GoliothApi, place: LogsPlace | None) -> Iterator[Step]:
    now = datetime.now(UTC)
    begin = (datetime.fromisoformat(place["until"]) if place else now) - OVERLAP
    for until, messages in read_logs(api, begin, now):
        yield Step(messages, {"logs": {"until": until.isoformat()}})


def _poll_devices(api: GoliothApi, plan: PollPlan, saved: DevicesPlace) -> Iterator[Step]:
    now = datetime.now(UTC)
    began, since = datetime.fromisoformat(saved.get("began") or now.isoformat()), _read_since(saved)
    look = Look(
        since,
        now,
        saved.get("before", {}),
        dict(saved.get("unsynced", {})),
        after=saved.get("after", ""),
    )
    place: DevicesPlace = {**saved, "began": began.isoformat()}
    first = saved.get("page", 0)
    for number, page in enumerate(api.list_pages(api.in_project("devices"), first=first), first + 1):
        messages = list(_find_all(plan, look, page))
        is_saved = bool(messages) or number % SAVED_PAGES == 0
        on: DevicesPlace = {**place, "page": number, "unsynced": dict(look.unsynced)}
        yield Step(messages, {"devices": on} if is_saved else None)
    # What was before the first look is no news.
    since = max(since, began - OVERLAP) if since else began
    after: DevicesPlace = {
        "after": began.isoformat(),
        "since": since.isoformat(),
        "before": look.unsynced,
    }
    yield Step([], {"devices": after}, _warn(look))


def _read_since(saved: DevicesPlace) -> datetime | None:
    since = saved.get("since")
    return datetime.fromisoformat(since) if since else None


def _find_all(plan: PollPlan, look: Look, page: list[Object]) -> Iterator[Message]:
    for device in filter(plan.concerns, page):
        device_id = device.get("id")
        if isinstance(device_id, str):
            yield from find_changes(device_id, device, look)


def _warn(look: Look) -> list[Note]:
    if not len(look.before) < MOST_UNSYNCED <= len(look.unsynced):
        return []
    words = f"{MOST_UNSYNCED} devices or more have settings that are not in sync; changes of the others are not told."
    return [Note("warning", words)]
