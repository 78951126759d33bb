"""Acknowledgements: batches on their way to being committed, and the PUBACKs that follow them in order."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field, replace

from shared.provider import SMALL, Batch, BrokerPlan, Message, Note, load_budget, weigh_body
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.decoding import Decoding, Received
from shared.providers.mqtt.publish import Publish
from shared.providers.mqtt.redelivery import ASK_FROM, BATCH_MESSAGES, UNCOMMITTED_MESSAGES
from shared.providers.mqtt.saved_state import Memory

BATCH_BYTES = 2_000_000
BATCH_COPIES = 100
"""Of retained messages: the database looks for each among those that came before on its topic, for some 10 ms."""

BATCH_SECONDS = 0.2
UNCOMMITTED_BYTES = 16_000_000
STEP = 262_144
"""Memory is taken in so many bytes, not for each message."""


@dataclass(slots=True)
class _Part:
    """A batch with what to acknowledge and to answer once it is committed, and the connection it came on."""

    connection: Connection
    batch: Batch = field(default_factory=Batch)
    received: list[Received] = field(default_factory=list)
    """What a codec is to decode; without one, messages stand in the batch at once."""
    packet_ids: list[int] = field(default_factory=list)
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    count: int = 0
    named: int = 0
    copies: int = 0
    latest: int = 0
    size: int = 0
    weight: int = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more goes into it."""
        return self.count >= BATCH_MESSAGES or self.copies >= BATCH_COPIES or self.size >= BATCH_BYTES


