"""What was sent, kept beside what was answered: of failed attempts and each webhook's last successes; secrets masked.

Failed ones are written within a second. Successes wait in memory until the next of few writes, where only the last of
them are left: a diagnosis is lost with the process, no data.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from shared.provider import Provider, looks_secret
from shared.runtime.database.client import Database
from shared.runtime.errors import Problem
from shared.runtime.log import get_log
from shared.runtime.masking import MASK
from shared.runtime.outbound import OutboundRequest
from shared.runtime.portable import replace_nul

BODY_LIMIT = 16_384
URL_LIMIT = 4_096
LAST = 100
"""Successes of a webhook that are kept."""

FAILED_SECONDS, DELIVERED_SECONDS = 1.0, 5.0
MOST_BYTES = 8 * 1_048_576
"""Of bodies that wait to be written; what comes while there are so many is not kept."""

AT_ONCE = 500

_QUERY = re.compile(r"(?<=[?&])([^=&]*)=([^&]*)")


@dataclass(slots=True)  # not frozen, as Attempt
class Sent:
    """One request as it went out, with the provider that knows its secrets."""

    delivery_id: str
    started_at: datetime
    is_delivered: bool
    request: OutboundRequest
    provider: Provider

    def describe(self) -> dict[str, object]:
        """As `record_requests` takes it."""
        body, request = self.request.body or b"", self.request
        return {
            "delivery_id": self.delivery_id,
            "started_at": self.started_at,
            "is_delivered": self.is_delivered,
            "method": request.method,
            "url": _QUERY.sub(_hide_secret, self._mask(request.url))[:URL_LIMIT],
            "headers": {
                name: MASK if looks_secret(name, value) else self._mask(value)
                for name, value in request.headers.items()
            },
            "body": self._mask(body[:BODY_LIMIT].decode(errors="replace"), cut=len(body) > BODY_LIMIT),
            "body_bytes": len(body),
        }

    def _mask(self, text: str, *, cut: bool = False) -> str:
        return self.provider.mask_text(replace_nul(text), cut=cut)


def _hide_secret(parameter: re.Match[str]) -> str:
    name, value = parameter.groups()
    return f"{name}={MASK}" if looks_secret(name, value) else parameter[0]


class RequestLog:
    """Takes requests as their attempts end, on one event loop, and writes them down now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._failed: list[Sent] = []
        self._delivered: defaultdict[str, deque[Sent]] = defaultdict(lambda: deque(maxlen=LAST))
        self._bytes = 0
        self._next = time.monotonic() + DELIVERED_SECONDS
        self._ended = asyncio.Event()

    def add(self, webhook_id: str, sent: Sent) -> None:
        """Take one more."""
        size = min(len(sent.request.body or b""), BODY_LIMIT)
        if self._bytes + size > MOST_BYTES:
            return
        kept = self._delivered[webhook_id] if sent.is_delivered else self._failed
        # Of a full line the oldest goes, whose size is taken for the same.
        self._bytes += 0 if sent.is_delivered and len(kept) == LAST else size
        kept.append(sent)

    def end(self) -> None:
        """Have `run` write what is left, and return."""
        self._ended.set()

    async def run(self) -> None:
        """Write until `end`."""
        while not self._ended.is_set():
            try:
                async with asyncio.timeout(FAILED_SECONDS):
                    await self._ended.wait()
            except TimeoutError:
                pass
            await asyncio.to_thread(self._write, [*self._take()])

    def _take(self) -> Iterator[Sent]:
        failed, self._failed = self._failed, []
        yield from failed
        if self._ended.is_set() or time.monotonic() >= self._next or self._bytes > MOST_BYTES // 2:
            self._next = time.monotonic() + DELIVERED_SECONDS
            delivered, self._bytes = chain.from_iterable(self._delivered.values()), 0
            yield from delivered
            self._delivered.clear()

    def _write(self, taken: list[Sent]) -> None:
        for first in range(0, len(taken), AT_ONCE):
            some = taken[first : first + AT_ONCE]
            try:
                self._database.call("record_requests", p_requests=[sent.describe() for sent in some])
            except Problem as problem:
                get_log().warning("requests could not be kept", code=problem.code, detail=problem.detail)
            except Exception:  # noqa: BLE001 - what is for diagnosis may not end the deliveries
                get_log().exception("requests could not be kept")
