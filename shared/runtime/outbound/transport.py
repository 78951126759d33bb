"""aiohttp, held to our rules: checked addresses, verified TLS, no redirects, proxies, cookies or retries.

Only this module, wire.py and failures.py import aiohttp; client.py imports them when the first request is sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from functools import lru_cache

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from shared.runtime.errors import AnswerUnreadable, OutsideError, ProtocolFailed, TimedOut, Unavailable
from shared.runtime.outbound.addresses import AddressPolicy
from shared.runtime.outbound.deadlines import Deadlines
from shared.runtime.outbound.exchange import OutboundReply, OutboundRequest
from shared.runtime.outbound.failures import FAILURES, AddressRefusedError, describe_failure
from shared.runtime.outbound.names import (
    LookUp,
    Objection,
    check_answers,
    describe_name_error,
    name_address,
    start_look_up,
)
from shared.runtime.outbound.reading import ReplyReader
from shared.runtime.outbound.targets import Target, parse_url
from shared.runtime.outbound.wire import Connector, exchange, get_wire, write_request

KEEPALIVE_SECONDS = 4.0
"""Idle connections go before the other side closes them (Node after 5 s): a POST into a closing one is lost."""

KEPT_ORIGINS = 2000
"""Hosts of which the description for aiohttp is kept: making one costs as much as half a request; and of which it is
known that their 204 comes without a body."""

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


class Transport:
    """The connections of one client, on one event loop."""

    def __init__(self, policy: AddressPolicy, look_up: LookUp, extra_trust: str | None) -> None:
        self._policy = policy
        self._look_up = look_up
        self._extra_trust = extra_trust
        self._deadlines = Deadlines()
        self._connectors: dict[str, Connector] = {}
        self._origins: dict[tuple[str, str], aiohttp.ClientRequest] = {}
        self._quiet: set[URL] = set()

    async def send(self, request: OutboundRequest, seconds: float) -> OutboundReply:
        """Send `request`, read its reply to the limit, all within `seconds`. Raises OutsideError subclasses."""
        readers: list[ReplyReader] = []
        try:
            return await self._exchange(request, seconds, readers)
        except (OutsideError, Unavailable) as problem:
            if request.once and any(each.begun and each.begun.is_success for each in readers):
                raise AnswerUnreadable(problem.detail) from None
            raise

    async def _exchange(
        self, request: OutboundRequest, seconds: float, readers: list[ReplyReader]
    ) -> OutboundReply:
        target = parse_url(request.url)
        data = write_request(request, target)
        started = time.perf_counter()
        task = self._deadlines.start(seconds)
        reader: ReplyReader | None = None
        try:
            connection = await self.connect(target)
            peer = get_wire(connection).peer
            reader = self.make_reader(connection, request, target)
            readers.append(reader)
            await exchange(connection, data, reader)
        except (asyncio.CancelledError, TimeoutError) as error:
            if not self._deadlines.end(task) and not isinstance(error, TimeoutError):
                raise
            late = f"it was not complete within {seconds:g} seconds"
            if reader is None or request.whole or not reader.stop(late):
                raise TimedOut(f"{target.name} did not answer in full within {seconds:g} seconds.") from None
        except FAILURES as error:
            raise describe_failure(error, target.name, target.port) from None
        finally:
            self._deadlines.end(task)
        self._remember_quiet(target, reader)
        reply = make_reply(reader, peer, (time.perf_counter() - started) * 1000)
        if request.whole and reply.truncated:
            raise ProtocolFailed(f"The reply of {target.name} is not whole: {reply.cut}.")
        return reply

    async def close(self) -> None:
        """Close all connections."""
        while self._connectors:
            await self._connectors.popitem()[1].close()

    async def connect(self, target: Target) -> aiohttp.connector.Connection:
        """A connection to a checked address of `target`. Errors: FAILURES."""
        url = target.origin
        key = (url.scheme, url.raw_authority)
        origin = self._origins.get(key)
        if origin is None:
            if len(self._origins) >= KEPT_ORIGINS:
                self._origins.clear()
            origin = self._origins[key] = aiohttp.ClientRequest(
                "GET", url.origin(), loop=asyncio.get_running_loop()
            )
        connector = self._connectors.get(url.scheme) or self._open_connector(url.scheme)
        return await connector.connect(origin, [], _NO_TIMEOUT)

    def make_reader(
        self, connection: aiohttp.connector.Connection, request: OutboundRequest, target: Target
    ) -> ReplyReader:
        """What reads the reply to `request`, which comes on `connection`."""
        return ReplyReader(
            get_wire(connection),
            request.reply_limit,
            with_body=request.method != "HEAD",
            linger=target.origin not in self._quiet,
            meet=request.meet,
        )

    def _remember_quiet(self, target: Target, reader: ReplyReader) -> None:
        if reader.came_without_body and target.origin not in self._quiet:
            if len(self._quiet) >= KEPT_ORIGINS:
                self._quiet.clear()
            self._quiet.add(target.origin)

    def _open_connector(self, scheme: str) -> Connector:
        # One for each scheme: what was resolved for https, or is connected, may not be used for plain http.
        objection = self._policy.find_objection if scheme == "https" else self._policy.find_plain_objection
        connector = self._connectors[scheme] = Connector(
            resolver=_CheckedResolver(objection, self._look_up),
            socket_factory=_make_socket_factory(objection),
            ssl=make_trust(self._extra_trust),
            # Callers lease what they send; a limit here would let a slow host hold up the others.
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
        )
        return connector


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


def make_reply(reader: ReplyReader, peer: tuple[str, str] | None, milliseconds: float) -> OutboundReply:
    """What was read, as whoever sent the request gets it; `peer` is when the certificate holds, as TLS writes it."""
    head = reader.head
    assert head is not None  # noqa: S101 - it was read, or this is not reached
    return OutboundReply(
        head.status,
        head.headers,
        bytes(reader.body),
        truncated=not reader.is_whole,
        milliseconds=milliseconds,
        cut="; ".join(head.notes) or None,
        certificate=read_times(*peer) if peer else None,
    )


@lru_cache(maxsize=KEPT_ORIGINS)
def read_times(begins: str, ends: str) -> tuple[float, float]:
    """When a certificate begins and ends to hold, in seconds since 1970."""
    return float(ssl.cert_time_to_seconds(begins)), float(ssl.cert_time_to_seconds(ends))


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
        if words := objection(name_address(end)):
            raise AddressRefusedError(words)
        return socket.socket(family, kind, protocol)

    return make_socket
