"""The client all outside HTTP goes through, and its form for synchronous callers."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Self

from shared.errors import BadRequest, TimedOut
from shared.outbound.addresses import AddressPolicy, load_policy
from shared.outbound.exchange import OutboundReply, OutboundRequest
from shared.outbound.headers import check_headers
from shared.outbound.names import LookUp, look_up_addresses

if TYPE_CHECKING:
    from shared.outbound.transport import Door

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
        self._doors: dict[str, Door] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        while self._doors:
            await self._doors.popitem()[1].close()

    async def send(self, request: OutboundRequest) -> OutboundReply:
        """Send `request` once and read its reply; a redirect is a reply like any other.

        Raises BadRequest where the request can't be sent as it is, AddressBlocked, NameNotResolved,
        ConnectionRefused, TlsFailed, TimedOut, ProtocolFailed.
        """
        import asyncio

        from shared.outbound.transport import parse_url

        _check_method(request.method)
        check_headers(request.headers)
        url = parse_url(request.url)
        door = self._doors.get(url.scheme) or self._open_door(url.scheme)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(request.timeout_seconds):
                reply = await door.exchange(url, request)
        except TimeoutError:
            raise TimedOut(
                f"{url.raw_host} did not answer in full within {request.timeout_seconds:g} seconds."
            ) from None
        return OutboundReply(*reply, milliseconds=(time.perf_counter() - started) * 1000)

    def _open_door(self, scheme: str) -> Door:
        from shared.outbound.transport import Door, make_trust

        # Two doors, so that an address that only https may reach can't be reached through the other's cache.
        rule = self._policy.find_objection if scheme == "https" else self._policy.find_plain_objection
        door = self._doors[scheme] = Door(rule, self._look_up, make_trust(self._extra_trust))
        return door


def send_once(request: OutboundRequest) -> OutboundReply:
    """As `OutboundClient.send`, for callers without an event loop; every call opens its own connection."""
    import asyncio

    async def run() -> OutboundReply:
        async with OutboundClient() as client:
            return await client.send(request)

    return asyncio.run(run())


def _check_method(method: str) -> None:
    if not _METHOD.match(method):
        raise BadRequest("The method is not one of HTTP's, such as POST, in capital letters.")
