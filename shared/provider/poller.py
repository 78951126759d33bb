"""Providers that are polled: how long one session lasts, and how long it is until the next."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from shared.provider.base import Provider
from shared.runtime.deadline import Deadline


class Poller(Provider):
    """A provider with polling sessions."""

    session_seconds: Annotated[float, Field(ge=1, le=3_600)] | None = None
    """How long one session lasts at most; None: as long as a tick."""
    poll_interval_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0
    """How long after a session the next one is due."""

    def limit_session(self, deadline: Deadline) -> Deadline:
        """The deadline of a session that may last until `deadline`."""
        return deadline.within(self.session_seconds) if self.session_seconds else deadline
