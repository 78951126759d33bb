"""Publish: events that go out by another way than one HTTP request each, such as a broker's protocol or SMTP."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from shared.provider.messages import Event
from shared.provider.subscription import Subscription
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem


@dataclass(frozen=True, slots=True)
class PublishOutcome:
    """What became of one event for one of its recipients.

    Without a `problem` the other side has taken it, and `reference` is its own name for it, where it gave one. With one
    it has not, and a problem that `is_final` ends it. `recipient` is the provider's name for whom it was for, the same
    at every attempt; empty where there is only one.
    """

    event_id: str
    recipient: str = ""
    problem: Problem | None = None
    reference: str | None = None


class Publisher(Subscription):
    """A provider that sends events itself."""

    capability: ClassVar[str] = "publish"
    lacking: ClassVar[str] = "publishing"

    @abstractmethod
    def publish(self, events: Sequence[Event], deadline: Deadline) -> Iterator[PublishOutcome]:
        """Send `events` and yield an outcome for each of them and each of its recipients, as soon as it is known.

        Whoever drives it records each outcome, so that what failed for one recipient is repeated for nobody else: at
        the next attempt `Event.done` names those who are not to get it again. An event that is left without an outcome
        for some of them, because `deadline` came first or an OutsideError was raised, is tried again for those.
        At least once, like everything that goes out: after a crash the same event may come again, under the same `id`.
        """
