"""How pushed requests prove who sends them: a secret header, Standard Webhooks, HMAC over the body, or basic.

A secret comes along with everything that its sender says. A signature covers the body and `SIGNED_HEADERS`: whoever
has seen one request can change all else and send it again, so nothing else of it is handed on.

Everything is compared in constant time, and every acceptable secret is tried. Errors: Unauthenticated; its detail names
what is wrong, never a secret or a signature, and is for the log: callers outside all get the same answer.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.provider.standard_webhooks import check_timestamp, verify_webhook
from shared.runtime.errors import Unauthenticated

Authentication = Literal["header", "standard-webhooks", "hmac-sha256", "basic"]

SIGNED_HEADERS: Mapping[Authentication, tuple[str, ...]] = {
    "standard-webhooks": ("webhook-id", "webhook-timestamp"),
    "hmac-sha256": ("x-webhook-timestamp",),
}
"""By the kinds of proof that are signatures, the headers that they cover."""

SIGNATURE_HEADERS = ("x-webhook-signature", "x-hub-signature-256")
TIMESTAMP_HEADER = "x-webhook-timestamp"

_TIMED = re.compile(rb"[0-9]+\.")
"""How what is signed begins where it has a time."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a request has to prove: one of `secrets`, in the way of `authentication`. Without secrets nothing passes."""

    authentication: Authentication
    secrets: Sequence[str]
    header: str = ""
    username: str = ""


def verify_request(expected: Expected, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise Unauthenticated unless the request proves itself. Header names in lower case; `now` is Unix time."""
    _VERIFIERS[expected.authentication](expected, headers, body, now)


def _verify_header(expected: Expected, headers: Mapping[str, str], _body: bytes, _now: float) -> None:
    given = headers.get(expected.header.lower(), "")
    if not _match_any(given, expected.secrets):
        raise Unauthenticated(f"The header {expected.header} is missing, or not the secret.")


def _verify_basic(expected: Expected, headers: Mapping[str, str], _body: bytes, _now: float) -> None:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    given = encoded.strip() if scheme.lower() == "basic" else ""
    if not _match_any(given, [_encode_pair(expected.username, secret) for secret in expected.secrets]):
        raise Unauthenticated("The Authorization header is missing, or not the user name and the secret.")


def _verify_standard(expected: Expected, headers: Mapping[str, str], body: bytes, now: float) -> None:
    verify_webhook(expected.secrets, headers, body, now)


def _verify_hmac(expected: Expected, headers: Mapping[str, str], body: bytes, now: float) -> None:
    """The signature is hex over the body, or over `<timestamp>.<body>` where X-Webhook-Timestamp is sent."""
    given = next((headers[name] for name in SIGNATURE_HEADERS if name in headers), "")
    timestamp = headers.get(TIMESTAMP_HEADER)
    if timestamp is None and _TIMED.match(body):
        raise Unauthenticated(
            "The body begins as what is signed with a time does: send X-Webhook-Timestamp, and sign it too."
        )
    if timestamp is not None:
        check_timestamp(timestamp, "X-Webhook-Timestamp", now)
        body = b"%s.%s" % (timestamp.encode(), body)
    signatures = [hmac.digest(secret.encode(), body, "sha256").hex() for secret in expected.secrets]
    if not _match_any(given.strip().lower().removeprefix("sha256="), signatures):
        raise Unauthenticated("The signature header is missing, or none of its kind matches the body.")


_VERIFIERS: dict[Authentication, Callable[[Expected, Mapping[str, str], bytes, float], None]] = {
    "header": _verify_header,
    "standard-webhooks": _verify_standard,
    "hmac-sha256": _verify_hmac,
    "basic": _verify_basic,
}


def _match_any(given: str, wanted: Sequence[str]) -> bool:
    # Hashed, because comparing tells the length; a list, because stopping at a match would tell which it was.
    digest = _hash(given)
    return any([hmac.compare_digest(digest, _hash(text)) for text in wanted])  # noqa: C419 - as above


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _encode_pair(username: str, secret: str) -> str:
    return base64.b64encode(f"{username}:{secret}".encode()).decode()
