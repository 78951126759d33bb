"""The redelivery window: which messages came last, so that one the broker sends again keeps its event id.

A broker sends what was not acknowledged again, with the duplicate flag and its old packet id (MQTT 5, section 4.4).
Such a message is the one we know if that packet id last carried the same topic and body. Everything else is new,
however equal it looks: two equal readings sent on purpose are two messages.

What a broker may send again is always the end of what it sent, so the window holds the last packet ids, each once,
and the outbox sees to it that no more than that is unsettled. The window is saved with the batch it describes, in
one transaction, so it is right after a kill at any moment.
"""

from __future__ import annotations

import secrets
import struct
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from hashlib import blake2b
from typing import Any, NamedTuple

WINDOW_MESSAGES = 2_000
"""Packet ids that are remembered, and so the most that may be unsettled."""

WINDOW_RUNS = 150

_ENTRY = struct.Struct("!H6s")


class _Known(NamedTuple):
    """What a packet id last carried, and the event id as session nonce and number."""

    digest: bytes
    nonce: str
    number: int

    @property
    def event_id(self) -> str:
        return f"{self.nonce}-{self.number:08x}"


class Window:
    """Gives every message its event id, unique for a new one, the old one for one that is sent again."""

    def __init__(self, saved: Any = None) -> None:
        self._nonce = secrets.token_hex(6)
        self._count = 0
        self._known: dict[int, _Known] = {}
        for run in saved if isinstance(saved, list) else []:
            self._load_run(run)

    def name_new(self, packet_id: int, topic: str, body: bytes) -> str:
        """The event id of a message that comes for the first time."""
        return self._remember(packet_id, _Known(_digest(topic, body), self._nonce, self._next()))

    def name_again(self, packet_id: int, topic: str, body: bytes) -> str:
        """The event id of a message with the duplicate flag: its old one where it is known, else a new one."""
        known = self._known.get(packet_id)
        if known is None or known.digest != _digest(topic, body):
            return self.name_new(packet_id, topic, body)
        return self._remember(packet_id, known)

    def name_unacknowledged(self) -> str:
        """The event id of a QoS 0 message, which is never sent again."""
        return f"{self._nonce}-q{self._next():08x}"

    def find_copy(self, topic: str, body: bytes) -> str:
        """The event id of a retained copy: that of the same message in the window, else one that its content gives."""
        digest = _digest(topic, body)
        same = next((known.event_id for known in self._known.values() if known.digest == digest), None)
        return same or f"retained-{_digest(topic, body, 16).hex()}"

    def forget(self) -> None:
        """Drop everything: the broker has begun anew, its packet ids mean other messages now."""
        self._known.clear()

    def save(self) -> list[list[Any]]:
        """The window as JSON, about 11 bytes a message, for `Window(saved)`: runs of consecutive numbers."""
        runs: list[tuple[str, int, bytearray]] = []
        nonce, expected = "", -1
        for packet_id, known in self._known.items():
            if known.number != expected or known.nonce != nonce:
                runs.append((known.nonce, known.number, bytearray()))
            runs[-1][2].extend(_ENTRY.pack(packet_id, known.digest))
            nonce, expected = known.nonce, known.number + 1
        return [[nonce, first, b64encode(entries).decode()] for nonce, first, entries in runs[-WINDOW_RUNS:]]

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _remember(self, packet_id: int, known: _Known) -> str:
        # Taken out first, so that it moves to the end: the oldest is dropped.
        self._known.pop(packet_id, None)
        self._known[packet_id] = known
        if len(self._known) > WINDOW_MESSAGES:
            del self._known[next(iter(self._known))]
        return known.event_id

    def _load_run(self, run: Any) -> None:
        """Take over a saved run; one that is not readable is left out, which can only store twice, never lose."""
        try:
            nonce, first, text = run
            entries = _ENTRY.iter_unpack(b64decode(text, validate=True))
            if isinstance(nonce, str) and isinstance(first, int):
                for number, (packet_id, digest) in enumerate(entries, first):
                    self._remember(packet_id, _Known(digest, nonce, number))
        except (ValueError, TypeError, struct.error, BinasciiError):
            return


def _digest(topic: str, body: bytes, size: int = 6) -> bytes:
    return blake2b(b"%b\0%b" % (topic.encode(), body), digest_size=size).digest()
