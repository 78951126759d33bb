"""Following a stream: read ahead as far as there is room, stored in batches, opened again where it breaks off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from shared.provider import (
    HOPELESS,
    Backoff,
    Batch,
    NamedBody,
    OutsideError,
    ProtocolFailed,
    back_off,
    cut_bodies,
    find_items,
    write_item,
)
from shared.providers.grpc.failures import CursorGone, is_hopeless
from shared.providers.grpc.feed import Feed
from shared.providers.grpc.items import MESSAGE, find_cursor, hash_parts
from shared.providers.grpc.outbox import Reading
from shared.providers.grpc.plan import ServicePlan
from shared.providers.grpc.poll import GAP, make_read_request
from shared.providers.grpc.values import BodyReader

SPARE_SECONDS = 5.0
"""By which calls last longer than we listen, who end them."""

TAKE_SECONDS, BUSY_TAKE_SECONDS = 0.5, 0.02
TAKEN_AT_ONCE = 100
TRIES = 5
PAUSES = Backoff(0.3, 4.0)
_HOPELESS = (*HOPELESS, ProtocolFailed)

LIVE = (
    "cursor_path names nothing to go on from, so what the service sends while no session listens is lost, between two "
    "sessions too: it comes at most once. Name a cursor where the service can replay from one."
)


NO_CURSOR = "cursor_path leads nowhere in what came, so the stream can't be gone on with where it was."
MOST_REMEMBERED = 50_000
"""Different messages of a stream without cursor that are known again."""


class StreamReader:
    """The stream of one session, over one connection after another."""

    def __init__(self, reading: Reading, service_plan: ServicePlan) -> None:
        self._plan = reading.plan
        self._service_plan = service_plan
        self._channel = reading.service.channel
        self._method = reading.method
        self._memory = reading.memory
        self._outbox = reading.outbox
        self._deadline = reading.deadline
        self._reader = BodyReader(reading.service.schema.pool)
        self._failures = 0
        self._has_met_cursor = False
        self._seen: Counter[str] = Counter()
        self._distinct = self._count = 0

    def run(self) -> Iterator[Batch]:
        """Until the deadline, or until the service ends a stream that brought nothing. Errors: OutsideError."""
        if not self._plan.cursor_path:
            self._memory.tell_once("live", LIVE)
        is_over = False
        while not self._deadline.expired and not is_over:
            try:
                is_over = yield from self._follow()
            except CursorGone:
                if self._memory.cursor == self._plan.first_cursor:
                    raise
                self._memory.note("warning", GAP, "broker.overflowed")
                self._memory.forget_place(self._plan.first_cursor)
            except OutsideError as problem:
                yield from self._hand_over()
                if self._deadline.expired:
                    break
                self._failures += 1
                if isinstance(problem, _HOPELESS) or is_hopeless(problem) or self._failures >= TRIES:
                    yield from self._outbox.settle()
                    raise
                yield from back_off(PAUSES.pause(self._failures), self._deadline)
        yield from self._hand_over()
        yield from self._outbox.settle()
        yield Batch(more=not is_over)

    def _follow(self) -> Generator[Batch, None, bool]:
        """One call. Whether the service has ended it, and it brought nothing to go on from."""
        values = {"cursor": self._memory.cursor, "page": None}
        request = make_read_request(self._method, self._plan.request, values)
        seconds = self._deadline.remaining() + SPARE_SECONDS
        self._distinct = self._count = 0
        self._has_met_cursor = False
        self._seen.clear()
        self._memory.begin_stream()
        with Feed(self._channel.stream(self._method.path, request, seconds), self._service_plan) as feed:
            while not self._deadline.expired:
                yield from self._outbox.wait_for_room(self._deadline)
                if feed.has_ended:
                    return self._heed_end(values["cursor"])
                yield from self._take(feed)
        return False

    def _take(self, feed: Feed) -> Iterator[Batch]:
        """What has come, to batches; a sign of life where that makes none."""
        outbox = self._outbox
        bodies = feed.take(self._choose_wait(), TAKEN_AT_ONCE)
        for body in bodies:
            yield from self._read(body)
        self._count += len(bodies)
        self._failures = 0 if bodies else self._failures
        if outbox.is_due or (outbox.count and not bodies and not outbox.has_handed):
            yield from outbox.close_batch(self._deadline)
        else:
            yield Batch()

    def _heed_end(self, cursor: Any) -> bool:
        """Whether nothing new can come at once, now that the service has ended a stream that began at `cursor`."""
        self._memory.end_stream()
        if self._count and self._plan.cursor_path and not self._has_met_cursor:
            self._memory.tell_once("cursor", NO_CURSOR)
        return bool(self._memory.cursor == cursor)

    def _choose_wait(self) -> float:
        return min(
            BUSY_TAKE_SECONDS if self._outbox.count or self._outbox.has_handed else TAKE_SECONDS,
            self._deadline.remaining(),
        )

    def _read(self, body: bytes) -> Iterator[Batch]:
        """Collect the items of one message. The state is behind it once the last of them is collected."""
        try:
            document = self._reader.read(self._method.reply, body)
        except ValueError as error:
            self._outbox.keep(self._name(None, body), body, str(error))
            return
        items = find_items(document, self._plan.items_path, MESSAGE)
        cursor = find_cursor(document, items, self._plan.cursor_path)
        name = self._name(cursor, body)
        bodies = [
            (name if number == 1 else f"{name}#{number}", write_item(item))
            for number, item in enumerate(items, start=1)
        ]
        *parts, last = cut_bodies(bodies)
        for part in parts:
            self._collect(part)
            yield from self._outbox.close_batch(self._deadline, saves=False)
        self._collect(last)

    def _collect(self, bodies: Sequence[NamedBody]) -> None:
        for event_id, body in bodies:
            self._outbox.collect(event_id, body)

    def _name(self, cursor: Any, body: bytes) -> str:
        """The event id of a message, the same when it is replayed from a cursor."""
        memory = self._memory
        if not self._plan.cursor_path:
            return self._name_live(body)
        if cursor is not None and (cursor != memory.cursor or not self._has_met_cursor):
            memory.cursor, memory.since, self._has_met_cursor = cursor, 0, True
        else:
            memory.since += 1
        return f"stream:{hash_parts(write_item(memory.cursor), str(memory.since).encode(), body)}"

    def _name_live(self, body: bytes) -> str:
        """By what it is and how often that came in this stream: of one that has an end it is the same the next time."""
        content = hash_parts(body)
        self._seen[content] += 1
        block = self._distinct // MOST_REMEMBERED
        self._distinct += self._seen[content] == 1
        if self._distinct // MOST_REMEMBERED != block:
            self._seen.clear()
        named = hash_parts(self._memory.epoch.encode(), str(block).encode(), content.encode())
        return f"live:{named}:{self._seen[content]}"

    def _hand_over(self) -> Iterator[Batch]:
        if self._outbox.count or self._memory.has_news:
            yield from self._outbox.close_batch(self._deadline)
