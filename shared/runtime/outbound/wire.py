"""HTTP/1.1 on a connection of aiohttp's: one request written at once, one reply read to a limit.

aiohttp's own session costs twice as much a request, for what must never happen here: redirects, cookies, proxies,
passwords from files, a second try. Its connections, TLS and parser are used as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp.connector import Connection
from aiohttp.streams import StreamReader
from yarl import URL

from shared.runtime.errors import ProtocolFailed
from shared.runtime.outbound.exchange import OutboundRequest

HEADER_LINES = 128
HEADER_BYTES = 8190
MOST_INTERIM = 100
"""`100 Continue` and the like before the reply itself; nobody sends more than one or two."""

_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DEFAULTS = (("accept", "Accept: */*"), ("user-agent", "User-Agent: device-integrations"))


@dataclass(frozen=True, slots=True)
class WireReply:
    """A reply as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool


def write_request(request: OutboundRequest, url: URL) -> bytes:
    """The bytes of `request`, whose headers were checked; only the framing and what HTTP needs is added."""
    given = {name.lower(): f"{name}: {value}" for name, value in request.headers.items()}
    given.pop("accept-encoding", None)
    lines = [f"{request.method} {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}"]
    lines += given.values()
    lines += [line for name, line in _DEFAULTS if name not in given]
    body = request.body or b""
    if body or request.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Accept-Encoding: identity\r\n\r\n")
    return "\r\n".join(lines).encode() + body


async def exchange(connection: Connection, data: bytes, *, limit: int, with_body: bool) -> WireReply:
    """Write `data`, read the reply; whatever goes wrong, the connection is dropped at once.

    `limit` is the most of the body that is kept, `with_body` is false for HEAD. Raises aiohttp's errors.
    """
    try:
        answer = await _exchange(connection, data, limit=limit, with_body=with_body)
    except BaseException:
        drop_connection(connection)
        raise
    if answer.truncated:
        drop_connection(connection)
    else:
        connection.release()
    return answer


def drop_connection(connection: Connection) -> None:
    """Close without manners: a polite TLS close would wait 30 s for a peer that reads no more, or read on."""
    if connection.transport:
        connection.transport.abort()
    connection.close()


async def _exchange(connection: Connection, data: bytes, *, limit: int, with_body: bool) -> WireReply:
    protocol, transport = connection.protocol, connection.transport
    assert protocol is not None and transport is not None  # noqa: S101, PT018 - it has just been handed out
    protocol.set_response_params(
        skip_payload=not with_body,
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        max_headers=HEADER_LINES,
    )
    transport.write(data)
    for _ in range(MOST_INTERIM):
        message, payload = await protocol.read()
        if message.code >= HTTPStatus.OK or message.code == HTTPStatus.SWITCHING_PROTOCOLS:
            body = await _read_body(payload, limit + 1)
            return WireReply(message.code, message.headers, body[:limit], len(body) > limit)
    raise ProtocolFailed(
        "The server answered 100 Continue again and again instead of a reply; look into its log."
    )


async def _read_body(payload: StreamReader, most: int) -> bytes:
    body = b""
    while len(body) < most and not payload.at_eof():
        body += await payload.read(most - len(body))
    return body
