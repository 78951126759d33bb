"""Publish: events produced to a topic with the device as their key, so that those of one device stay in order.

Idempotently: within one call a broker takes each record once, however often it has to be sent. A call after a crash may
repeat what was on its way; the header `event_id` is the same then.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from aiokafka.partitioner import murmur2
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from shared.provider import (
    AddressBlocked,
    Backoff,
    CredentialsRefused,
    Deadline,
    Event,
    OutsideError,
    Problem,
    ProviderRefused,
    PublishOutcome,
    TlsFailed,
    describe_event,
)
from shared.providers.kafka.cluster import Cluster
from shared.providers.kafka.failures import INVALID_RECORD, explain_code, explain_failure
from shared.providers.kafka.fetching import ELSEWHERE
from shared.providers.kafka.plan import ClusterPlan

BATCH_BYTES, BATCH_EVENTS = 262_144, 10_000
ACK_MS = 8_000
PAUSES = Backoff(0.1, 2.0)
ALL_REPLICAS = -1
MAGIC = 2
DUPLICATE = 46
"""The broker has the batch already: its acknowledgement was lost."""

PASSING = ELSEWHERE | {7, 13, 14, 15, 16, 19, 20, 51, 89}
"""What another try in a moment may mend: no leader, timed out, too few replicas, throttled …"""

UNFIT = frozenset({10, 18, INVALID_RECORD})
"""A batch of which the broker takes nothing, be it for one event: it is too large, or one has no key."""

Headers = list[tuple[str, bytes | None]]


class Producer(NamedTuple):
    """Who the brokers know us as, for which they count batches; -1 where they can't."""

    id: int
    epoch: int


def produce_events(
    plan: ClusterPlan, topic: str, source: str, events: Sequence[Event], deadline: Deadline
) -> Iterator[PublishOutcome]:
    """An outcome for each event, as soon as its batch is acknowledged by all replicas; the reference is its place."""
    with Cluster(plan) as cluster:
        production = _Production(cluster, topic, source, deadline)
        lines = production.begin(events)
        while lines and not deadline.expired:
            heads = [(number, line) for number, line in lines.items()]
            yield from production.send(heads)
            lines = {number: line for number, line in lines.items() if line}


