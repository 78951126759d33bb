"""Whether a request is signed as it has to be, worked out by botocore and not by us."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)
SKEW_SECONDS = 900


@dataclass(frozen=True)
class Signed:
    """Who has signed, for which service."""

    access_key_id: str
    service: str


class SignatureError(Exception):
    """What AWS would say of it: the error's name is the first argument."""


def check_signature(
    keys: Mapping[str, tuple[str, str]], method: str, target: str, headers: Mapping[str, str], body: bytes
) -> Signed:
    """Who has signed; SignatureError otherwise. `keys` are the secret and the token of each access key id."""
    found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not found:
        raise SignatureError("MissingAuthenticationTokenException")
    key_id, day, region, service, names, signature = found.groups()
    if key_id not in keys:
        raise SignatureError("UnrecognizedClientException")
    secret, token = keys[key_id]
    if headers.get("x-amz-security-token", "") != token:
        raise SignatureError("UnrecognizedClientException")
    signed = names.split(";")
    unsigned = {name for name in headers if name.startswith("x-amz")} - {*signed}
    if unsigned or "host" not in signed or not headers["x-amz-date"].startswith(day):
        raise SignatureError("InvalidSignatureException")
    moment = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs((datetime.now(UTC) - moment).total_seconds()) > SKEW_SECONDS:
        raise SignatureError("InvalidSignatureException")
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    auth = kind(Credentials(key_id, secret, token or None), service, region)
    request = AWSRequest(
        method, f"http://{headers['host']}{target}", {name: headers[name] for name in signed}, body
    )
    request.context["timestamp"] = headers["x-amz-date"]
    if service == "s3":
        request.context["payload_signing_enabled"] = True
    text = auth.string_to_sign(request, auth.canonical_request(request))
    if auth.signature(text, request) != signature:
        raise SignatureError("InvalidSignatureException")
    return Signed(key_id, service)


def check_address(keys: Mapping[str, tuple[str, str]], host: str, target: str) -> Signed:
    """Who has signed the address of a WebSocket; SignatureError otherwise. The token of a session is not signed."""
    path, _, query = target.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    signature, token = given.pop("X-Amz-Signature", ""), given.pop("X-Amz-Security-Token", "")
    key_id, day, region, service, end = (given.get("X-Amz-Credential", "") + "////").split("/")[:5]
    if key_id not in keys:
        raise SignatureError("UnrecognizedClientException")
    secret, expected = keys[key_id]
    moment = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    age = (datetime.now(UTC) - moment).total_seconds()
    if token != expected or abs(age) > SKEW_SECONDS or not given["X-Amz-Date"].startswith(day):
        raise SignatureError("ForbiddenException")
    if (end, given["X-Amz-SignedHeaders"], path) != ("aws4_request", "host", "/mqtt"):
        raise SignatureError("ForbiddenException")
    auth = SigV4Auth(Credentials(key_id, secret), service, region)
    request = AWSRequest("GET", f"https://{host}{path}?{urlencode(given, quote_via=quote)}", {"host": host})
    request.context["timestamp"] = given["X-Amz-Date"]
    text = auth.string_to_sign(request, auth.canonical_request(request))
    if auth.signature(text, request) != signature:
        raise SignatureError("ForbiddenException")
    return Signed(key_id, service)
