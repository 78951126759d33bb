"""What was published against what is stored and delivered: counted, not assumed."""

from __future__ import annotations

import base64
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from scripts.demonstration.fleet import Published


@dataclass
class Tally:
    """The broker's acknowledgements, as they come in from the devices' threads."""

    published: Counter[Published] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, message: Published) -> None:
        """One more message the broker has taken."""
        with self._lock:
            self.published[message] += 1

    @property
    def total(self) -> int:
        """How many the broker has taken."""
        with self._lock:
            return self.published.total()


@dataclass(frozen=True)
class Result:
    """The closing account of one demo."""

    published: int
    stored: int
    lost: int
    duplicated: int
    delivered: int
    deliverable: int
    seen_by_others: int

    @property
    def ok(self) -> bool:
        """Whether the promise was kept."""
        return (
            not (self.lost or self.duplicated or self.seen_by_others) and self.delivered == self.deliverable
        )

    def __str__(self) -> str:
        return (
            f"demo: {self.published} published, {self.stored} stored, {self.lost} lost, "
            f"{self.duplicated} duplicated, {self.delivered} delivered"
        )


def settle_account(
    tally: Tally, rows: list[dict[str, Any]], deliveries: list[str], seen_by_others: int
) -> Result:
    """Compare every published body with the stored ones, and the receiver's ids with the decodable messages."""
    stored = Counter(Published(row["topic"], _read_body(row)) for row in rows)
    published = Counter(Published(sent.topic, _spell(sent.payload)) for sent in tally.published.elements())
    return Result(
        published=tally.published.total(),
        stored=stored.total(),
        lost=(published - stored).total(),
        duplicated=(stored - published).total(),
        delivered=len(set(deliveries)),
        deliverable=sum(1 for row in rows if row["error"] is None),
        seen_by_others=seen_by_others,
    )


def _read_body(row: dict[str, Any]) -> bytes:
    if row["raw_encoding"] == "base64":
        return _spell(base64.b64decode(row["raw"]))
    return _spell(orjson.dumps(row["payload"]) if row["raw"] is None else str(row["raw"]).encode())


def _spell(body: bytes) -> bytes:
    """`body` in the one way to write it if it is JSON: the database keeps what it says, not how it is written."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
    except orjson.JSONDecodeError:
        return body
