"""One polling session: receive into batches, acknowledge what was committed, keep the broker's session for the next.

The driver takes the yielded batches and commits them in order while the session goes on receiving. It sets
`Batch.committed`; the acknowledgements follow, in the order of arrival. Closing the generator drops the connection
without acknowledging anything more, so the broker sends the rest again.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.deadline import Deadline
from shared.errors import CredentialsRefused, OutsideError, TimedOut, TlsFailed
from shared.messages import Message
from shared.mqtt.client import (
    MQTT_3,
    MQTT_5,
    Broker,
    Connection,
    ConnectionLost,
    Login,
    ProtocolUnsupported,
    TakenOver,
)
from shared.mqtt.reasons import REFUSED_FROM, explain_filter
from shared.mqtt.stream import Publish
from shared.mqtt.window import Window
from shared.provider import Batch, Note

BATCH_MESSAGES = 500
BATCH_BYTES = 2_000_000
BATCH_SECONDS = 0.2
UNCOMMITTED_MESSAGES = 1_500
UNCOMMITTED_BYTES = 16_000_000
RECEIVE_MAXIMUM = 1_000
QUEUE_LIMITS = frozenset((100, 1_000, 10_000))
SIGN_OF_LIFE_SECONDS = 0.4
COMMIT_POLL_SECONDS = 0.002
CONNECT_SECONDS = 10.0
FIRST_ANSWER_SECONDS = 2.0
ANSWER_SECONDS = 10.0
FINISH_SECONDS = 10.0
TRIES = 5


class Decoder(Protocol):
    """Turns what was published into messages; `shared.dialects.Decoder` is one."""

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """The message, or None for what is acknowledged and forgotten."""

    def refuse(self, topic: str, excerpt: bytes, size: int, event_id: str) -> Message | None:
        """The message that stands for a body too large to keep."""

    def take_notes(self) -> list[str]:
        """Warnings since the last call."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one integration wants of its broker. `find_reply` may answer a message after its commit."""

    broker: Broker
    client_id: str
    filters: tuple[str, ...]
    decoder: Decoder
    qos: int = 1
    protocols: tuple[int, ...] = (MQTT_5, MQTT_3)
    expiry_seconds: int = 604_800
    find_reply: Callable[[str, bytes], tuple[str, bytes] | None] | None = None


def run_session(plan: Plan, state: Mapping[str, Any], deadline: Deadline) -> Iterator[Batch]:
    """Poll `plan`'s broker until `deadline`; see Provider.session. `state` is what the last committed batch carried."""
    session = _Session(plan, state, deadline)
    try:
        yield from session.run()
    finally:
        session.abort()


def open_connection(plan: Plan, login: Login, protocol: int | None, timeout: float) -> Connection:
    """Connect with the version known to work, or with each of the plan's in turn. OutsideError says what failed.

    A broker that does not know MQTT 5 may refuse it, close, or (amqtt) wait for the rest of a packet it misreads;
    so while nothing is known, silence on the first version is taken as "not known".
    """
    versions = (protocol,) if protocol in plan.protocols else plan.protocols
    ends = time.monotonic() + timeout
    for version in versions:
        is_last = version == versions[-1]
        connection = Connection(plan.broker, login, version)
        left = max(0.5, ends - time.monotonic())
        try:
            connection.open(left if is_last else min(left, FIRST_ANSWER_SECONDS))
        except BaseException as error:
            connection.abort()
            if is_last or not isinstance(error, ProtocolUnsupported | TimedOut):
                raise
        else:
            return connection
    raise ProtocolUnsupported


@dataclass(slots=True)
class _Part:
    """A batch on its way: what to acknowledge and to answer once it is committed, and on which connection."""

    batch: Batch
    connection: Connection
    packet_ids: list[int] = field(default_factory=list)
    replies: list[tuple[str, bytes]] = field(default_factory=list)
    begun: float = 0.0


