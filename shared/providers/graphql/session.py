"""One session: the query from its cursor on, then what a subscription brings, until the time is up.

It is subscribed before the query is asked for the last time, so that nothing falls between; while it lasts, the query
is asked again now and then. What comes both ways has the same event id. A subscription without any cursor can't be read
from where it was: what happens while nobody listens is lost, and that is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from shared.provider import (
    HOPELESS,
    Backoff,
    Batch,
    Codec,
    Deadline,
    Message,
    NamedBody,
    OutsideError,
    TimedOut,
    back_off,
    cut_bodies,
    decode_items,
)
from shared.providers.graphql.catch_up import CatchUp, Seen
from shared.providers.graphql.feed import Feed, Told, is_elsewhere, list_ways, make_feed
from shared.providers.graphql.outbox import ResultOutbox
from shared.providers.graphql.reading import ResultReader
from shared.providers.graphql.results import keep_unread, split_result
from shared.providers.graphql.saved_state import Memory

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql

RECEIVE_SECONDS = 0.5
SWEEP_SECONDS = 60.0
"""How often the query is asked again while a subscription lasts."""

STEADY_SECONDS = 30.0
"""A subscription that has lasted so long works: what ends it does not count to the failures before."""

TRIES = 5
PAUSES = Backoff(0.5, 10.0)
FINISH_SECONDS = 10.0
FAIR_SECONDS = 10.0
"""A session that has had so long and got nothing has failed; a shorter one was cut off."""

ONCE = (
    "This subscription has no cursor: what the API sends while nobody is connected, between two sessions or while it "
    "can't be reached, is lost (at most once). With a query and query_cursor, what was missed is asked for."
)
STRANGE = "The API sends messages that belong to no subscription of ours; they were passed over."


def run_session(graphql: Graphql, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """Read until `deadline`, or until a query alone has nothing more; see Provider.session.

    Raises OutsideError: at once where trying again can't help, else after `TRIES` failures in a row.
    """
    session = _Session(graphql, Memory(graphql, state), deadline)
    try:
        yield from session.run()
    finally:
        session.outbox.close()


class _Session:
    def __init__(self, graphql: Graphql, memory: Memory, deadline: Deadline) -> None:
        self.outbox = ResultOutbox(graphql.identity.organization_id)
        self._graphql = graphql
        self._memory = memory
        self._deadline = deadline
        self._seen = Seen()
        self._catch_up = CatchUp(graphql, memory, self.outbox, self._seen) if graphql.query else None
        self._reader = ResultReader(graphql, graphql.subscription_items, graphql.subscription_cursor)
        self._codec: Codec | None = graphql.open_codec("codec") if graphql.codec else None
        self._begun = time.monotonic()
        self._failures = 0
        self._has_got_on = self._has_listened = False

    def run(self) -> Iterator[Batch]:
        if self._graphql.subscription is not None and not self._graphql.is_replayable:
            self._memory.tell_once("at most once", ONCE)
        try:
            yield from self._ask()
            while self._graphql.subscription is not None and self._lags:
                # Who is far behind reads on before subscribing: meanwhile nobody would listen.
                yield from self._ask()
            yield from self._follow()
        except TimedOut:
            # What the end of the session cuts off goes on with the next one, at once; who never answers has failed.
            has_had_time = time.monotonic() - self._begun >= FAIR_SECONDS
            if not self._deadline.expired or (has_had_time and not self._has_got_on):
                raise
        yield from self._finish()

    @property
    def _lags(self) -> bool:
        """Whether the query has more, which was cut off."""
        return self._catch_up is not None and self._catch_up.has_more and not self._deadline.expired

    def _ask(self) -> Iterator[Batch]:
        """What the query has, where there is one."""
        if self._catch_up is not None and not self._deadline.expired:
            for batch in self._catch_up.run(self._deadline):
                self._has_got_on = True
                yield batch

    def _follow(self) -> Iterator[Batch]:
        """What the subscription brings, where there is one, over as many connections as it takes."""
        failure: OutsideError | None = None
        while self._graphql.subscription is not None and not self._deadline.expired:
            begun = time.monotonic()
            try:
                yield from self._subscribe()
            except HOPELESS:
                raise
            except OutsideError as error:
                failure = error
                self._failures = 1 if time.monotonic() - begun >= STEADY_SECONDS else self._failures + 1
                if self._failures >= TRIES:
                    raise
                yield from self._back_off()
        if failure and not self._has_listened:
            raise failure

    def _subscribe(self) -> Iterator[Batch]:
        """One connection: what it brings until the time is up. Errors: OutsideError, when it ends before."""
        begun = time.monotonic()
        ways = list_ways(self._graphql, self._memory.way)
        for way in ways:
            with make_feed(self._graphql, way) as feed:
                try:
                    feed.open(self._graphql.fill_subscription(self._memory.cursor), self._deadline)
                except OutsideError as error:
                    if way == ways[-1] or not is_elsewhere(error):
                        raise
                    continue
                self._memory.way = way
                yield Batch(connect_ms=round((time.monotonic() - begun) * 1000, 1))
                yield from self._ask()
                yield from self._listen(feed)
                return

    def _listen(self, feed: Feed) -> Iterator[Batch]:
        sweep = Deadline(SWEEP_SECONDS)
        while not self._deadline.expired:
            told = feed.receive(min(RECEIVE_SECONDS, self._deadline.remaining()))
            # It has brought something, or was silent for a moment: it is none that ends at once.
            self._has_listened = self._has_got_on = True
            if feed.strange:
                self._memory.tell_once("strange", STRANGE)
            if told:
                yield from self._take(told)
            elif self._memory.has_news:
                yield from self._hand([], [])
            else:
                yield Batch()
            if sweep.expired or self._lags:
                yield from self._ask()
                sweep = Deadline(SWEEP_SECONDS)

    def _take(self, told: Sequence[Told]) -> Iterator[Batch]:
        """Hand over what results say, in their order, with the cursor behind the last."""
        bodies, unread = self._read(told)
        *parts, last = cut_bodies(bodies)
        for part in parts:
            yield from self._hand(part, [], is_last=False)
        yield from self._hand(last, unread)

    def _read(self, told: Sequence[Told]) -> tuple[list[NamedBody], list[Message]]:
        """The items in results as bodies; and what stands for those that can't be read."""
        bodies: list[NamedBody] = []
        split = [split_result(self._graphql, each) for each in told]
        found = iter(self._reader.read([each.data for each in split if each.error is None]))
        unread = []
        for each, result in zip(told, split, strict=True):
            read = next(found) if result.error is None else result.error
            if result.remark and self._graphql.query_cursor is not None:
                # The query brings it whole, and would not if a part were stored by its name.
                self._seen.changed = True
                continue
            if result.remark:
                self._memory.tell_once("partial subscription", result.remark)
            if isinstance(read, str):
                unread.append(keep_unread(each, read))
                continue
            named = self._reader.name(read.items, each.lifted)
            self._reader.judge(read, named, self._memory)
            bodies += named
            if self._graphql.is_streaming and read.cursor is not None:
                self._memory.cursor = read.cursor
        return bodies, unread

    def _hand(self, part: list[NamedBody], unread: list[Message], *, is_last: bool = True) -> Iterator[Batch]:
        """Hand over a part; with the last one goes the state, which speaks of them all."""
        batch = Batch(decode_items(self._graphql, self._codec, part) + unread)
        if is_last and self._memory.has_news:
            batch.notes, batch.state = self._memory.take_notes(), self._memory.save()
        self._seen.add(part)
        yield from self.outbox.hand_over(batch, part)

    def _back_off(self) -> Iterator[Batch]:
        yield from back_off(PAUSES.pause(self._failures), self._deadline)
        yield from self._ask()

    def _finish(self) -> Iterator[Batch]:
        """Wait for the commits; ask once more where the subscription brought something, which moves the cursor on."""
        catch_up = self._catch_up
        if catch_up is not None and self._seen.changed:
            try:
                yield from catch_up.run(Deadline(FINISH_SECONDS))
            except OutsideError as error:
                words = "The query failed at the end of the session; the next one asks again."
                self._memory.note("warning", f"{words} {error.detail}")
        if self._memory.has_news:
            yield from self._hand([], [])
        yield from self.outbox.settle()
        yield Batch(
            more=self._graphql.subscription is not None or (catch_up is not None and catch_up.has_more)
        )
