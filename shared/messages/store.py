"""Storing a batch of messages, deduplicated: retried while the database is away, never failed by one bad message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from operator import attrgetter
from typing import Literal, TypedDict, TypeVar, get_args

from shared.provider import Message
from shared.runtime.backoff import Backoff
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Unavailable
from shared.runtime.exact_json import write_json
from shared.runtime.portable import replace_nul

CountName = Literal["received", "stored", "duplicates", "failed", "devices", "deliveries"]
COUNTS: tuple[CountName, ...] = get_args(CountName)
Result = TypeVar("Result")
BACKOFF = Backoff(0.1, 2.0)
LAST_SECONDS = 0.1
"""With less than so much left it is not tried again."""

INGEST = "ingest_batch"
COLUMNS = (
    "event_id",
    "device",
    "kind",
    "topic",
    "payload",
    "raw",
    "raw_encoding",
    "observed_at",
    "error",
    "device_status",
    "remark",
    "metadata",
    "report",
)
_read_columns = attrgetter(*COLUMNS)


class IngestCounts(TypedDict):
    """What `ingest_batch` and its like answer of a batch: received = stored + duplicates + failed."""

    received: int
    stored: int
    duplicates: int
    failed: int
    devices: int
    """Made anew."""
    deliveries: int
    """Queued."""


@dataclass(frozen=True, slots=True)
class LeaseHold:
    """The lease a batch is stored under: a late holder is refused, a present one renewed."""

    token: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Store:
    """Stores batches of one integration, in one transaction each, with `ingest_batch` or a function that takes rows."""

    database: Database
    integration_id: str
    lease: LeaseHold | None = None
    function: str = INGEST

    def store_batch(
        self,
        messages: Sequence[Message],
        state: Mapping[str, object] | None,
        deadline: Deadline,
        received_bytes: int = 0,
    ) -> IngestCounts:
        """Store `messages`, once each, and `state` with them; `received_bytes` is what they came in.

        Tried again until `deadline` while the database is away, which is safe: a message is stored once.
        Errors: Unavailable after that, LeaseLost, NotFound when the integration is gone.
        """
        return keep_trying(lambda: self._store_parts(messages, state, received_bytes), deadline)

    def _store_parts(
        self, messages: Sequence[Message], state: Mapping[str, object] | None, received_bytes: int
    ) -> IngestCounts:
        try:
            return self._call(messages, state, received_bytes)
        except (BadRequest, TypeError) as refusal:
            if not messages:
                raise
            if len(messages) == 1:
                return self._call([_refuse_message(messages[0], refusal)], state, received_bytes)
        # The state and the bytes are of the whole batch, so only the last part may bring them.
        middle = len(messages) // 2
        counts = self._store_parts(messages[:middle], None, 0)
        rest = self._store_parts(messages[middle:], state, received_bytes)
        for name in COUNTS:
            counts[name] += rest[name]
        return counts

    def _call(
        self, messages: Sequence[Message], state: Mapping[str, object] | None, received_bytes: int
    ) -> IngestCounts:
        if self.function == INGEST and not any(message.retained for message in messages):
            return self._call_whole(messages, state, received_bytes)
        call = partial(self.database.call, p_integration_id=self.integration_id, p_messages=messages)
        if self.lease:
            lease = {"p_lease_token": self.lease.token, "p_lease_seconds": self.lease.seconds}
            call = partial(call, **lease, p_state=state)
        if received_bytes:
            call = partial(call, p_bytes=received_bytes)
        counts: IngestCounts = call("ingest_retained" if self.function == INGEST else self.function)
        return counts

    def _call_whole(
        self, messages: Sequence[Message], state: Mapping[str, object] | None, received_bytes: int
    ) -> IngestCounts:
        batch = {
            "integration_id": self.integration_id,
            "bytes": received_bytes,
            "messages": read_columns(messages),
        }
        if self.lease:
            batch |= {"lease_token": self.lease.token, "lease_seconds": self.lease.seconds, "state": state}
        counts: IngestCounts = self.database.call_whole(INGEST, batch)
        return counts


def keep_trying(call: Callable[[], Result], deadline: Deadline) -> Result:
    """What `call` gives; while the database is away, tried again with growing pauses until `deadline`."""
    for failures in count(1):
        try:
            return call()
        except Unavailable:
            if not (pause := _find_pause(failures, deadline)):
                raise
            time.sleep(pause)
    raise AssertionError("count never ends")


async def keep_waiting(call: Callable[[], Awaitable[Result]], deadline: Deadline) -> Result:
    """The same for what is awaited."""
    for failures in count(1):
        try:
            return await call()
        except Unavailable:
            if not (pause := _find_pause(failures, deadline)):
                raise
            await asyncio.sleep(pause)
    raise AssertionError("count never ends")


def _find_pause(failures: int, deadline: Deadline) -> float:
    """Seconds until it is tried again, 0 where it is not."""
    left = deadline.remaining()
    if left <= LAST_SECONDS:
        return 0.0
    # Never past the end: whoever waits for it is better told a little later than sent away too early.
    return min(BACKOFF.pause(failures), left / 2)


def read_columns(messages: Sequence[Message]) -> dict[str, Sequence[object]]:
    """`messages` by field, which costs SQL less than one by one; a field that none of them has is left out."""
    columns = zip(COLUMNS, zip(*map(_read_columns, messages), strict=True), strict=False)
    return {name: values for name, values in columns if values.count(None) < len(values)}


def _refuse_message(message: Message, refusal: BadRequest | TypeError) -> Message:
    """`message` as the database can keep it: as raw text with the reason."""
    why = refusal.detail if isinstance(refusal, BadRequest) else "it can't be written as JSON."
    return replace(
        message,
        device=None,
        topic=replace_nul(message.topic),
        payload=None,
        raw=replace_nul(message.raw if message.raw is not None else _write_payload(message.payload)),
        observed_at=None,
        kind="event",
        error=f"The database refused the decoded message: {why}"[:1000],
        device_status=None,
        report=None,
    )


def _write_payload(payload: object) -> str | None:
    try:
        return write_json(payload).decode()
    except TypeError:
        return None
