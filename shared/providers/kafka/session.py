"""One polling session: what the partitions have, each batch with the offsets to go on from, in one transaction.

No consumer group: where a partition is read on from stands in our own database, so nothing is acknowledged to the
cluster. Whatever ends a session, the next one goes on behind what is committed: each record is stored once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping

from shared.provider import (
    HOPELESS,
    Backoff,
    Batch,
    Deadline,
    OutsideError,
    back_off,
    wait_for_codec,
)
from shared.providers.kafka.cluster import Cluster
from shared.providers.kafka.failures import explain_code
from shared.providers.kafka.fetching import (
    ELSEWHERE,
    FETCH_BYTES,
    LEAST_FETCH_BYTES,
    OUT_OF_RANGE,
    Answer,
    Fetcher,
    Partition,
    Pause,
    is_same,
    read_fetched,
)
from shared.providers.kafka.outbox import RecordOutbox
from shared.providers.kafka.placing import ClusterChanged, Places
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.reading import RecordReader
from shared.providers.kafka.records import Record, Step
from shared.providers.kafka.saved_state import Memory

FETCH_SECONDS = 0.5
READ_SECONDS = 1.0
COMMIT_POLL_SECONDS = 0.002
LOOK_SECONDS = 30.0
"""How often new topics and partitions are looked for."""

MOVED_SECONDS = 0.5
TRIES = 5
PAUSES = Backoff(0.3, 4.0)

_HOPELESS = (*HOPELESS, ClusterChanged)


def run_session(plan: ReadPlan, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """Read `plan`'s topics until `deadline`; see Provider.session. `state` is what the last committed batch carried.

    Raises OutsideError: at once where trying again can't help, else after `TRIES` failures in a row.
    """
    with Cluster(plan.cluster) as cluster:
        session = _Session(plan, Memory(state), cluster, deadline)
        try:
            yield from session.run()
        finally:
            session.outbox.close()


class _Session:
    def __init__(self, plan: ReadPlan, memory: Memory, cluster: Cluster, deadline: Deadline) -> None:
        self.outbox = RecordOutbox(plan, memory)
        self._plan = plan
        self._memory = memory
        self._deadline = deadline
        self._places = Places(plan, memory, cluster)
        self._fetcher = Fetcher(cluster)
        self._reader = RecordReader(plan)
        self._pending: deque[tuple[Partition, Iterator[Step]]] = deque()
        self._looks, self._moves = Pause(LOOK_SECONDS), Pause(MOVED_SECONDS)
        self._is_moved = False
        self._failures = 0

    def run(self) -> Iterator[Batch]:
        begun = time.monotonic()
        self._look()
        first = self._make_batch()
        first.connect_ms = round((time.monotonic() - begun) * 1000, 1)
        yield first
        if self._plan.is_to_place:
            yield from self.outbox.settle()
            yield Batch(more=True)
            return
        while not self._deadline.expired:
            try:
                yield from self._turn()
            except _HOPELESS:
                raise
            except OutsideError:
                # What was fetched is read again from the last record that was taken: of it, none is passed over.
                self._pending.clear()
                self._failures += 1
                if self._failures >= TRIES:
                    raise
                yield from self._back_off()
        yield from self._finish()

    def _turn(self) -> Iterator[Batch]:
        """Read what was fetched; where that is nothing, fetch. Each yields something, which keeps the lease."""
        if not self._find_room():
            if self.outbox.count and not self.outbox.has_handed:
                # Nothing else would give back what it holds.
                yield from self._close_batch()
            else:
                yield from self.outbox.wait_a_moment()
            return
        if self._pending:
            self._read_pending()
        else:
            self._fetch()
        is_dry = not self._pending and not self.outbox.has_handed
        if self.outbox.is_due or (self.outbox.count and is_dry):
            yield from self._close_batch()
        elif not self.outbox.count and (
            self._memory.has_news or (self._memory.lag and is_dry and not self._lag)
        ):
            yield self._make_batch()
        else:
            yield Batch()

    def _find_room(self) -> bool:
        """Ask for more each time while there is more, and for little where there is none, or no memory for it."""
        most = min(FETCH_BYTES, self._fetcher.size * 4) if self._lag else LEAST_FETCH_BYTES
        brokers = self._fetcher.brokers
        self._fetcher.size = most if self.outbox.has_room(most * brokers) else LEAST_FETCH_BYTES
        return self.outbox.has_room(self._fetcher.size * brokers)

    def _fetch(self) -> None:
        if self._looks.is_over() or (self._is_moved and self._moves.is_over()):
            self._look()
        wait = COMMIT_POLL_SECONDS if self.outbox.has_handed or self.outbox.count else FETCH_SECONDS
        answers = self._fetcher.fetch(min(wait, self._deadline.remaining()))
        self.outbox.note_fetched(sum(len(answer.fetched.content) for answer in answers))
        for answer in answers:
            self._heed(answer)
        self._failures = self._failures if self._pending else 0

    def _look(self) -> None:
        self._places.look()
        self._is_moved = any(partition.leader < 0 for partition in self._places.partitions)
        self._fetcher.forget()
        self._fetcher.partitions = self._places.partitions

    def _heed(self, answer: Answer) -> None:
        if answer.code == OUT_OF_RANGE:
            self._places.replace(answer.partition)
        elif answer.code in ELSEWHERE:
            self._is_moved = True
            answer.partition.is_unsure = answer.partition.stamp is not None
        elif answer.code:
            raise explain_code(answer.code)
        elif answer.fetched.content:
            if answer.partition.is_unsure and not is_same(answer.partition, answer.fetched):
                self._places.renew(answer.partition)
                return
            self._pending.append((answer.partition, read_fetched(answer.partition, answer.fetched)))

    def _read_pending(self) -> None:
        """Collect from what was fetched until the batch is full, or it takes long: a registry may, for each record."""
        ends = time.monotonic() + READ_SECONDS
        while self._pending and not self.outbox.is_full:
            partition, steps = self._pending[0]
            for item, next_offset in steps:
                if isinstance(item, Record):
                    received = self._reader.read(partition, item)
                    partition.stamp = item.timestamp
                    if received is not None:
                        self.outbox.collect(received, item.value)
                elif partition.position != next_offset:
                    partition.stamp = None
                    if item is not None:
                        self.outbox.collect(self._reader.keep(partition, item), item.content)
                partition.position = next_offset
                if self.outbox.is_full or time.monotonic() > ends:
                    return
            self._pending.popleft()
        if not self._pending:
            self.outbox.note_fetched(0)
        self._failures = 0

    def _close_batch(self) -> Iterator[Batch]:
        yield from wait_for_codec(self._make_batch, self._deadline)

    def _make_batch(self) -> Batch:
        return self.outbox.make_batch(self._places.save_parts(), self._lag)

    @property
    def _lag(self) -> int:
        return sum(partition.lag for partition in self._places.partitions)

    def _back_off(self) -> Iterator[Batch]:
        """Wait, twice as long with each failure, and look anew at who leads what."""
        yield from back_off(PAUSES.pause(self._failures), self._deadline)
        self._is_moved = True
        self._fetcher.forget()

    def _finish(self) -> Iterator[Batch]:
        """Hand over what is read, and wait a bounded time for the commits."""
        is_behind = self._memory.note_backlog(self._lag)
        if self.outbox.count or self._memory.has_news:
            yield from self._close_batch()
        yield from self.outbox.settle()
        yield Batch(more=is_behind)
