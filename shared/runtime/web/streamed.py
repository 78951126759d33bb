"""A request that comes through the ASGI door: read as it comes, within a limit of bytes and one of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from werkzeug.datastructures import EnvironHeaders
from werkzeug.sansio.request import Request

from shared.runtime.errors import BadRequest, Problem, TooLarge
from shared.runtime.memory import SMALL

BODY_SECONDS = 30.0
"""Within which a body has to be there, however it trickles."""

SLOW_SECONDS = 3.0
"""After so long, a body that is still to come gives way to others that need the memory it holds."""

DRAINED = 8
"""How many times the limit of an oversized body is read and dropped, so that its sender gets to read our answer."""

KNOWN_LENGTH = 64
"""Names of headers up to this length are remembered as WSGI has them."""

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Hold = Callable[[int], Awaitable[None]]


class TooSlow(Problem):
    """The body did not come in time; nothing was stored. Send it again."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "too_slow"

    def __init__(self) -> None:
        super().__init__(headers={"Connection": "close"})


class StreamedRequest(Request):
    """`environ` is what a WSGI server would make of its head."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.environ = _write_environ(scope)
        super().__init__(
            method=scope["method"],
            scheme=scope.get("scheme", "http"),
            server=scope.get("server"),
            root_path="",
            path=scope["path"],
            query_string=scope["query_string"],
            headers=EnvironHeaders(self.environ),
            remote_addr=self.environ["REMOTE_ADDR"],
        )
        self._receive = receive

    async def read(self, limit: int, hold: Hold) -> bytes:
        """The body, at most `limit` bytes; `hold` is told what it may come to before more of it is read.

        That is of what has come, twice, so that nothing is held for what is only announced; and nothing for SMALL.
        Errors: TooLarge, TooSlow, BadRequest where it breaks off; whatever `hold` raises.
        """
        # Without a timer where all came with the head: one for each was an eighth of what a push costs. Until something
        # comes, it is the server that ends a connection.
        event = await self._next_event() if (self.content_length or 0) <= SMALL else None
        if event and not event.get("more_body") and len(event.get("body", b"")) <= SMALL:
            return self._check_length(bytes(event.get("body", b"")))
        try:
            async with asyncio.timeout(BODY_SECONDS) as timer:
                try:
                    return await self._read(event, limit, partial(_hold_for, timer, hold))
                finally:
                    _coming.pop(timer, None)
        except TimeoutError:
            raise TooSlow from None

    async def _read(self, event: Event | None, limit: int, hold: Hold) -> bytes:
        """All of it; `event` is the first where that is there already."""
        declared, body, held = self.content_length or 0, bytearray(), SMALL
        while declared <= limit:
            event = event or await self._next_event()
            body += event.get("body", b"")
            if len(body) > limit:
                break
            if not event.get("more_body"):
                return self._check_length(bytes(body))
            if len(body) > held:
                held = min(declared or limit, 2 * len(body))
                await hold(held)
            event = None
        await self._drop(event or {"more_body": True}, DRAINED * limit)
        raise TooLarge(f"The body is larger than {limit} bytes.")

    def _check_length(self, body: bytes) -> bytes:
        """As it is; some servers end a body before its end where its head asks for another protocol."""
        if self.content_length not in {None, len(body)}:
            raise BadRequest("The body is not as long as its head says.")
        return body

    async def _drop(self, event: Event, most: int) -> None:
        dropped = 0
        while event.get("more_body") and dropped < most:
            event = await self._next_event()
            dropped += len(event.get("body", b""))

    async def _next_event(self) -> Event:
        event = await self._receive()
        if event["type"] == "http.disconnect":
            raise BadRequest("The connection ended before the body did.")
        return event


def give_way() -> None:
    """Give up the body that has held memory for longest while it comes, if that is long: somebody else needs it."""
    now = asyncio.get_running_loop().time()
    timer, since = next(iter(_coming.items()), (None, now))
    if timer and now - since > SLOW_SECONDS:
        del _coming[timer]
        if not timer.expired():
            timer.reschedule(now)


async def _hold_for(timer: asyncio.Timeout, hold: Hold, size: int) -> None:
    _coming.setdefault(timer, asyncio.get_running_loop().time())
    await hold(size)


_coming: dict[asyncio.Timeout, float] = {}
"""The bodies that hold memory and are not all there, and since when; the longest first."""


def _write_environ(scope: Scope) -> dict[str, str]:
    client = scope.get("client")
    environ = {
        "REMOTE_ADDR": client[0] if client else "",
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
    }
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for raw, value in headers:
        name = _name_known(raw) if len(raw) <= KNOWN_LENGTH else _name_header(raw)
        if name in environ and name not in _UNPREFIXED:
            environ[name] += f",{value.decode('latin-1')}"
        elif name:
            environ[name] = value.decode("latin-1")
    return environ


def _name_header(raw: bytes) -> str:
    """As WSGI names it; empty where it has underscores: such could not be told from the same with hyphens."""
    name = raw.decode("latin-1").replace("-", "_").upper()
    if b"_" in raw:
        return ""
    return name if name in _UNPREFIXED else f"HTTP_{name}"


_name_known = lru_cache(maxsize=1_024)(_name_header)
_UNPREFIXED = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})
