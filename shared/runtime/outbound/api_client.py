"""What clients of outside APIs have in common: one kept connection, retries within one deadline, bounded memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, ClassVar, Self

from shared.runtime.backoff import Backoff
from shared.runtime.deadline import Deadline
from shared.runtime.errors import CredentialsRefused, ProtocolFailed, ProviderRefused, TimedOut
from shared.runtime.masking import mask_secrets
from shared.runtime.memory import SMALL, load_budget
from shared.runtime.outbound.client import OutboundClient
from shared.runtime.outbound.exchange import OutboundReply, OutboundRequest
from shared.runtime.outbound.timing import note_call, note_certificate
from shared.runtime.portable import replace_nul

REQUEST_SECONDS = 30.0
FIRST_MEMORY_SECONDS, MORE_MEMORY_SECONDS = 20.0, 5.0
"""How long an answer waits for memory; less once it has some, which others wait for."""

TRIES = 5
BACKOFF = Backoff(0.5, 4.0)
LONGEST_WAIT = 30.0
MARGIN = 1.25
WORDS_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Access:
    """An account at an API: `name` is what people call the other side, `headers` go with each call.

    None of `secrets` comes back in what it answers. `owner` is the organization whose account it is.
    """

    name: str
    base_url: str
    headers: Mapping[str, str]
    secrets: list[str]
    owner: str = ""


class ApiClient:
    """One account's calls, over one kept connection. Use it in a `with`.

    Every call ends by `deadline`; what may pass is tried again. With `waits` off, nothing is: whoever calls is told of
    the first refusal. What is answered counts as memory of the organization until the next call; Unavailable where it
    has no more.
    """

    reply_bytes: ClassVar[int] = 16 * 1_048_576
    holds: ClassVar[str] = "data"
    """What an answer is made of, in errors."""
    request_seconds: ClassVar[float] = REQUEST_SECONDS
    """How long one request may take."""
    tells_lengths: ClassVar[bool] = False
    """Whether an answer says how long it is, and so has to stay as long."""

    def __init__(self, access: Access, deadline: Deadline, *, waits: bool = True) -> None:
        # Imported here, for it brings ssl with it, and whoever calls no API does not need it.
        import asyncio

        self.access, self.deadline, self._waits = access, deadline, waits
        self.told: Mapping[str, str] = {}
        """The headers of the last answer, which find their names in any letter case."""
        self._runner = asyncio.Runner()
        self._client = OutboundClient()
        self._holding = load_budget().open(access.owner)
        self._weight = self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._client.close())
        finally:
            self._holding.close()
            self._runner.close()

    def weigh(self, part: bytearray) -> int:
        """About how many bytes a part of an answer takes, with what is read of it."""
        raise NotImplementedError

    def repeat(self, request: OutboundRequest, read: Callable[[OutboundReply], Any], *, again: bool) -> Any:
        """What `read` makes of the reply. While it raises ProviderRefused that may pass, the request is sent again.

        `again`: whether what may have had its effect may be repeated. Where not, what was done is AnswerUnreadable if
        its reply can't be read, for want of memory or of time, too.
        """
        failures = 0
        request = replace(request, once=not again)
        while True:
            try:
                return read(self._send(request))
            except ProviderRefused as refusal:
                failures += 1
                pause = self._choose_pause(refusal, failures, again=again)
                if pause is None:
                    raise
            time.sleep(pause)

    def describe(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> OutboundRequest:
        """A request below the account's address, with these headers, all of them."""
        return OutboundRequest(
            method,
            f"{self.access.base_url}{path}",
            headers,
            body,
            reply_limit=self.reply_bytes,
            whole=True,
            meet=self._meet,
        )

    def prepare(self, request: OutboundRequest) -> OutboundRequest:
        """`request` as it is sent now, each time it is: signed, say."""
        return request

    def hide_secrets(self, body: bytes) -> bytes:
        """An answer without the secrets: what is not the other side may say back what it is sent; a key is no data."""
        for secret in self.access.secrets:
            hidden = secret.encode()
            body = body.replace(hidden, b"*" * len(hidden) if self.tells_lengths else b"***")
        return body

    def mask_words(self, words: str) -> str:
        """Words of an answer as they may be told: secrets masked in every form; and Postgres has no text with NUL."""
        return replace_nul(mask_secrets(words, self.access.secrets)[:WORDS_LIMIT])

    def _choose_pause(self, refusal: ProviderRefused, failures: int, *, again: bool) -> float | None:
        """Seconds until it is tried again; None where that would not help, or do harm: after 429 nothing was begun."""
        is_limited = refusal.answered == HTTPStatus.TOO_MANY_REQUESTS
        is_passing = refusal.answered >= HTTPStatus.BAD_REQUEST and not refusal.is_final
        if not self._waits or not is_passing or failures >= TRIES or not (again or is_limited):
            return None
        pause = BACKOFF.pause(failures) if refusal.retry_after is None else refusal.retry_after
        return pause if pause < min(LONGEST_WAIT, self.deadline.remaining()) else None

    def _send(self, request: OutboundRequest) -> OutboundReply:
        self._holding.close()
        self._weight = self._size = 0
        seconds = min(self.request_seconds, self.deadline.remaining())
        if seconds <= 0:
            raise TimedOut(
                f"The time for {self.access.name}'s API was used up; the rest follows with the next run."
            )
        # Rounded up, so that once it has passed the deadline has, too.
        timed = replace(self.prepare(request), timeout_seconds=math.ceil(seconds * 100) / 100)
        reply = self._runner.run(self._client.send(timed))
        note_call(reply.milliseconds)
        note_certificate(reply.certificate)
        self.told = reply.headers
        self._holding.hold(self._weight if self._holding.size else 0)
        return reply

    def _meet(self, part: bytearray, left: int) -> None:
        """Take memory for a part of an answer, and as much for what follows as if that were alike, before it is kept.

        Whoever takes all at once need not wait for more with what others wait for.
        """
        self._size += len(part)
        self._weight += self.weigh(part)
        share, expected = load_budget().share, self._weight * (1 + min(left, self.reply_bytes) / self._size)
        if self._weight > share or expected > 2 * share:
            raise ProtocolFailed(
                f"{self.access.name} answered more {self.holds} at once than there is memory for."
            )
        if self._weight > max(SMALL, self._holding.size):
            patience = MORE_MEMORY_SECONDS if self._holding.size else FIRST_MEMORY_SECONDS
            self._holding.reserve(int(expected * MARGIN), self.deadline.within(patience))


def refuse(
    status: int, refused: str, answered: str, retry_after: float | None = None
) -> CredentialsRefused | ProviderRefused:
    """The error of an HTTP status: `refused` are its words for 401 and 403, `answered` those for all others."""
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialsRefused(refused)
    return ProviderRefused(answered, answered=status, retry_after=retry_after)
