"""One look at what Golioth does not push: device logs, and what has changed at devices.

Where to go on is saved with the messages, in their transaction, so whatever ends a look, the next one goes on there.
Looks overlap, for clocks differ and Golioth may know of things late; what comes twice has the same event id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.provider import Batch, Deadline, Message, Note, TimedOut
from shared.providers.golioth.api import Account, GoliothApi
from shared.providers.golioth.device_changes import MOST_UNSYNCED, Look, find_changes
from shared.providers.golioth.device_logs import read_logs

OVERLAP = timedelta(seconds=120)
BATCH_LIMIT = 500
SAVED_PAGES = 10
"""Pages of devices between two saves where nothing has changed."""

FAIR_SECONDS = 10.0
"""A session that has had so long, or as long as it may have, and got nothing has failed; a shorter one was cut off."""

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked at: devices with one of `tags` and in `cohort` only, where those are given."""

    account: Account
    logs: bool
    devices: bool
    online: timedelta
    fair_seconds: float = FAIR_SECONDS
    tags: frozenset[str] = frozenset()
    cohort: str | None = None

    def concerns(self, device: dict[str, Any]) -> bool:
        """Whether the device, as Golioth describes it, is one of those."""
        if not isinstance(device.get("id"), str) or (self.cohort and device.get("cohortId") != self.cohort):
            return False
        return not self.tags or not self.tags.isdisjoint(device.get("tagIds") or ())


@dataclass(frozen=True, slots=True)
class Step:
    """Messages, and where to go on once they are committed; None where that is not worth a save."""

    messages: list[Message]
    place: State | None
    notes: list[Note] = field(default_factory=list)


def poll_project(plan: Plan, state: State, deadline: Deadline) -> Iterator[Batch]:
    """Batches of what is new. A look that `deadline` cuts off goes on with the next session, at once."""
    polls: dict[str, Callable[[GoliothApi, Plan, State], Iterator[Step]]] = {}
    polls |= {"logs": _poll_logs} if plan.logs else {}
    polls |= {"devices": _poll_devices} if plan.devices else {}
    kept = {name: state[name] for name in polls if name in state}
    began, got_on = time.monotonic(), False
    with GoliothApi(plan.account, deadline) as api:
        try:
            for name, poll in polls.items():
                for step in poll(api, plan, kept.get(name, {})):
                    got_on = True
                    kept |= {} if step.place is None else {name: step.place}
                    yield from _make_batches(step, dict(kept))
        except TimedOut:
            if not deadline.expired or (not got_on and time.monotonic() - began > 0.9 * plan.fair_seconds):
                raise
            yield Batch(more=True)


def _make_batches(step: Step, kept: State) -> Iterator[Batch]:
    """The state comes with the last of them."""
    last = max(len(step.messages) - 1, 0) // BATCH_LIMIT * BATCH_LIMIT
    for start in range(0, last, BATCH_LIMIT):
        yield Batch(step.messages[start : start + BATCH_LIMIT])
    yield Batch(step.messages[last:], None if step.place is None else kept, step.notes)


def _poll_logs(api: GoliothApi, _: Plan, state: State) -> Iterator[Step]:
    now = datetime.now(UTC)
    begin = (datetime.fromisoformat(state["until"]) if state else now) - OVERLAP
    for until, messages in read_logs(api, begin, now):
        yield Step(messages, {"until": until.isoformat()})


def _poll_devices(api: GoliothApi, plan: Plan, state: State) -> Iterator[Step]:
    now = datetime.now(UTC)
    place: State = {"page": 0, "began": now.isoformat(), "since": None, "before": {}, "unsynced": {}, **state}
    since = datetime.fromisoformat(place["since"]) if place["since"] else None
    look = Look(
        since, now, plan.online, place["before"], dict(place["unsynced"]), after=place.get("after", "")
    )
    pages = api.list_pages(api.in_project("devices"), first=place["page"])
    for number, page in enumerate(pages, place["page"] + 1):
        devices = filter(plan.concerns, page)
        messages = [message for device in devices for message in find_changes(device, look)]
        is_saved = bool(messages) or number % SAVED_PAGES == 0
        yield Step(messages, place | {"page": number, "unsynced": dict(look.unsynced)} if is_saved else None)
    began = datetime.fromisoformat(place["began"])
    # What was before the first look is no news.
    since = max(since, began - OVERLAP) if since else began
    kept = {"after": place["began"], "since": since.isoformat(), "before": look.unsynced}
    yield Step([], kept, _warn(look))


def _warn(look: Look) -> list[Note]:
    if not len(look.before) < MOST_UNSYNCED <= len(look.unsynced):
        return []
    words = f"{MOST_UNSYNCED} devices or more have settings that are not in sync; changes of the others are not told."
    return [Note("warning", words)]
