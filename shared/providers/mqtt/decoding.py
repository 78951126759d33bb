"""Decoding with a codec: batches on a thread of their own, in their order, while the session goes on receiving.

Whatever the codec does, the connection is attended meanwhile. A batch is handed on once it is decoded and those before
it are; what a codec asks to be published in answer follows the commit, as acknowledgements do.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from typing import Any, NamedTuple

from shared.provider import Backoff, Batch, Codec, CodedBody, Downlink, Message, Unavailable, read_bodies

MOST_ANSWERS = 100
"""Of one batch; a codec that asks for more is not heard."""

PAUSES = Backoff(0.1, 2.0)

OpenCodec = Callable[[Mapping[str, Any]], Codec]
Received = Message | CodedBody


class Decoded(NamedTuple):
    """What a batch came to, and what the codec remembers from then on."""

    messages: list[Message]
    answers: list[tuple[str, bytes]]
    state: dict[str, Any]


class Decoding:
    """Batches on their way through a codec. Used by the session's thread."""

    def __init__(self, open_codec: OpenCodec, state: Mapping[str, Any]) -> None:
        self.state = dict(state)
        """What the codec remembered after the batch that was handed on last."""
        self._open_codec = open_codec
        self._codec: Codec | None = None
        self._line: deque[tuple[Batch, list[tuple[str, bytes]], Future[Decoded] | None]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="codec")
        self._closing = threading.Event()

    def begin(self, batch: Batch, received: Sequence[Received], answers: list[tuple[str, bytes]]) -> None:
        """Decode what is to be the messages of `batch`; without anything received it only keeps its place."""
        future = self._thread.submit(self._decode, received) if received else None
        self._line.append((batch, answers, future))

    def take_decoded(self) -> Iterator[Batch]:
        """The batches that are ready, in order. Errors: InvalidConfig where there is no such codec."""
        while self._line and (self._line[0][2] is None or self._line[0][2].done()):
            batch, answers, future = self._line.popleft()
            if future is not None:
                decoded = future.result()
                batch.messages += decoded.messages
                answers += decoded.answers
                self.state = decoded.state
            if batch.state is not None and self.state:
                batch.state = {**batch.state, "codec": self.state}
            yield batch

    def close(self) -> None:
        """Decode no more; what is under way ends by itself, within the bounds of codecs."""
        self._closing.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _decode(self, received: Sequence[Received]) -> Decoded:
        for failures in count(1):
            try:
                self._codec = self._codec or self._open_codec(self.state)
                return self._read(self._codec, received)
            except Unavailable:
                # No child is free, or the database is away: nothing is lost by waiting, for nothing is acknowledged.
                if self._closing.wait(PAUSES.pause(failures)):
                    raise
        raise AssertionError("count never ends")

    @staticmethod
    def _read(codec: Codec, received: Sequence[Received]) -> Decoded:
        read = iter(read_bodies(codec, [each for each in received if isinstance(each, CodedBody)]))
        messages: list[Message] = []
        asked: list[Downlink] = []
        for each in received:
            if isinstance(each, Message):
                messages.append(each)
            else:
                said, downlinks = next(read)
                messages += said
                asked += downlinks
        answers = [(each.topic, each.body) for each in asked[:MOST_ANSWERS] if each.topic]
        return Decoded(messages, answers, codec.state)
