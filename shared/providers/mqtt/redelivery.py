"""The redelivery window: which messages came last, so that one the broker sends again keeps its event id.

A broker sends what was not acknowledged again, with the duplicate flag and its old packet id (MQTT 5, section 4.4).
Such a message is the one we know if that packet id last carried the same topic and body, and the broker has not heard
that it is acknowledged: then it may use the packet id again, as some do at once, for another that looks the same.
Everything else is new, however equal it looks: two equal readings sent on purpose are two messages.

What a broker may send again is always the end of what it sent, so the window holds the last packet ids, each once, in
the order of their first arrival. With a broker that keeps to limits it holds all that may come again; for one that does
not, see `count_forgotten`. The window is saved with the batch it describes, in one transaction, so it is right after a
kill at any moment.
"""

from __future__ import annotations

import secrets
import struct
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.provider import Deadline

if TYPE_CHECKING:
    from shared.providers.mqtt.connection import Connection
    from shared.providers.mqtt.saved_state import Memory

BATCH_MESSAGES = 1_000
"""Of one batch at most: they are acknowledged together, once it is committed."""

UNCOMMITTED_MESSAGES = 2 * BATCH_MESSAGES
"""Taken while nothing is acknowledged: a batch that is being committed, and the next. It is the receive maximum too."""

ASK_FROM = 200
"""Unsettled messages from which on the broker is asked, with each batch, whether it has heard the acknowledgements.

With fewer it is asked once it has answered what it was asked before."""

WINDOW_MESSAGES = UNCOMMITTED_MESSAGES + BATCH_MESSAGES + ASK_FROM
"""Packet ids that are remembered: what a broker that keeps to the receive maximum may send again, as far as we know.

That is what it may have in flight; what it sends as it hears a batch of acknowledgements, before it answers whether it
has; and what it is not asked about yet."""

WINDOW_RUNS = 150
SEARCH_SECONDS = 20.0
QUIET_SECONDS = 0.25

_ENTRY = struct.Struct("!H6s")


class _Sighting(NamedTuple):
    """What a packet id last carried, the event id as session nonce and number, and its place among the arrivals."""

    digest: bytes
    nonce: str
    number: int
    place: int

    @property
    def event_id(self) -> str:
        return f"{self.nonce}-{self.number:08x}"


class _Run:
    """Entries of one session whose numbers are consecutive, ready to be saved."""

    def __init__(self, nonce: str, first: int) -> None:
        self.nonce = nonce
        self.first = first
        self.entries = bytearray()

    def append(self, packet_id: int, known: _Sighting) -> bool:
        """Whether `known` continues this run, and so was added."""
        continues = (
            known.nonce == self.nonce and known.number == self.first + len(self.entries) // _ENTRY.size
        )
        if continues:
            self.entries += _ENTRY.pack(packet_id, known.digest)
        return continues

    def drop_first(self) -> bool:
        """Whether the run is empty once its first entry is gone."""
        self.first += 1
        del self.entries[: _ENTRY.size]
        return not self.entries


