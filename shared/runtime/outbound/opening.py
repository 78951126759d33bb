"""A connection whose reply goes on for as long as it is listened to: it is opened like any other request."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from shared.runtime.errors import ProtocolFailed, StreamRefused, TimedOut
from shared.runtime.outbound.exchange import OutboundRequest
from shared.runtime.outbound.failures import FAILURES, describe_failure
from shared.runtime.outbound.heads import Head
from shared.runtime.outbound.reading import ReplyReader
from shared.runtime.outbound.targets import parse_url
from shared.runtime.outbound.transport import Transport, make_reply, read_times
from shared.runtime.outbound.wire import Held, Wire, drop_connection, get_wire, write_request

if TYPE_CHECKING:
    from shared.runtime.outbound.targets import Target


@dataclass(slots=True)
class Opened:
    """A connection on which the head of a reply was read. `name` is the host; close it with `drop`."""

    name: str
    connection: Held
    reader: ReplyReader
    milliseconds: float = 0.0

    @property
    def wire(self) -> Wire:
        """What the rest is read from."""
        return get_wire(self.connection)

    @property
    def certificate(self) -> tuple[float, float] | None:
        """From when to when that of the other side holds, in seconds since 1970; None without TLS."""
        peer = self.wire.peer
        return read_times(*peer) if peer else None

    @property
    def head(self) -> Head:
        """The head of the reply."""
        assert self.reader.head is not None  # noqa: S101 - it was read, or there is no Opened
        return self.reader.head

    def drop(self) -> None:
        """End it, without a word."""
        drop_connection(self.connection)


async def open_reply(
    transport: Transport, request: OutboundRequest, status: HTTPStatus, media_type: str | None = None
) -> Opened:
    """Send `request`, and read the head of a reply that has `status` and that media type, within its time.

    Errors: StreamRefused with any other reply; as `OutboundClient.send` has them.
    """
    target = parse_url(request.url)
    data = write_request(request, target)
    try:
        async with asyncio.timeout(request.timeout_seconds):
            opened = await _begin(transport, request, target, data)
            try:
                await _require(opened, status, media_type)
            except BaseException:
                opened.drop()
                raise
            return opened
    except TimeoutError:
        raise TimedOut(f"{target.name} did not answer within {request.timeout_seconds:g} seconds.") from None
    except FAILURES as error:
        raise describe_failure(error, target.name, target.port) from None


async def _require(opened: Opened, status: HTTPStatus, media_type: str | None) -> None:
    head = opened.head
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if head.status != status or (media_type and kind != media_type):
        raise await _read_refusal(opened)
    if opened.reader.was_odd:
        raise ProtocolFailed(f"The reply of {opened.name} is not whole: {head.notes[0]}.")


async def _begin(transport: Transport, request: OutboundRequest, target: Target, data: bytes) -> Opened:
    begun = time.perf_counter()
    connection = await transport.connect(target)
    try:
        reader = transport.make_reader(connection, request, target)
        get_wire(connection).ask(data)
        await reader.read_head()
    except BaseException:
        drop_connection(connection)
        raise
    return Opened(target.name, connection, reader, (time.perf_counter() - begun) * 1000)


async def _read_refusal(opened: Opened) -> StreamRefused:
    """What a reply is that begins no stream, with its body to the limit of the request."""
    status = opened.head.status
    await opened.reader.read_rest(opened.head)
    reply = make_reply(opened.reader, None, opened.milliseconds)
    moved = (
        " Redirects are not followed."
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
        else ""
    )
    return StreamRefused(
        f"{opened.name} answered {status} instead of a stream.{moved}",
        answered=status,
        retry_after=reply.retry_after,
        body=reply.body,
    )
