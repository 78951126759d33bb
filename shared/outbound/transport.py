"""aiohttp, held to our rules: checked addresses, verified TLS, no redirects, proxies, cookies or retries.

Only this module and failures.py import aiohttp; client.py imports them when the first request is sent.
"""

from __future__ import annotations

import asyncio
import io
import re
import socket
import ssl
import time
from functools import lru_cache

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.errors import AddressBlocked, BadRequest, TimedOut
from shared.outbound.addresses import AddressPolicy
from shared.outbound.exchange import OutboundReply, OutboundRequest
from shared.outbound.failures import AddressRefusedError, describe_failure
from shared.outbound.names import LookUp, Objection, check_answers, describe_name_error, start_look_up

KEEPALIVE_SECONDS = 4.0
"""Idle connections go before the other side closes them (Node after 5 s): a POST into a closing one is lost."""

HEADER_LINES = 128
HEADER_BYTES = 8190
STREAMED_BYTES = 1_048_576
"""Bodies over this are streamed: aiohttp warns that one write of them would hold up the loop."""

_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")


class Transport:
    """The connections of one client, on one event loop."""

    def __init__(self, policy: AddressPolicy, look_up: LookUp, extra_trust: str | None) -> None:
        self._policy = policy
        self._look_up = look_up
        self._extra_trust = extra_trust
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def send(self, request: OutboundRequest) -> OutboundReply:
        """Send `request`, read its reply to the limit, all within its deadline. Raises OutsideError subclasses."""
        url = parse_url(request.url)
        session = self._sessions.get(url.scheme) or self._open_session(url.scheme)
        headers = {
            name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"
        }
        headers["Accept-Encoding"] = "identity"
        started = time.perf_counter()
        try:
            async with asyncio.timeout(request.timeout_seconds):
                response = await session.request(
                    request.method, url, headers=headers, data=_wrap_body(request.body), allow_redirects=False
                )
                body, truncated = await _read_body(response, request.reply_limit)
        except TimeoutError:
            seconds = f"{request.timeout_seconds:g} seconds"
            raise TimedOut(f"{url.raw_host} did not answer in full within {seconds}.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise describe_failure(error, url.raw_host or "", url.port or 0) from None
        milliseconds = (time.perf_counter() - started) * 1000
        return OutboundReply(response.status, response.headers, body, truncated, milliseconds)

    async def close(self) -> None:
        """Close all connections."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _open_session(self, scheme: str) -> aiohttp.ClientSession:
        # One for each scheme: what was resolved for https, or is connected, may not be used for plain http.
        objection = self._policy.find_objection if scheme == "https" else self._policy.find_plain_objection
        session = self._sessions[scheme] = aiohttp.ClientSession(
            connector=self._make_connector(objection),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "device-integrations"},
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
            auto_decompress=False,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=HEADER_LINES,
            request_class=_TracedRequest,
            middlewares=(_send_once_only,),
        )
        return session

    def _make_connector(self, objection: Objection) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            resolver=_CheckedResolver(objection, self._look_up),
            socket_factory=_make_socket_factory(objection),
            ssl=make_trust(self._extra_trust),
            # Callers lease what they send; a limit here would let a slow host hold up the others.
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )


@lru_cache(maxsize=1024)
def parse_url(text: str) -> URL:
    """`text` as a URL with a host, http or https, without credentials; BadRequest otherwise."""
    try:
        # As it is written: some receivers sign or compare the URL, and yarl would turn %2F into a slash.
        url = URL(text, encoded=text.isascii())
        host = url.raw_host
    except ValueError:
        host = None
    if not host or _CONTROL_OR_SPACE.search(text) or url.scheme not in {"http", "https"}:
        raise BadRequest("The url is not valid; write it as https://host/path.")
    if "@" in url.raw_authority:
        raise BadRequest("The url carries a user name or password; give them as authentication instead.")
    if _is_disguised_address(host):
        raise AddressBlocked(f"{host} is an address in disguise; write it as four decimal numbers.")
    return url


@lru_cache(maxsize=8)
def make_trust(extra_trust: str | None) -> ssl.SSLContext:
    """The system's trusted authorities, or certifi's where it has none, and `extra_trust` (PEM) beside them."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    if extra_trust:
        context.load_verify_locations(cadata=extra_trust)
    context.set_alpn_protocols(["http/1.1"])
    return context


class _CheckedResolver(AbstractResolver):
    """Looks a name up once and hands aiohttp only answers that were all checked."""

    def __init__(self, objection: Objection, look_up: LookUp) -> None:
        self._objection = objection
        self._look_up = look_up

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature; all families count
    ) -> list[ResolveResult]:
        try:
            answers = await asyncio.wrap_future(start_look_up(host, port, self._look_up))
        except (OSError, ValueError) as error:
            raise describe_name_error(host, error) from None
        return [
            ResolveResult(
                hostname=host,
                host=answer.address,
                port=port,
                family=answer.family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for answer in check_answers(host, answers, self._objection)
        ]

    async def close(self) -> None:
        pass


def _make_socket_factory(objection: Objection) -> aiohttp.SocketFactoryType:
    # The last line: every concrete address passes here, those of the resolver and those written in the URL.
    def make_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, end = info
        if words := objection(str(end[0])):
            raise AddressRefusedError(words)
        return socket.socket(family, kind, protocol)

    return make_socket


class _TracedRequest(aiohttp.ClientRequest):
    """Remembers its transport, so that a failed exchange can be dropped at once.

    aiohttp closes politely: a TLS peer that has stopped reading would keep the socket for another 30 s.
    """

    transport: asyncio.Transport | None = None

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        self.transport = conn.transport
        return await super().send(conn)


async def _send_once_only(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp repeats PUT and GET by itself on a lost connection; an attempt here is one request, so that it can
    # be counted and recorded. It does not repeat after an error it does not know.
    try:
        return await handler(request)
    except BaseException as error:
        if isinstance(request, _TracedRequest) and request.transport:
            request.transport.abort()
        if isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError):
            raise describe_failure(error, request.url.raw_host or "", request.url.port or 0) from None
        raise


async def _read_body(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    body = bytearray()
    try:
        while len(body) <= limit and not response.content.at_eof():
            body += await response.content.read(limit + 1 - len(body))
    except BaseException:
        _drop_connection(response)
        raise
    if len(body) > limit:
        _drop_connection(response)
    else:
        response.release()
    return bytes(body[:limit]), len(body) > limit


def _drop_connection(response: aiohttp.ClientResponse) -> None:
    # Closing a TLS connection politely would go on reading what an endless reply still sends.
    if response.connection and response.connection.transport:
        response.connection.transport.abort()
    response.close()


def _wrap_body(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body and len(body) > STREAMED_BYTES else body


def _is_disguised_address(host: str) -> bool:
    # inet_aton reads 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 as 127.0.0.1, and so does the system's resolver.
    try:
        return socket.inet_ntoa(socket.inet_aton(host)) != host
    except OSError:
        return False
