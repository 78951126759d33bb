"""The outbox of records: decoded by a codec where there is one, handed over with the offsets to go on from."""

from __future__ import annotations

from shared.provider import SMALL, Batch, Bounds, Codec, CodedBody, Message, Outbox, read_bodies, weigh_body
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.saved_state import Memory, SavedPlace

BOUNDS = Bounds(messages=6_000, size=16_000_000, batch_messages=2_000)
FETCHED_FACTOR = 4
"""What the bytes of a fetch may come to before each record is looked at: none is begun without memory for that."""


class RecordOutbox(Outbox):
    """Collects what was read to batches, and waits for their commits."""

    def __init__(self, plan: ReadPlan, memory: Memory) -> None:
        super().__init__(BOUNDS, plan.cluster.owner)
        self._plan = plan
        self._memory = memory
        self._codec: Codec | None = None
        self._received: list[Message | CodedBody] = []
        self._fetched = 0

    def has_room(self, coming: int = 0) -> bool:
        """Whether more may be read, of which a fetch of so many bytes is `coming`; see `Outbox.has_room`."""
        return super().has_room(max(FETCHED_FACTOR * coming, self._fetched))

    def note_fetched(self, size: int) -> None:
        """So many bytes are there to be read: a broker may give more than it was asked for."""
        self._fetched = size
        if size > SMALL:
            self._holding.hold(max(self._holding.size, self.weight + size))

    def collect(self, received: Message | CodedBody, body: bytes | None) -> None:
        """Put what was read of `body` into the open batch."""
        self._received.append(received)
        body = body or b""
        self.add(len(body), weigh_body(body))

    def make_batch(self, parts: dict[str, dict[str, SavedPlace]], lag: int) -> Batch:
        """The open batch, with the state as of its last record. Errors: InvalidConfig, Unavailable, of a codec."""
        messages = self._decode(self._received)
        state = self._memory.save(self._plan.topics, parts, lag)
        self._received = []
        return self.hand(Batch(messages, state, self._memory.take_notes()))

    def _decode(self, received: list[Message | CodedBody]) -> list[Message]:
        coded = [each for each in received if isinstance(each, CodedBody)]
        if not coded or self._plan.open_codec is None:
            return [each for each in received if isinstance(each, Message)]
        self._codec = self._codec or self._plan.open_codec(self._memory.codec_state)
        read = iter(read_bodies(self._codec, coded))
        messages: list[Message] = []
        for each in received:
            messages += [each] if isinstance(each, Message) else next(read)[0]
        self._memory.codec_state = dict(self._codec.state)
        return messages
