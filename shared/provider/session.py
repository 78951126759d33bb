"""Session: polling, for as long as the config says, and until when the next one waits."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from shared.provider.batch import Batch
from shared.provider.form import Group
from shared.provider.source import MessageSource
from shared.runtime.deadline import Deadline

SESSION_FIELDS = ("session_seconds", "poll_interval_seconds")


class Poller(MessageSource):
    """A provider that is polled."""

    capability: ClassVar[str] = "session"
    lacking: ClassVar[str] = "polling session"
    groups: ClassVar[tuple[Group, ...]] = (Group("Sessions", SESSION_FIELDS),)

    session_seconds: Annotated[float, Field(ge=1, le=3_600)] | None = Field(None, title="Longest session")
    """How long one session lasts at most; left out, as long as a tick of the scheduler."""
    poll_interval_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0
    """How long after a session the next one is due."""

    @property
    def is_polled(self) -> bool:
        """Whether the config says what to poll; without it there are no sessions."""
        return True

    @abstractmethod
    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """Poll: yield batches until idle work is done or `deadline` has expired; acknowledge only committed ones.

        `state` is what the last committed batch carried. Raises OutsideError subclasses.
        """

    def limit_session(self, deadline: Deadline) -> Deadline:
        """The deadline of a session that may last until `deadline`."""
        return deadline.within(self.session_seconds) if self.session_seconds else deadline
