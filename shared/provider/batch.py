"""What a session or a history hands over: messages that are committed together, and what an admin should read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.provider.messages import Message


@dataclass(frozen=True, slots=True)
class Note:
    """Something an admin should read in the activity log; `level` is `info`, `warning` or `error`.

    With `alert` it raises the alert of that kind, or ends it where the level is `info`; `alert_level` says how bad
    that is where it is not the note's level.
    """

    level: str
    message: str
    alert: str | None = None
    alert_level: str | None = None


@dataclass(slots=True)
class Batch:
    """Messages that are committed together.

    The session yields it, whoever drives the session stores it and sets `committed`, and only then does the
    session acknowledge it to the other side. An empty batch is a sign of life. `state`, where given, is saved
    in the same transaction and handed to the next session. `received_bytes` counts bodies as they came;
    `connect_ms` is given once, with the first batch of a connection. `more`, on the last batch, says that the session
    was cut off: the next is due at once.
    """

    messages: list[Message] = field(default_factory=list)
    state: Mapping[str, object] | None = None
    notes: list[Note] = field(default_factory=list)
    received_bytes: int = 0
    connect_ms: float | None = None
    more: bool = False
    committed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit, so that nobody ever will."""
        return not self.messages and self.state is None and not self.notes
