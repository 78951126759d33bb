"""Fetching: what each broker has of the partitions it leads, asked of all at once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.protocol.fetch import FetchRequest

from shared.provider import OutsideError, ProtocolFailed
from shared.providers.kafka.cluster import Cluster
from shared.providers.kafka.records import Fetched, Record, Step, read_batches

FETCH_BYTES, LEAST_FETCH_BYTES = 1_048_576, 16_384
"""Of one answer, but that of record batches the first comes whole."""

WAIT_MS = 400
"""How long a broker that has nothing waits for something before it says so."""

COMMITTED = 1
"""The isolation level at which nothing of a transaction is read before it is committed."""

MOST_STUCK = 10
OUT_OF_RANGE = 1
ELSEWHERE = frozenset({3, 5, 6, 9, 56, 74, 75, 76, 78, 100, 103})
"""The partition is led by another broker, or will be in a moment: unknown, no leader, not the leader, fenced …"""


@dataclass(slots=True, eq=False)
class Partition:
    """One that is read: `position` is the offset of the record that is read next, `end` the one after the last."""

    topic: str
    number: int
    leader: int
    position: int
    end: int = 0
    device: str | None = None
    """What the topic names, where its pattern says so."""
    prefix: str = ""
    """What the event ids of its records begin with."""
    stuck: int = 0
    """How many answers in a row had nothing of it that is whole."""
    stamp: int | None = None
    """The timestamp of the record before `position`."""
    made_anew: int = 0
    is_unsure: bool = False
    """Whether it is to be seen yet that the record before `position` is that one still."""

    @property
    def asked_from(self) -> int:
        """The offset from which on it is asked for."""
        return self.position - self.is_unsure

    @property
    def lag(self) -> int:
        """How many records there are to read, as far as is known; some offsets may have none."""
        return max(0, self.end - self.position)


class Answer(NamedTuple):
    """What came of asking for a partition: what was fetched, or the number of what went wrong."""

    partition: Partition
    code: int
    fetched: Fetched


class Fetcher:
    """Keeps a question with each broker that leads some of `partitions`; used by the session's thread."""

    def __init__(self, cluster: Cluster) -> None:
        self.partitions: list[Partition] = []
        self.size = LEAST_FETCH_BYTES
        self._cluster = cluster
        self._asked: dict[int, asyncio.Task[list[Answer]]] = {}
        self._turns: Counter[int] = Counter()

    @property
    def brokers(self) -> int:
        """How many are asked at once."""
        return max(1, len({each.leader for each in self.partitions if each.leader >= 0}))

    def fetch(self, seconds: float) -> list[Answer]:
        """What has come of the questions, waiting so long at most for the first. Errors: OutsideError, of a broker."""
        return self._cluster.run(self._fetch(seconds))

    def forget(self) -> None:
        """What is under way is of no use: positions or leaders have changed."""
        for task in self._asked.values():
            task.cancel()
        self._asked.clear()

    async def _fetch(self, seconds: float) -> list[Answer]:
        for node, led in self._list_led().items():
            if node not in self._asked:
                self._asked[node] = asyncio.ensure_future(self._ask(node, led))
        if not self._asked:
            await asyncio.sleep(seconds)
            return []
        done, _ = await asyncio.wait(
            self._asked.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )
        ended = [node for node, task in self._asked.items() if task in done]
        answers: list[Answer] = []
        failure: OutsideError | None = None
        for node in ended:
            try:
                answers += self._asked.pop(node).result()
            except OutsideError as problem:
                failure = problem
        if failure and not answers:
            raise failure
        return answers

    def _list_led(self) -> dict[int, list[Partition]]:
        led: dict[int, list[Partition]] = defaultdict(list)
        for partition in self.partitions:
            if partition.leader >= 0:
                led[partition.leader].append(partition)
        return led

    async def _ask(self, node: int, led: Sequence[Partition]) -> list[Answer]:
        # Each time another one first: a broker fills its answer in the order of the question.
        self._turns[node] += 1
        begin, most = self._turns[node] % len(led), max(self.size // 2, LEAST_FETCH_BYTES)
        topics: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for each in (*led[begin:], *led[:begin]):
            topics[each.topic].append((each.number, each.asked_from, most))
        request = FetchRequest(WAIT_MS, 1, self.size, COMMITTED, list(topics.items()), "")
        known = {(each.topic, each.number): each for each in led}
        begun = time.monotonic()
        answers = await self._cluster.ask(node, request, lambda answer: list(read_answer(answer, known)))
        if not any(each.fetched.content for each in answers):
            # A broker that has nothing, or leads nothing any more, need not wait as it was asked to.
            await asyncio.sleep(max(0.0, WAIT_MS / 1000 - (time.monotonic() - begun)))
        return answers


def read_answer(answer: Any, known: dict[tuple[str, int], Partition]) -> Iterable[Answer]:
    """What a broker answers to a fetch of `known`, whose ends are known from then on."""
    for topic, places in answer.topics:
        for number, code, end, *more in places:
            partition = known.get((topic, number))
            if partition is None:
                raise ProtocolFailed("The broker answered for a partition that it was not asked for.")
            content, aborted = more[-1] or b"", ()
            if answer.API_VERSION >= 4:  # noqa: PLR2004 - from there on there are transactions
                # Behind them, in version 11, comes the replica to read from.
                aborted = more[-3 if answer.API_VERSION >= 11 else -2] or ()  # noqa: PLR2004
                end = more[0] if more[0] >= 0 else end  # noqa: PLW2901 - what is committed is all there is
            if code == 0:
                partition.end = end
            yield Answer(partition, code, Fetched(content, aborted))


def read_fetched(partition: Partition, fetched: Fetched) -> Iterator[Step]:
    """All that is whole; ProtocolFailed where that is nothing time and again, for it would be so for ever."""
    stuck, partition.stuck = partition.stuck, 0
    for step in read_batches(fetched, partition.position):
        stuck = -1
        yield step
    partition.stuck = stuck + 1
    if partition.stuck >= MOST_STUCK:
        raise ProtocolFailed(
            f"What the broker has of partition {partition.number} of {partition.topic} from offset "
            f"{partition.position:,} on is no whole record batch."
        )


def is_same(partition: Partition, fetched: Fetched) -> bool:
    """Whether what was fetched is of the partition that was read before: the record before its position says so.

    Its timestamp never changes. Where it is not there any more, as in a compacted topic, nothing says otherwise.
    """
    first = next(read_batches(fetched, partition.asked_from), None)
    if first is None:
        return True
    partition.is_unsure = False
    record = first.item
    is_known = isinstance(record, Record) and record.offset < partition.position
    return not is_known or record.timestamp == partition.stamp  # type: ignore[union-attr]


class Pause:
    """Not before a moment: what is asked for too often is asked for later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def is_over(self) -> bool:
        """Whether it may be done now; then the next is due after the pause."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True
