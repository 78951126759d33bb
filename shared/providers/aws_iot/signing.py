"""AWS Signature Version 4, in a header or an address: who asks, for which service and region, unchanged by anybody.

Source: AWS's description of Signature Version 4; the tests hold it to published signatures. Of a path each part is
encoded once more than on the wire, but for S3, which takes it as it is and wants the hash of the body as a header.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from shared.provider import OutboundRequest

ALGORITHM = "AWS4-HMAC-SHA256"
S3 = "s3"
HASH_HEADER = "x-amz-content-sha256"
SIGNED_PREFIX = "x-amz"
"""How the names of headers begin that are signed beside the host."""

SOCKET, SOCKET_SECONDS = "iotdevicegateway", 86_400
"""The service that connects over WebSockets, and for how long a signature lets in, which is as AWS has it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Who asks: an access key, with a session's token where it is for a while only."""

    access_key_id: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for, beside the day: `iotdata` in `eu-west-1`, say."""

    service: str
    region: str


def sign_request(request: OutboundRequest, keys: Keys, scope: Scope, now: datetime) -> OutboundRequest:
    """`request` with its signature as of `now`; its query is spelt as it is signed."""
    url = urlsplit(request.url)
    query = spell_query(url.query)
    digest = hashlib.sha256(request.body or b"").hexdigest()
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": moment}
    if keys.token:
        added["x-amz-security-token"] = keys.token
    if scope.service == S3:
        added[HASH_HEADER] = digest
    headers = {**request.headers, **added}
    signed = {"host": url.netloc} | {
        name.lower(): " ".join(value.split())
        for name, value in headers.items()
        if name.lower().startswith(SIGNED_PREFIX)
    }
    path = url.path or "/"
    canonical = [request.method, path if scope.service == S3 else quote(path), query, *_list(signed), digest]
    place = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    signature = _sign(canonical, moment, place, keys.secret)
    parts = (
        f"Credential={keys.access_key_id}/{place}",
        f"SignedHeaders={';'.join(sorted(signed))}",
        f"Signature={signature}",
    )
    headers["Authorization"] = f"{ALGORITHM} {', '.join(parts)}"
    return replace(request, url=urlunsplit(url._replace(query=query)), headers=headers)


def sign_socket(host: str, path: str, keys: Keys, scope: Scope, now: datetime) -> str:
    """The query by which a WebSocket is asked for, for the host and port as the request names them.

    Unlike everywhere else the token of a session is added unsigned. Whoever reads it may connect for a day.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    place = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    asked = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key_id}/{place}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(SOCKET_SECONDS),
        "X-Amz-SignedHeaders": "host",
    }
    query = urlencode(asked, quote_via=quote, safe="-_.~")
    canonical = ("GET", path, query, *_list({"host": host}), hashlib.sha256(b"").hexdigest())
    signature = _sign(canonical, moment, place, keys.secret)
    token = f"&X-Amz-Security-Token={quote(keys.token, safe='-_.~')}" if keys.token else ""
    return f"{query}&X-Amz-Signature={signature}{token}"


def _sign(canonical: Sequence[str], moment: str, place: str, secret: str) -> str:
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    text = f"{ALGORITHM}\n{moment}\n{place}\n{digest}"
    return hmac.digest(_derive_key(secret, place), text.encode(), "sha256").hex()


def spell_query(query: str) -> str:
    """A query as it is signed: sorted by name, each with its `=`, spaces as %20."""
    pairs = [
        tuple(quote(part, safe="-_.~") for part in pair) for pair in parse_qsl(query, keep_blank_values=True)
    ]
    return "&".join("=".join(pair) for pair in sorted(pairs))


def _list(signed: Mapping[str, str]) -> tuple[str, str, str]:
    """The headers that are signed, an empty line, their names."""
    names = sorted(signed)
    return "\n".join(f"{name}:{signed[name]}" for name in names), "", ";".join(names)


def _derive_key(secret: str, place: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in place.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
