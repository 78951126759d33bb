"""The one way out: all outside HTTP, and the address check against SSRF for every other socket.

One look-up, every answer checked, and only those addresses are connected to. TLS verified, no redirects, no
proxies, no cookies, no decompression, replies read to a limit, one deadline over all of it. Importing this is
cheap: aiohttp is imported when the first request is sent.
"""

from __future__ import annotations

from shared.runtime.outbound.addresses import AddressPolicy, is_public, load_policy
from shared.runtime.outbound.api_client import Access, ApiClient, refuse
from shared.runtime.outbound.client import OutboundClient, send_once
from shared.runtime.outbound.exchange import REPLY_LIMIT, OutboundReply, OutboundRequest
from shared.runtime.outbound.headers import (
    FORBIDDEN_HEADERS,
    FORBIDDEN_PREFIXES,
    VALUE_LIMIT,
    find_forbidden_headers,
)
from shared.runtime.outbound.json_api import JsonApi
from shared.runtime.outbound.names import (
    SocketAddress,
    connect_checked,
    describe_connect_error,
    resolve_checked,
)
from shared.runtime.outbound.streams import EventStreamReader, WebSocketStream
from shared.runtime.outbound.targets import find_origin
from shared.runtime.outbound.timing import CallTimes, note_call, note_certificate, time_calls

__all__ = [
    "FORBIDDEN_HEADERS",
    "FORBIDDEN_PREFIXES",
    "REPLY_LIMIT",
    "VALUE_LIMIT",
    "Access",
    "AddressPolicy",
    "ApiClient",
    "CallTimes",
    "EventStreamReader",
    "JsonApi",
    "OutboundClient",
    "OutboundReply",
    "OutboundRequest",
    "SocketAddress",
    "WebSocketStream",
    "connect_checked",
    "describe_connect_error",
    "find_forbidden_headers",
    "find_origin",
    "is_public",
    "load_policy",
    "note_call",
    "note_certificate",
    "refuse",
    "resolve_checked",
    "send_once",
    "time_calls",
]
