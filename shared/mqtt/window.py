"""The redelivery window: which messages came last, so that one the broker sends again keeps its event id.

A broker sends what was not acknowledged again, with the duplicate flag and its old packet id (MQTT 5, section 4.4).
Such a message is the one we know if that packet id last carried the same topic and body. Everything else is new,
however equal it looks: two equal readings sent on purpose are two messages.

The window is saved with the batch it describes, in one transaction, so it is right after a kill at any moment.
"""

from __future__ import annotations

import secrets
import struct
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

WINDOW_MESSAGES = 1_500
"""More than a session holds unacknowledged, so whatever comes again is in the window."""

WINDOW_RUNS = 100

_ENTRY = struct.Struct("!H6s")


@dataclass(slots=True)
class _Run:
    """Messages of one session with consecutive numbers: packet id and digest of each."""

    nonce: str
    first: int
    entries: bytearray = field(default_factory=bytearray)

    @property
    def after(self) -> int:
        return self.first + len(self.entries) // _ENTRY.size


class Window:
    """Gives every message its event id, unique for a new one, the old one for one that is sent again."""

    def __init__(self, saved: Any = None) -> None:
        self._nonce = secrets.token_hex(6)
        self._count = 0
        self._runs = list(_load_runs(saved))
        self._index: dict[int, tuple[bytes, str]] | None = None

    def name_new(self, packet_id: int, topic: str, body: bytes) -> str:
        """The event id of a message that comes for the first time."""
        return self._remember(packet_id, _digest(topic, body), self._nonce, self._next())

    def name_again(self, packet_id: int, topic: str, body: bytes) -> str:
        """The event id of a message with the duplicate flag: its old one where it is known, else a new one."""
        digest = _digest(topic, body)
        known = self._find_index().get(packet_id)
        if known is None or known[0] != digest:
            return self._remember(packet_id, digest, self._nonce, self._next())
        nonce, _, number = known[1].partition("-")
        return self._remember(packet_id, digest, nonce, int(number, 16))

    def name_unacknowledged(self) -> str:
        """The event id of a QoS 0 message, which is never sent again."""
        return f"{self._nonce}-q{self._next():08x}"

    def find_copy(self, topic: str, body: bytes) -> str:
        """The event id of a retained copy: that of the same message in the window, else one that its content gives."""
        digest = _digest(topic, body)
        same = next((event_id for known, event_id in self._find_index().values() if known == digest), None)
        return same or f"retained-{_digest(topic, body, 16).hex()}"

    def forget(self) -> None:
        """Drop everything: the broker has begun anew, its packet ids mean other messages now."""
        self._runs.clear()
        self._index = None

    def save(self) -> list[list[Any]]:
        """The window as JSON, about 8 bytes a message, for `Window(saved)`."""
        self._trim()
        return [[run.nonce, run.first, b64encode(run.entries).decode()] for run in self._runs]

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _remember(self, packet_id: int, digest: bytes, nonce: str, number: int) -> str:
        run = self._runs[-1] if self._runs else None
        if run is None or run.nonce != nonce or run.after != number:
            run = _Run(nonce, number)
            self._runs.append(run)
        run.entries += _ENTRY.pack(packet_id, digest)
        event_id = f"{nonce}-{number:08x}"
        if self._index is not None:
            self._index[packet_id] = (digest, event_id)
        return event_id

    def _find_index(self) -> dict[int, tuple[bytes, str]]:
        if self._index is None:
            self._index = {
                packet_id: (digest, f"{run.nonce}-{run.first + position:08x}")
                for run in self._runs
                for position, (packet_id, digest) in enumerate(_ENTRY.iter_unpack(bytes(run.entries)))
            }
        return self._index

    def _trim(self) -> None:
        self._index = None
        del self._runs[:-WINDOW_RUNS]
        surplus = sum(len(run.entries) for run in self._runs) // _ENTRY.size - WINDOW_MESSAGES
        while surplus > 0:
            dropped = min(surplus, len(self._runs[0].entries) // _ENTRY.size)
            del self._runs[0].entries[: dropped * _ENTRY.size]
            self._runs[0].first += dropped
            surplus -= dropped
            if not self._runs[0].entries:
                del self._runs[0]


def _digest(topic: str, body: bytes, size: int = 6) -> bytes:
    return blake2b(b"%b\0%b" % (topic.encode(), body), digest_size=size).digest()


def _load_runs(saved: Any) -> Iterator[_Run]:
    """The runs of a saved window; one that is not readable is left out, which can only store twice, never lose."""
    for item in saved if isinstance(saved, list) else []:
        try:
            nonce, first, entries = item
            decoded = bytearray(b64decode(entries, validate=True))
        except (ValueError, TypeError, BinasciiError):
            continue
        if isinstance(nonce, str) and isinstance(first, int) and len(decoded) % _ENTRY.size == 0:
            yield _Run(nonce, first, decoded)
