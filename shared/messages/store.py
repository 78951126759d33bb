"""Storing a batch of messages: retried while the database is away, and never failed by one bad message."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

import orjson

from shared.provider.messages import Message
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Unavailable

COUNTS = ("received", "stored", "duplicates", "failed", "devices", "deliveries")
Result = TypeVar("Result")
BACKOFF = Backoff(0.1, 2.0)


@dataclass(frozen=True, slots=True)
class LeaseHold:
    """The lease a batch is stored under: a late holder is refused, a present one renewed."""

    token: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Store:
    """Stores batches of one integration, in one transaction each, with `ingest_messages` or a function of its kind."""

    database: Database
    integration_id: str
    lease: LeaseHold | None = None
    function: str = "ingest_messages"

    def store_batch(
        self, messages: Sequence[Message], state: dict[str, Any] | None, deadline: Deadline
    ) -> dict[str, int]:
        """Store `messages`, once each, and `state` with them; the counts named in `COUNTS`.

        Tried again until `deadline` while the database is away, which is safe: a message is stored once.
        Errors: Unavailable after that, LeaseLost, NotFound when the integration is gone.
        """
        return keep_trying(lambda: self._store_parts(messages, state), deadline)

    def _store_parts(self, messages: Sequence[Message], state: dict[str, Any] | None) -> dict[str, int]:
        try:
            return self._call(messages, state)
        except BadRequest as refusal:
            if not messages:
                raise
            if len(messages) == 1:
                return self._call([_refuse_message(messages[0], refusal)], state)
        # The state speaks of the whole batch, so only the last part may bring it.
        middle = len(messages) // 2
        first = self._store_parts(messages[:middle], None)
        second = self._store_parts(messages[middle:], state)
        return {name: first[name] + second[name] for name in COUNTS}

    def _call(self, messages: Sequence[Message], state: dict[str, Any] | None) -> dict[str, int]:
        arguments: dict[str, Any] = {"p_integration_id": self.integration_id, "p_messages": messages}
        if self.lease:
            arguments |= {
                "p_lease_token": self.lease.token,
                "p_lease_seconds": self.lease.seconds,
                "p_state": state,
            }
        counts: dict[str, int] = self.database.call(self.function, **arguments)
        return counts


def keep_trying(call: Callable[[], Result], deadline: Deadline) -> Result:
    """What `call` gives; while the database is away, tried again with growing pauses until `deadline`."""
    for failures in count(1):
        try:
            return call()
        except Unavailable:
            wait = BACKOFF.pause(failures)
            if deadline.remaining() <= wait:
                raise
            time.sleep(wait)
    raise AssertionError("count never ends")


def _refuse_message(message: Message, refusal: BadRequest) -> Message:
    """`message` as the database can keep it: as raw text with the reason."""
    return replace(
        message,
        device=None,
        topic=_drop_nul(message.topic),
        payload=None,
        raw=_drop_nul(message.raw if message.raw is not None else orjson.dumps(message.payload).decode()),
        observed_at=None,
        kind="event",
        error=f"The database refused the decoded message: {refusal.detail}"[:1000],
        device_status=None,
    )


def _drop_nul(text: str | None) -> str | None:
    return text.replace("\x00", "\ufffd") if text else text