class _Production:
    """One call. Of each partition one batch at a time is on its way, so that order is kept."""

    def __init__(self, cluster: Cluster, topic: str, source: str, deadline: Deadline) -> None:
        self._cluster = cluster
        self._topic = topic
        self._source = source
        self._deadline = deadline
        self._leaders: dict[int, int] = {}
        self._sent: dict[int, int] = defaultdict(int)
        self._most: dict[int, int] = defaultdict(lambda: BATCH_EVENTS)
        self._producer = Producer(-1, -1)

    def begin(self, events: Sequence[Event]) -> dict[int, deque[Event]]:
        """Find the partitions, and which of them each event goes to: the one that its key means everywhere."""
        self._cluster.run(self._look())
        self._producer = self._cluster.run(self._introduce())
        numbers = sorted(self._leaders)
        lines: dict[int, deque[Event]] = defaultdict(deque)
        for event in events:
            key = _make_key(event)
            place = (murmur2(key) & 0x7FFFFFFF) % len(numbers) if key else random.randrange(len(numbers))  # noqa: S311
            lines[numbers[place]].append(event)
        return lines

    def send(self, heads: Sequence[tuple[int, deque[Event]]]) -> list[PublishOutcome]:
        """The next batch of each partition, side by side."""
        seconds = self._deadline.remaining() + 1.0
        outcomes = self._cluster.run(self._send_all(heads), seconds)
        return [outcome for each in outcomes for outcome in each]

    async def _send_all(self, heads: Sequence[tuple[int, deque[Event]]]) -> list[list[PublishOutcome]]:
        return list(await asyncio.gather(*(self._send_next(number, line) for number, line in heads)))

    async def _send_next(self, number: int, line: deque[Event]) -> list[PublishOutcome]:
        batch, events = self._build(number, line)
        try:
            offset = await self._deliver(number, batch)
        except _Unfit as unfit:
            if len(events) > 1:
                # One of them may be what it is about, or they are too much together: half of them is tried next.
                self._most[number] = len(events) // 2
                line.extendleft(reversed(events))
                return []
            return [PublishOutcome(events[0].id, problem=unfit.problem)]
        except Problem as problem:
            if not problem.is_final:
                # What follows would overtake it.
                line.clear()
            return [PublishOutcome(event.id, problem=problem) for event in events]
        self._sent[number] += len(events)
        return [
            PublishOutcome(
                event.id, reference=f"{self._topic}/{number}/{offset + place if offset >= 0 else ''}"
            )
            for place, event in enumerate(events)
        ]

    async def _deliver(self, number: int, batch: bytes) -> int:
        """The offset that the broker gave its first record, -1 where it does not say."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._deadline.remaining() + 0.5):
                    return await self._try(number, batch)
            except TimeoutError as error:
                raise explain_failure(error) from None
            except _Passing as passing:
                failures += 1
                pause = PAUSES.pause(failures)
                if pause >= self._deadline.remaining():
                    raise passing.problem from None
                await asyncio.sleep(pause)
                await self._look_again()

    async def _try(self, number: int, batch: bytes) -> int:
        question = ProduceRequest(None, ALL_REPLICAS, ACK_MS, [(self._topic, [(number, batch)])])
        try:
            code, offset = await self._cluster.ask(self._leaders.get(number, -1), question, _read_answer)
        except (AddressBlocked, CredentialsRefused, TlsFailed):
            raise
        except OutsideError as problem:
            raise _Passing(problem) from None
        if code in PASSING:
            raise _Passing(explain_code(code))
        if code in UNFIT:
            raise _Unfit(explain_code(code))
        if code not in {0, DUPLICATE}:
            raise explain_code(code)
        return offset

    def _build(self, number: int, line: deque[Event]) -> tuple[bytes, list[Event]]:
        """As many events as a batch has room for, in their order."""
        sequence = self._sent[number] if self._producer.id >= 0 else -1
        builder = DefaultRecordBatchBuilder(MAGIC, 0, 0, *self._producer, sequence, BATCH_BYTES)
        events: list[Event] = []
        now = int(time.time() * 1000)
        while line and len(events) < self._most[number]:
            event = line[0]
            value = orjson.dumps(describe_event(event))
            if builder.append(len(events), now, _make_key(event), value, self._make_headers(event)) is None:
                break
            events.append(line.popleft())
        return bytes(builder.build()), events

    def _make_headers(self, event: Event) -> Headers:
        """Its id, and it as a CloudEvent (Kafka protocol binding 1.0, binary mode)."""
        source = f"{self._source}{event.integration.integration_id}"
        attributes = {
            "event_id": event.id,
            "ce_specversion": "1.0",
            "ce_id": event.id,
            "ce_source": source,
            "ce_type": event.type,
            "ce_time": datetime.fromisoformat(event.at).isoformat(),
            "content-type": "application/json",
        }
        return [(name, value.encode()) for name, value in attributes.items()]

    async def _introduce(self) -> Producer:
        # Any broker tells; a partition may have no leader just now.
        node = max(self._leaders.values())
        return await self._cluster.ask(node, InitProducerIdRequest(None, 60_000), _read_producer)

    async def _look(self) -> None:
        listing = await self._cluster.list_partitions([self._topic])
        if code := listing.refused.get(self._topic):
            problem = explain_code(code)
            raise type(problem)(f"Nothing can be produced to the topic {self._topic}: {problem.detail}")
        if not listing.partitions:
            raise ProviderRefused(f"The topic {self._topic} has no partitions.", answered=503)
        self._leaders = {place.number: place.leader for place in listing.partitions}

    async def _look_again(self) -> None:
        try:
            await self._look()
        except OutsideError:
            # What is asked next fails too, and says why.
            return


class _Refused(Exception):  # noqa: N818 - what passes is none
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class _Passing(_Refused):
    """What another try may mend."""


class _Unfit(_Refused):
    """What fewer events may mend."""


def _make_key(event: Event) -> bytes | None:
    return event.device.external_id.encode() if event.device else None


def _read_producer(answer: Any) -> Producer:
    return Producer(answer.producer_id, answer.producer_epoch) if not answer.error_code else Producer(-1, -1)


def _read_answer(answer: Any) -> tuple[int, int]:
    for _, places in answer.topics:
        for _, code, offset, *_ in places:
            return code, offset
    return 7, -1
