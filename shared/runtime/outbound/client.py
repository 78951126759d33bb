"""The client all outside HTTP goes through, and its form for synchronous callers."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from shared.runtime.errors import BadRequest
from shared.runtime.outbound.addresses import AddressPolicy, load_policy
from shared.runtime.outbound.exchange import OutboundReply, OutboundRequest
from shared.runtime.outbound.headers import check_headers
from shared.runtime.outbound.names import LookUp, look_up_addresses
from shared.runtime.outbound.timing import note_certificate
from shared.runtime.telemetry import observe

if TYPE_CHECKING:
    from shared.runtime.outbound.transport import Transport

_METHOD = re.compile(r"[A-Z]{1,20}\Z")


class OutboundClient:
    """Sends requests on one event loop; connections are kept per host. Use it as `async with`.

    `policy` is OUTBOUND_ALLOW's unless given. `extra_trust` is PEM text of authorities to trust beside the
    system's. `look_up` finds the addresses of a name.
    """

    def __init__(
        self,
        policy: AddressPolicy | None = None,
        *,
        look_up: LookUp = look_up_addresses,
        extra_trust: str | None = None,
    ) -> None:
        self._policy = policy or load_policy()
        self._look_up = look_up
        self._extra_trust = extra_trust
        self._transport: Transport | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        if self._transport:
            await self._transport.close()

    async def send(self, request: OutboundRequest, within: float = math.inf) -> OutboundReply:
        """Send `request` once and read its reply; a redirect is a reply like any other.

        It may take the request's own `timeout_seconds`, or `within` where that is less.

        Raises BadRequest where the request can't be sent as it is, AddressBlocked, NameNotResolved,
        ConnectionRefused, TlsFailed, TimedOut, ProtocolFailed.
        """
        if not _METHOD.match(request.method):
            raise BadRequest("The method is not one of HTTP's, such as POST, in capital letters.")
        check_headers(request.headers)
        seconds = min(request.timeout_seconds, within)
        transport = self._transport or self._open_transport()
        with observe("client", request.method, {"http.request.method": request.method}) as observed:
            reply = await transport.send(request, seconds)
            if observed:
                observed.add("server.address", urlsplit(request.url).hostname or "")
                observed.add("http.response.status_code", reply.status)
        return reply

    def _open_transport(self) -> Transport:
        from shared.runtime.outbound.transport import Transport

        self._transport = Transport(self._policy, self._look_up, self._extra_trust)
        return self._transport


def send_once(request: OutboundRequest) -> OutboundReply:
    """As `OutboundClient.send`, for callers without an event loop; every call opens its own connection."""
    import asyncio

    async def run() -> OutboundReply:
        async with OutboundClient() as client:
            return await client.send(request)

    reply = asyncio.run(run())
    note_certificate(reply.certificate)
    return reply