class Window:
    """Gives every message its event id, unique for a new one, the old one for one that is sent again.

    `latest` is the place of the message named last, for `hear`.
    """

    def __init__(self, saved: object = None, unheard: object = None) -> None:
        self._nonce = secrets.token_hex(6)
        self._count = 0
        self._known: OrderedDict[int, _Sighting] = OrderedDict()
        self._runs: list[_Run] | None = []
        self.latest = self._arrivals = self._heard = 0
        for run in saved if isinstance(saved, list) else []:
            self._load_run(run)
        if isinstance(unheard, int):
            self._heard = max(0, self._arrivals - unheard)

    def name_new(self, packet_id: int, topic: str, body: bytes) -> str:
        """The event id of a message that comes for the first time."""
        return self._remember(packet_id, _digest(topic, body), self._nonce, self._next())

    def find_again(self, packet_id: int, topic: str, body: bytes) -> str | None:
        """The old event id of a message with the duplicate flag; None where it is not in the window."""
        known = self._find(packet_id, topic, body)
        if known is None:
            return None
        self.latest = known.place
        return known.event_id

    def name_forgotten(self) -> str:
        """The event id of a message that is stored but older than the window: that of the oldest one in it."""
        oldest = next(iter(self._known.values()))
        # Of those in the window nothing is heard by its acknowledgement.
        self.latest = oldest.place - 1
        return oldest.event_id

    def count_since(self, packet_id: int, topic: str, body: bytes) -> int:
        """How many messages of the window came since that one, with itself; 0 where it is not in the window."""
        known = self._find(packet_id, topic, body)
        return len(self._known) - list(self._known).index(packet_id) if known else 0

    def name_unacknowledged(self) -> str:
        """The event id of a QoS 0 message, which is never sent again."""
        return f"{self._nonce}-q{self._next():08x}"

    def find_copy(self, topic: str, body: bytes) -> str:
        """The event id of a retained copy: that of the same message in the window, else one that its content gives."""
        digest = _digest(topic, body)
        same = next((known.event_id for known in self._known.values() if known.digest == digest), None)
        return same or f"retained-{_digest(topic, body, 16).hex()}"

    def hear(self, place: int | None = None) -> bool:
        """The broker has heard every acknowledgement up to that of `place`, or every one; whether that is news."""
        heard, self._heard = self._heard, max(self._heard, self._arrivals if place is None else place)
        return heard < self._heard

    @property
    def unheard(self) -> int:
        """How many of the messages that came last may be sent again; to be saved with the window."""
        return self._arrivals - self._heard

    def forget(self) -> None:
        """Drop everything: the broker has begun anew, its packet ids mean other messages now."""
        self.hear()
        self._known.clear()
        self._runs = []

    def __len__(self) -> int:
        return len(self._known)

    def save(self) -> list[tuple[str, int, str]]:
        """The window as JSON, about 11 bytes a message, for `Window(saved)`: runs of consecutive numbers."""
        if self._runs is None:
            self._runs = []
            for packet_id, known in self._known.items():
                self._append(packet_id, known)
        return [(run.nonce, run.first, b64encode(run.entries).decode()) for run in self._runs[-WINDOW_RUNS:]]

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _find(self, packet_id: int, topic: str, body: bytes) -> _Sighting | None:
        known = self._known.get(packet_id)
        if known is None or known.place <= self._heard:
            return None
        return known if known.digest == _digest(topic, body) else None

    def _remember(self, packet_id: int, digest: bytes, nonce: str, number: int) -> str:
        if self._known.pop(packet_id, None):
            # From somewhere in the middle of a run.
            self._runs = None
        self.latest = self._arrivals = place = self._arrivals + 1
        known = self._known[packet_id] = _Sighting(digest, nonce, number, place)
        self._append(packet_id, known)
        if len(self._known) > WINDOW_MESSAGES:
            self._known.popitem(last=False)
            if self._runs and self._runs[0].drop_first():
                del self._runs[0]
        return known.event_id

    def _append(self, packet_id: int, known: _Sighting) -> None:
        if self._runs is None or (self._runs and self._runs[-1].append(packet_id, known)):
            return
        self._runs.append(_Run(known.nonce, known.number))
        self._runs[-1].append(packet_id, known)

    def _load_run(self, run: Any) -> None:
        """Take over a saved run; one that is not readable is left out, which can only store twice, never lose."""
        try:
            nonce, first, text = run
            entries = _ENTRY.iter_unpack(b64decode(text, validate=True))
            if isinstance(nonce, str) and isinstance(first, int):
                for number, (packet_id, digest) in enumerate(entries, first):
                    self._remember(packet_id, digest, nonce, number)
        except (ValueError, TypeError, struct.error, BinasciiError):
            return


def count_forgotten(connection: Connection, memory: Memory) -> int:
    """How many messages come again before the oldest one of the window; 0 where that one does not come.

    For brokers that send more at once than they were allowed to: mosquitto up to 2.0.12 does with every stored queue,
    others where their limit is switched off. While such a one sends, it may not read our acknowledgements, so that
    after a kill of ours tens of thousands of stored messages come again. A broker sends again in the order in which it
    sent first (MQTT 5, section 4.6), so what comes before the oldest message of the window was named before that one,
    and is stored. Nothing is acknowledged, so that all of it comes once more on the next connection.
    """
    count, deadline, answer = 0, Deadline(SEARCH_SECONDS), connection.ask_settled()
    while not deadline.expired:
        received = connection.receive(QUIET_SECONDS)
        for publish in received:
            if publish.qos and not publish.retain:
                since = memory.count_since(publish)
                if since or not publish.duplicate or count == memory.unsettled:
                    return count if since == len(memory.window) else 0
                count += 1
        if not received and connection.settled >= answer:
            break
    return 0


def _digest(topic: str, body: bytes, size: int = 6) -> bytes:
    return blake2b(b"%b\0%b" % (topic.encode(), body), digest_size=size).digest()
