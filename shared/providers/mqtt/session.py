"""One polling session: receive into batches, acknowledge what was committed, keep the broker's session for the next.

The driver takes the yielded batches and commits them in order while the session goes on receiving. It sets
`Batch.committed`; the acknowledgements follow, in the order of arrival. Closing the generator drops the connection
without acknowledging anything more, so the broker sends the rest again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress

from shared.provider import (
    HOPELESS,
    Backoff,
    Batch,
    BrokerPlan,
    Deadline,
    OutsideError,
)
from shared.providers.mqtt.acknowledgements import Outbox
from shared.providers.mqtt.broker_queue import BrokerQueue
from shared.providers.mqtt.connection import Connection
from shared.providers.mqtt.login import open_connection
from shared.providers.mqtt.paho_client import Login
from shared.providers.mqtt.publish import Publish
from shared.providers.mqtt.reason_codes import ConnectionLost, TakenOver
from shared.providers.mqtt.redelivery import UNCOMMITTED_MESSAGES, count_forgotten
from shared.providers.mqtt.saved_state import Memory
from shared.providers.mqtt.subscriptions import settle_session

SIGN_OF_LIFE_SECONDS = 0.4
COMMIT_POLL_SECONDS = 0.002
CONNECT_SECONDS = 10.0
STEADY_SECONDS = 10.0
FINISH_SECONDS = 10.0
RENEW_SECONDS = 5.0
UNSETTLED_MESSAGES = 60_000
"""More than that may not be unsettled: packet ids, of which there are 65,535, begin anew then."""

TRIES = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 8.0

_HOPELESS = (*HOPELESS, TakenOver)


def run_session(plan: BrokerPlan, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """Poll `plan`'s broker until `deadline`; see Provider.session. `state` is what the last committed batch carried.

    Raises OutsideError: at once where trying again can't help, else after `TRIES` tries to connect.
    """
    session = _Session(plan, Memory(plan.key, state, knows_again=plan.knows_again), deadline)
    try:
        yield from session.run()
    finally:
        session.abort()
        session.outbox.close()


class _Session:
    def __init__(self, plan: BrokerPlan, memory: Memory, deadline: Deadline) -> None:
        self._plan = plan
        self._memory = memory
        self._deadline = deadline
        self.outbox = Outbox(plan, memory)
        self._connection: Connection | None = None
        self._connected_at = 0.0
        self._connect_ms: float | None = None
        self._received: deque[Publish] = deque()
        self._queue = BrokerQueue(memory, plan.queue_limits)
        self._yielded = time.monotonic()

    def run(self) -> Iterator[Batch]:
        tries = 0
        while not (self._deadline.expired and self._connection):
            try:
                yield from self._turn()
            except _HOPELESS:
                raise
            except OutsideError:
                steady = (
                    self._connection is not None and time.monotonic() - self._connected_at > STEADY_SECONDS
                )
                tries = 1 if steady else tries + 1
                self._collect_received()
                self.abort()
                # It may have been our successor who ended it: saving tells whether the lease still holds, before
                # a new connection ends the successor's.
                self._memory.changed = True
                if tries >= TRIES or self._deadline.expired:
                    raise
                yield from self._back_off(tries)
            yield from self._give_batches()
        yield from self._finish()

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    def _turn(self) -> Iterator[Batch]:
        if self._connection is None:
            begun = time.monotonic()
            yield from self._connect()
            self._connected_at = time.monotonic()
            self._connect_ms = round((self._connected_at - begun) * 1000, 1)
        else:
            self._receive(self._connection)

    def _connect(self) -> Iterator[Batch]:
        """Each step may take its time; the signs of life between them keep the lease."""
        connection, forgotten = self._open(), 0
        try:
            yield from self._give_batches()
            if connection.session_present and self._memory.exceeds_window:
                forgotten = self._search(connection)
                yield from self._give_batches()
                connection = self._open()
                yield from self._give_batches()
            has_subscribed = settle_session(connection, self._plan, self._memory)
        except BaseException:
            connection.abort()
            raise
        self._memory.begin_connection(connection.protocol, has_subscribed=has_subscribed, forgotten=forgotten)
        self._queue.begin(is_kept=connection.session_present)
        self._connection = connection

    def _open(self) -> Connection:
        plan = self._plan
        login = Login(plan.client_id, plan.expiry_seconds, UNCOMMITTED_MESSAGES, owner=plan.owner)
        timeout = min(CONNECT_SECONDS, self._deadline.remaining())
        return open_connection(self._plan, login, self._memory.protocol, timeout)

    def _search(self, connection: Connection) -> int:
        try:
            return count_forgotten(connection, self._memory)
        finally:
            connection.abort()

    def _back_off(self, tries: int) -> Iterator[Batch]:
        """Wait, twice as long with each try; what is received already goes on meanwhile."""
        wait = Deadline(Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS).pause(tries))
        while not (wait.expired or self._deadline.expired):
            yield from self._give_batches()
            time.sleep(min(0.05, wait.remaining()))

    def _receive(self, connection: Connection) -> None:
        outbox = self.outbox
        outbox.acknowledge(connection)
        if self._memory.unsettled >= UNSETTLED_MESSAGES:
            self._renew(connection)
            return
        if not outbox.find_room(self._received[0] if self._received else None):
            outbox.close_stale(is_dry=False)
            connection.attend(COMMIT_POLL_SECONDS)
            return
        if not self._received:
            self._read(connection)
        is_dry = not self._received
        while self._received and outbox.find_room(self._received[0]):
            outbox.collect(connection, self._received.popleft())
        outbox.acknowledge(connection)
        outbox.close_stale(is_dry=is_dry)

    def _renew(self, connection: Connection) -> None:
        """Have everything committed and acknowledged, and begin a new connection: the goodbye tells it is heard."""
        self._collect_received()
        self.outbox.close_batch()
        if self.outbox.has_outstanding:
            connection.attend(COMMIT_POLL_SECONDS)
            return
        self._connection = None
        if connection.close(RENEW_SECONDS):
            self.outbox.settle_goodbye()

    def _collect_received(self) -> None:
        """Take what was read from a connection that ends: of it, QoS 0 does not come again."""
        if self._connection is not None:
            while self._received:
                self.outbox.collect(self._connection, self._received.popleft())

    def _read(self, connection: Connection) -> None:
        begun = time.monotonic()
        self._received.extend(connection.receive(self._find_timeout()))
        is_idle = not (self.outbox.has_open or self.outbox.has_outstanding)
        self._queue.count(len(self._received), time.monotonic() - begun, is_idle=is_idle)

    def _find_timeout(self) -> float:
        if self.outbox.has_outstanding:
            return COMMIT_POLL_SECONDS
        return 0.0 if self.outbox.has_open else min(SIGN_OF_LIFE_SECONDS, self._deadline.remaining())

    def _give_batches(self) -> Iterator[Batch]:
        self.outbox.close_news()
        if time.monotonic() - self._yielded >= SIGN_OF_LIFE_SECONDS and not self.outbox.ready:
            self.outbox.ready.append(Batch())
        while self.outbox.ready:
            self._yielded = time.monotonic()
            batch = self.outbox.ready.popleft()
            batch.connect_ms, self._connect_ms = self._connect_ms, None
            yield batch

    def _finish(self) -> Iterator[Batch]:
        """Take nothing new, wait a bounded time for the commits, acknowledge them and say goodbye."""
        with suppress(ConnectionLost):
            # First, for what is committed already is no backlog.
            self._settle(0)
        self._note_backlog()
        self._collect_received()
        self.outbox.close_batch()
        yield from self._give_batches()
        patience = Deadline(FINISH_SECONDS)
        try:
            while self.outbox.has_outstanding and not patience.expired:
                self._settle(COMMIT_POLL_SECONDS)
                yield from self._give_batches()
            if self._connection is not None and self._connection.close():
                self.outbox.settle_goodbye()
                yield from self._give_batches()
        except ConnectionLost:
            # What is committed is safe, and comes again under its old id.
            return

    def _note_backlog(self) -> None:
        if not self._received and not self.outbox.is_full:
            self._memory.forget_told("backlog")
            return
        self._memory.tell_once(
            "backlog",
            "More messages were waiting at the broker when the session ended; the next session goes on with them. "
            "If this stays so, lengthen session_seconds or use the worker.",
        )

    def _settle(self, timeout: float) -> None:
        if self._connection is None:
            raise ConnectionLost
        self.outbox.acknowledge(self._connection)
        if self.outbox.has_outstanding:
            self._connection.attend(timeout)
