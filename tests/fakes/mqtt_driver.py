"""Drives a provider's session as the platform does, with a ledger in memory in place of the database."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import takewhile
from typing import Any, cast

from shared.provider import Batch, Identity, Message, Note, Poller, load_provider, require
from shared.providers.mqtt import Mqtt
from shared.runtime.deadline import Deadline

INTEGRATION = "3f0b7a52-0f5e-4f43-9c55-0d3f1c2a9b11"
SECONDS = 60.0


def make_provider(port: int, **config: Any) -> Mqtt:
    """An mqtt integration of the broker on `port`."""
    settings = {"broker_url": "mqtt://127.0.0.1", "port": port, "topics": "devices/+/telemetry"}
    return require(load_provider(settings | config, Identity("organization", INTEGRATION, "mqtt")), Mqtt)


class Ledger:
    """What a database remembers: each event id once, and the state of the last commit."""

    def __init__(self) -> None:
        self.stored: dict[str, Message] = {}
        self.received = 0
        self.state: dict[str, Any] = {}
        self.notes: list[Note] = []
        self.connections = 0
        self.largest = 0
        """How many messages the largest batch held."""

    @property
    def duplicates(self) -> int:
        """How often a message came whose event id was stored already."""
        return self.received - len(self.stored)

    def commit(self, batch: Batch) -> None:
        """Store the batch with its state, in one transaction."""
        for message in batch.messages:
            self.stored.setdefault(message.event_id, message)
        self.received += len(batch.messages)
        self.largest = max(self.largest, len(batch.messages))
        self.notes += batch.notes
        self.connections += batch.connect_ms is not None
        if batch.state is not None:
            self.state = dict(batch.state)
        batch.committed = True

    def commit_all(self, batches: list[Batch]) -> None:
        """Commit batches in their order."""
        for batch in batches:
            self.commit(batch)

    def open_session(self, provider: Poller, deadline: Deadline | None = None) -> closing[Any]:
        """The session, to be driven by hand."""
        return closing(cast("Any", provider.session(self.state, deadline or Deadline(SECONDS))))

    def run(self, provider: Poller, count: int = 0) -> None:
        """A session that commits at once and ends politely once `count` messages are stored, or has subscribed."""
        deadline = Deadline(SECONDS)
        with self.open_session(provider, deadline) as session:
            for batch in session:
                self.commit(batch)
                if len(self.stored) >= count:
                    deadline.shorten(0)
        assert len(self.stored) >= count, f"{len(self.stored)} of {count} messages came"

    def run_until(self, provider: Poller, count: int) -> None:
        """A session that commits at once and is killed, with no goodbye, when `count` messages or no more have come."""
        stop = self.received + count
        with self.open_session(provider) as session:
            for batch in session:
                self.commit(batch)
                if self.received >= stop or batch == Batch(committed=True):
                    return

    def run_unheard(self, provider: Poller, seconds: float) -> None:
        """A session that commits only after all of `seconds`, and is killed before the broker hears of it."""
        ends = time.monotonic() + seconds
        with self.open_session(provider) as session:
            self.commit_all([*takewhile(lambda _: time.monotonic() < ends, session)])

    def watch(self, provider: Poller, seconds: float) -> None:
        """A session that commits at once and lasts all of `seconds`."""
        with self.open_session(provider, Deadline(seconds)) as session:
            for batch in session:
                self.commit(batch)

    def hear_out(self, provider: Poller, quiet: float = 1.0) -> None:
        """A session that commits at once and ends once it has subscribed and nothing has come for so many seconds."""
        deadline, last = Deadline(SECONDS), float("inf")
        with self.open_session(provider, deadline) as session:
            for batch in session:
                self.commit(batch)
                if batch.messages or last == float("inf"):
                    last = time.monotonic()
                if time.monotonic() - last >= quiet:
                    deadline.shorten(0)

    def run_slowly(self, provider: Poller, count: int, seconds_per_batch: float) -> None:
        """As `run`, committing on another thread that takes its time, while the session goes on receiving."""
        deadline = Deadline(SECONDS)
        waiting: deque[Batch | None] = deque()
        writer = threading.Thread(target=self._write_all, args=(waiting, seconds_per_batch))
        writer.start()
        try:
            with self.open_session(provider, deadline) as session:
                for batch in session:
                    waiting.append(batch)
                    if len(self.stored) >= count:
                        deadline.shorten(0)
        finally:
            waiting.append(None)
            writer.join()

    def _write_all(self, waiting: deque[Batch | None], seconds_per_batch: float) -> None:
        while True:
            if not waiting:
                time.sleep(0.001)
                continue
            batch = waiting.popleft()
            if batch is None:
                return
            if batch.messages:
                time.sleep(seconds_per_batch)
            self.commit(batch)


def take_batches(session: Iterator[Batch], is_enough: Callable[[list[Batch]], bool]) -> list[Batch]:
    """The batches of a session driven by hand, uncommitted, until there is enough of them."""
    batches: list[Batch] = []
    while not is_enough(batches):
        batches.append(next(session))
    return batches


def count_messages(batches: list[Batch]) -> int:
    """How many messages the batches hold."""
    return sum(len(batch.messages) for batch in batches)