class _Session:
    def __init__(self, plan: Plan, state: Mapping[str, Any], deadline: Deadline) -> None:
        self._plan = plan
        self._deadline = deadline
        self._key = _make_key(plan)
        known: Mapping[str, Any] = state if state.get("key") == self._key else {}
        self._protocol: int | None = known.get("protocol")
        self._expected = bool(known.get("had_session"))
        self._subscribed: dict[str, int] = dict(known.get("subscribed") or {})
        self._told: set[str] = set(known.get("told") or ())
        self._copies = bool(known.get("copies"))
        self._window = Window(known.get("window"))
        self._connection: Connection | None = None
        self._part: _Part | None = None
        self._outstanding: deque[_Part] = deque()
        self._ready: deque[Batch] = deque()
        self._notes: list[Note] = []
        self._changed = False
        self._has_subscribed = False
        self._last_retained = False
        self._uncommitted = 0
        self._uncommitted_bytes = 0
        self._drained: int | None = 0
        self._yielded = time.monotonic()

    def run(self) -> Iterator[Batch]:
        self._connect()
        yield from self._give_batches()
        tries = 0
        while not self._deadline.expired:
            try:
                self._receive()
                tries = 0
            except TakenOver:
                raise
            except ConnectionLost as lost:
                tries += 1
                yield from self._reconnect(lost, tries)
            yield from self._give_batches()
        yield from self._finish()

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    # Connecting

    def _connect(self) -> None:
        login = Login(
            self._plan.client_id, expiry_seconds=self._plan.expiry_seconds, receive_maximum=RECEIVE_MAXIMUM
        )
        timeout = min(CONNECT_SECONDS, max(1.0, self._deadline.remaining()))
        connection = open_connection(self._plan, login, self._protocol, timeout)
        self._connection = connection
        self._changed |= connection.protocol != self._protocol
        self._protocol = connection.protocol
        if not connection.session_present:
            self._begin_anew()
        self._drained = 0 if connection.session_present else None
        self._has_subscribed = False
        self._warn_of_expiry(connection)
        self._subscribe(connection)

    def _begin_anew(self) -> None:
        self._window.forget()
        self._subscribed.clear()
        self._changed = True
        if self._expected:
            self._note(
                "warning",
                "The broker no longer knew this integration's session (it expired, or the broker was restarted "
                "without persistence). Messages sent since the last session may be lost.",
            )

    def _warn_of_expiry(self, connection: Connection) -> None:
        if connection.expiry_seconds < self._plan.expiry_seconds:
            self._tell_once(
                f"expiry:{connection.expiry_seconds}",
                f"The broker keeps this integration's session for {connection.expiry_seconds} s only, instead of "
                f"{self._plan.expiry_seconds} s; messages are lost when sessions are further apart.",
            )

    def _subscribe(self, connection: Connection) -> None:
        wanted = dict.fromkeys(self._plan.filters, self._plan.qos)
        removed = self._subscribed.keys() - wanted.keys()
        if removed:
            connection.unsubscribe(sorted(removed), ANSWER_SECONDS)
        added = {name: qos for name, qos in wanted.items() if self._subscribed.get(name) != qos}
        if added:
            granted = connection.subscribe(added, ANSWER_SECONDS)
            self._check_granted(granted)
            self._has_subscribed = self._copies = True
        self._changed |= bool(removed or added) or not self._expected
        self._subscribed = {name: qos for name, qos in self._subscribed.items() if name in wanted} | {
            name: added[name] for name in added if granted.get(name, REFUSED_FROM) < REFUSED_FROM
        }
        self._expected = True

    def _check_granted(self, granted: Mapping[str, int]) -> None:
        refused = {name: code for name, code in granted.items() if code >= REFUSED_FROM}
        if refused and len(refused) == len(self._plan.filters):
            raise CredentialsRefused(" ".join(explain_filter(name, code) for name, code in refused.items()))
        for name, code in refused.items():
            self._note("error", explain_filter(name, code))
        lowered = sorted(name for name, code in granted.items() if code < min(self._plan.qos, REFUSED_FROM))
        if lowered:
            names = ", ".join(map(repr, lowered))
            self._note(
                "warning",
                f"The broker grants only QoS 0 for {names}: what is sent there between sessions is lost.",
            )
        if self._plan.qos == 0:
            self._note(
                "warning", "The topics are subscribed with QoS 0: what is sent between sessions is lost."
            )

    def _reconnect(self, lost: OutsideError, tries: int) -> Iterator[Batch]:
        """Try again, backing off with jitter; after the last try the reason goes up."""
        self.abort()
        while not self._deadline.expired:
            if tries > TRIES:
                raise lost
            ends = time.monotonic() + random.uniform(0.5, 1.0) * min(0.25 * 2**tries, 8.0)  # noqa: S311 - jitter
            while time.monotonic() < ends and not self._deadline.expired:
                time.sleep(0.05)
                yield from self._give_batches()
            try:
                self._connect()
            except (CredentialsRefused, TlsFailed, TakenOver):
                raise
            except OutsideError as error:
                lost, tries = error, tries + 1
            else:
                return

    # Receiving

    def _receive(self) -> None:
        connection = self._live
        self._acknowledge()
        if self._uncommitted >= UNCOMMITTED_MESSAGES or self._uncommitted_bytes >= UNCOMMITTED_BYTES:
            connection.attend(COMMIT_POLL_SECONDS)
            return
        received = connection.receive(self._find_timeout())
        for publish in received:
            self._collect(connection, publish)
        self._acknowledge()
        self._watch_queue(len(received))
        part = self._part
        if part and (
            (not received and not self._outstanding) or time.monotonic() - part.begun >= BATCH_SECONDS
        ):
            self._close_part()

    def _find_timeout(self) -> float:
        if self._outstanding:
            return COMMIT_POLL_SECONDS
        return 0.0 if self._part else min(SIGN_OF_LIFE_SECONDS, self._deadline.remaining())

    def _collect(self, connection: Connection, publish: Publish) -> None:
        part = self._part
        if part is None:
            part = self._part = _Part(Batch(), connection, begun=time.monotonic())
        elif part.connection is not connection:
            self._close_part()
            part = self._part = _Part(Batch(), connection, begun=time.monotonic())
        event_id = self._name(publish)
        if publish.size > len(publish.body):
            message = self._plan.decoder.refuse(publish.topic, publish.body, publish.size, event_id)
        else:
            message = self._plan.decoder.decode(publish.topic, publish.body, event_id)
        if publish.qos:
            part.packet_ids.append(publish.packet_id)
        if message is not None:
            batch = part.batch
            batch.messages.append(message)
            batch.received_bytes += publish.size
            if self._plan.find_reply:
                reply = self._plan.find_reply(publish.topic, publish.body)
                if reply:
                    part.replies.append(reply)
        if (
            len(part.packet_ids) >= BATCH_MESSAGES
            or part.batch.received_bytes >= BATCH_BYTES
            or len(part.batch.messages) >= BATCH_MESSAGES
        ):
            self._close_part()

    def _name(self, publish: Publish) -> str:
        if publish.retain and (self._has_subscribed or self._copies or not publish.qos):
            self._last_retained = True
            return self._window.find_copy(publish.topic, publish.body)
        self._last_retained = False
        if not self._has_subscribed:
            self._copies = False
        if not publish.qos:
            return self._window.name_unacknowledged()
        if publish.duplicate:
            return self._window.name_again(publish.packet_id, publish.topic, publish.body)
        return self._window.name_new(publish.packet_id, publish.topic, publish.body)

    def _watch_queue(self, received: int) -> None:
        """Count what the broker had stored, until it runs dry for the first time."""
        if self._drained is None:
            return
        self._drained += received
        if received == 0 and not self._outstanding:
            if self._drained in QUEUE_LIMITS:
                self._note(
                    "warning",
                    f"Exactly {self._drained} messages were waiting at the broker: its queue may have overflowed. "
                    "Poll more often, lengthen session_seconds, or raise the broker's queue limit.",
                )
            self._drained = None

    # Batches

    def _close_part(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        batch = part.batch
        self._outstanding.append(part)
        self._uncommitted += len(part.packet_ids)
        self._uncommitted_bytes += batch.received_bytes
        if batch.messages:
            batch.state = self._save_state()
            batch.notes = self._take_notes()
            self._ready.append(batch)
        else:
            batch.committed = True

    def _give_batches(self) -> Iterator[Batch]:
        while self._ready:
            self._yielded = time.monotonic()
            yield self._ready.popleft()
        if self._changed or self._notes:
            self._yielded = time.monotonic()
            yield Batch(state=self._save_state(), notes=self._take_notes())
        elif time.monotonic() - self._yielded >= SIGN_OF_LIFE_SECONDS:
            self._yielded = time.monotonic()
            yield Batch()

    def _save_state(self) -> dict[str, Any]:
        self._changed = False
        return {
            "key": self._key,
            "protocol": self._protocol,
            "had_session": self._expected,
            "subscribed": dict(self._subscribed),
            "told": sorted(self._told),
            "copies": self._copies and self._last_retained,
            "window": self._window.save(),
        }

    def _acknowledge(self) -> None:
        """Acknowledge, in order, what is committed; on a later connection than its own the broker asks again."""
        while self._outstanding and self._outstanding[0].batch.committed:
            part = self._outstanding.popleft()
            self._uncommitted -= len(part.packet_ids)
            self._uncommitted_bytes -= part.batch.received_bytes
            if part.connection is not self._connection:
                continue
            part.connection.acknowledge(part.packet_ids)
            for topic, body in part.replies:
                part.connection.publish(topic, body)

    def _finish(self) -> Iterator[Batch]:
        """Take nothing new, wait a bounded time for the commits, acknowledge them and say goodbye."""
        self._close_part()
        if self._drained:
            self._note(
                "info", "The broker still had stored messages when the session ended; the next one goes on."
            )
        yield from self._give_batches()
        patience = Deadline(FINISH_SECONDS)
        try:
            while self._outstanding and not patience.expired:
                self._acknowledge()
                if self._outstanding:
                    self._live.attend(COMMIT_POLL_SECONDS)
                yield from self._give_batches()
            self._live.close()
        except ConnectionLost:
            # What is committed is safe, and comes again under its old id.
            return

    @property
    def _live(self) -> Connection:
        if self._connection is None:
            raise ConnectionLost
        return self._connection

    # Telling

    def _note(self, level: str, message: str) -> None:
        self._notes.append(Note(level, message))

    def _tell_once(self, key: str, message: str) -> None:
        if key not in self._told:
            self._told.add(key)
            self._changed = True
            self._note("warning", message)

    def _take_notes(self) -> list[Note]:
        notes = self._notes + [Note("warning", text) for text in self._plan.decoder.take_notes()]
        self._notes = []
        return notes


def _make_key(plan: Plan) -> str:
    """Names the broker's session: with another broker or client id nothing of the old state holds."""
    identity = f"{plan.broker.host}:{plan.broker.port}:{plan.client_id}:{plan.broker.username or ''}"
    return hashlib.sha256(identity.encode()).hexdigest()[:16]