class Outbox:
    """Collects messages to batches, and tells `memory` what the broker has heard of their acknowledgements."""

    def __init__(self, plan: BrokerPlan, memory: Memory) -> None:
        self.ready: deque[Batch] = deque()
        self._plan = plan
        self._decoding = Decoding(plan.open_codec, memory.codec_state) if plan.open_codec else None
        self._find_answer = None if self._decoding else plan.decoder.find_reply
        self._memory = memory
        self._open: _Part | None = None
        self._outstanding: deque[_Part] = deque()
        self._settling: deque[tuple[int, int, int]] = deque()
        self._unasked = self._latest = 0
        self._live: Connection | None = None
        self._count = 0
        self._size = 0
        self._weight = 0
        self._holding = load_budget().open(plan.owner)

    def close(self) -> None:
        """Decode no more, and give back what memory it holds."""
        if self._decoding:
            self._decoding.close()
        self._holding.close()

    @property
    def is_full(self) -> bool:
        """Whether so much is uncommitted that nothing more may be taken."""
        return self._count >= UNCOMMITTED_MESSAGES or self._size >= UNCOMMITTED_BYTES

    def find_room(self, publish: Publish | None) -> bool:
        """Whether `publish`, or anything at all, may be collected: it is not full, and there is memory, which it takes.

        It waits for none, for what is held meanwhile gets committed; and what has arrived is not decoded before.
        """
        if self.is_full:
            return False
        weight = self._weight + (weigh_body(publish.body) if publish else 0)
        if weight <= SMALL or weight <= self._holding.size:
            return True
        wanted = -(-weight // STEP) * STEP
        has_room = self._holding.has_room(wanted)
        if has_room:
            self._holding.hold(wanted)
        return has_room

    @property
    def has_open(self) -> bool:
        """Whether messages wait for their batch to be closed."""
        return self._open is not None

    @property
    def has_outstanding(self) -> bool:
        """Whether batches wait to be committed."""
        return bool(self._outstanding)

    def collect(self, connection: Connection, publish: Publish) -> None:
        """Put what was published into the open batch; a full one is closed."""
        if self._open is not None and self._open.connection is not connection:
            self.close_batch()
        part = self._open = self._open or _Part(connection)
        message = self._read(publish)
        if publish.qos:
            part.packet_ids.append(publish.packet_id)
            part.named += not self._memory.was_copy
        if message is not None:
            (part.received if self._decoding else part.batch.messages).append(message)  # type: ignore[arg-type]
            part.batch.received_bytes += publish.size
            self._find_reply(part, publish)
        part.count += 1
        part.copies += self._memory.was_copy
        part.size += len(publish.body)
        part.weight += (weight := weigh_body(publish.body))
        self._count += 1
        self._size += len(publish.body)
        self._weight += weight
        if part.is_full:
            self.close_batch()

    def close_stale(self, *, is_dry: bool) -> None:
        """Close the open batch once it is old enough, or once nothing more comes and no commit is under way.

        So batches grow while the database is busy and stay small, thus quick, while it is not.
        """
        part = self._open
        if part and ((is_dry and not self._outstanding) or time.monotonic() - part.begun >= BATCH_SECONDS):
            self.close_batch()

    def close_batch(self) -> None:
        """Make the open batch ready, with the state as of its last message."""
        part, self._open = self._open, None
        if part is None:
            return
        part.latest = self._memory.window.latest
        self._outstanding.append(part)
        if part.batch.messages or part.received:
            part.batch.state = self._memory.save()
            part.batch.notes = self.take_notes()
            self._hand_on(part.batch, part)
        else:
            part.batch.committed = True

    def close_news(self) -> None:
        """Make a batch ready where there is something to save or tell; never ahead of the messages it speaks of."""
        if self._memory.has_news:
            if self._open is not None and (self._open.batch.messages or self._open.received):
                self.close_batch()
            else:
                self._hand_on(Batch(state=self._memory.save(), notes=self.take_notes()))
        if self._decoding:
            self.ready.extend(self._decoding.take_decoded())

    def acknowledge(self, live: Connection) -> None:
        """Acknowledge, in order, what is committed. What came on a connection that is gone, the broker sends again."""
        self._settle(live)
        while self._outstanding and self._outstanding[0].batch.committed:
            part = self._outstanding.popleft()
            self._count -= part.count
            self._size -= part.size
            self._weight -= part.weight
            if part.connection is live:
                live.acknowledge(part.packet_ids)
                for topic, body in part.replies:
                    live.publish(topic, body)
                self._unasked += part.named
                self._latest = max(self._latest, part.latest if part.named else 0)
                if self._memory.unsettled >= ASK_FROM:
                    self._ask(live)
        if self._unasked and not self._settling:
            self._ask(live)
        if self._holding.size - self._weight > STEP or not self._weight:
            self._holding.hold(-(-self._weight // STEP) * STEP)

    def settle_goodbye(self) -> None:
        """The broker has heard all that was sent on the connection, which has ended.

        What was not acknowledged on it comes again: what is committed later, or came on another that was lost.
        """
        count = self._unasked + sum(count for count, _, _ in self._settling)
        self._unasked = 0
        self._settling.clear()
        self._memory.changed |= self._memory.settle(count, self._latest)

    def _ask(self, live: Connection) -> None:
        self._settling.append((self._unasked, self._latest, live.ask_settled()))
        self._unasked = 0

    def _settle(self, live: Connection) -> None:
        if live is not self._live:
            self._live, self._unasked, self._latest = live, 0, 0
            self._settling.clear()
        while self._settling and live.settled >= self._settling[0][2]:
            count, place, _ = self._settling.popleft()
            self._memory.settle(count, place)

    def take_notes(self) -> list[Note]:
        """The session's notes and the decoder's."""
        return self._memory.take_notes() + [Note("warning", text) for text in self._plan.decoder.take_notes()]

    def _hand_on(self, batch: Batch, part: _Part | None = None) -> None:
        if self._decoding:
            received, replies = (part.received, part.replies) if part else ([], [])
            self._decoding.begin(batch, received, replies)
        else:
            self.ready.append(batch)

    def _read(self, publish: Publish) -> Received | None:
        event_id, decoder = self._memory.name_publish(publish), self._plan.decoder
        if publish.size > len(publish.body):
            return decoder.refuse(publish.topic, publish.body, publish.size, event_id)
        if self._decoding:
            return self._mark(decoder.prepare(publish.topic, publish.body, event_id), publish.trace)
        return self._mark(decoder.decode(publish.topic, publish.body, event_id), publish.trace)

    def _mark(self, received: Received | None, trace: str | None) -> Received | None:
        """Say of what was received that it is a copy, and what trace it brought."""
        if received is None or not (self._memory.was_copy or trace):
            return received
        known = received if isinstance(received, Message) else received.known
        metadata = {**(known.metadata or {}), "traceparent": trace} if trace else known.metadata
        known = replace(known, retained=self._memory.was_copy, metadata=metadata)
        return known if isinstance(received, Message) else replace(received, known=known)

    def _find_reply(self, part: _Part, publish: Publish) -> None:
        reply = self._find_answer(publish.topic, publish.body) if self._find_answer else None
        if reply:
            part.replies.append(reply)
