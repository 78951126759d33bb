"""Standard Webhooks 1.0.0: sign what we send, verify what we receive.

Headers `webhook-id`, `webhook-timestamp` (integer seconds of the attempt) and `webhook-signature` (space-separated
`v1,<base64>` of HMAC-SHA256 and `v1a,<base64>` of ed25519) over `<id>.<timestamp>.<body>`. Svix, where they come from,
names them `svix-id`, `svix-timestamp` and `svix-signature`; they are read as well, and sent where that is asked for.
Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.

Keys are text: `whsec_` + base64(24 to 64 bytes), `whsk_` + base64(private 32 ‖ public 32), `whpk_` + base64(public 32).
As in the libraries of the specification, text without a prefix is base64 of a symmetric secret, never the secret
itself, and lost `=` at the end are forgiven.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets as randomness
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from shared.runtime.errors import Unauthenticated

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hmac import HMAC

SECRET_PREFIX, PRIVATE_PREFIX, PUBLIC_PREFIX = "whsec_", "whsk_", "whpk_"
SECRET_BYTES = range(24, 65)
KEY_BYTES = 32
TOLERANCE = 300.0
"""Seconds that a signed time may differ from ours, either way."""

SIGNATURE_LIMIT = 32
"""Signatures looked at in one header: each asymmetric one costs about 0.1 ms."""

HeaderNames = Literal["webhook", "svix", "both"]
"""How the three headers begin."""

_PARTS = ("id", "timestamp", "signature")
_WEBHOOK, _SVIX = (tuple(f"{prefix}-{part}" for part in _PARTS) for prefix in ("webhook", "svix"))
_HEADERS: dict[HeaderNames, tuple[tuple[str, ...], ...]] = {
    "webhook": (_WEBHOOK,),
    "svix": (_SVIX,),
    "both": (_WEBHOOK, _SVIX),
}
SVIX_HEADERS = frozenset(_SVIX)

# A full stop would let a part of the body pass for a part of the id.
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,14}")


def make_secret(old: str | None = None) -> str:
    """A new key to sign with: of ed25519 (`whsk_`) where `old` is one, else `whsec_` and base64 of 32 random bytes."""
    seed = randomness.token_bytes(KEY_BYTES)
    if old and old.startswith(PRIVATE_PREFIX):
        return PRIVATE_PREFIX + base64.b64encode(seed + _derive_public(seed)).decode()
    return SECRET_PREFIX + base64.b64encode(seed).decode()


def show_public_key(secret: str) -> str | None:
    """The `whpk_` key that receivers verify with what the `whsk_` key `secret` signs; None for any other text."""
    if not secret.startswith(PRIVATE_PREFIX):
        return None
    try:
        public = _load_private(secret).public_key().public_bytes_raw()
    except ValueError:
        return None
    return PUBLIC_PREFIX + base64.b64encode(public).decode()


def check_secret(text: str) -> None:
    """ValueError says what is wrong with `text` as a key to sign with, and what to do; it never repeats the text."""
    if text.startswith(PUBLIC_PREFIX):
        raise ValueError(
            "this is a public key (whpk_), which receivers verify with; give the secret key (whsk_) to sign"
        )
    if text.startswith(PRIVATE_PREFIX):
        _check_halves(text)
        return
    if (length := len(_decode_secret(text))) not in SECRET_BYTES:
        wanted = f"{SECRET_BYTES.start} to {SECRET_BYTES.stop - 1}"
        raise ValueError(
            f"a signing secret is whsec_ and the base64 of {wanted} random bytes; this one has {length}"
        )


def check_key(text: str) -> None:
    """ValueError says what is wrong with `text` as a key to verify with: a public key, or any to sign with."""
    if text.startswith(PUBLIC_PREFIX):
        _decode_key(text, PUBLIC_PREFIX, KEY_BYTES)
    else:
        check_secret(text)


def sign_webhook(
    secrets: Iterable[str], message_id: str, timestamp: int, body: bytes, names: HeaderNames = "webhook"
) -> dict[str, str]:
    """The headers that prove `body`, one signature for each of `secrets`; without secrets no `webhook-signature`.

    `message_id` stays the same over all attempts, `timestamp` is the attempt's Unix time in seconds.
    ValueError for an id with a full stop or a malformed secret.
    """
    if not _ID.fullmatch(message_id):
        raise ValueError("a webhook-id has 1 to 256 visible ASCII characters and no full stop")
    values = [message_id, str(timestamp)]
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    if signatures := [_sign_content(secret, content) for secret in secrets]:
        values.append(" ".join(signatures))
    # Without a signature the last name of each three is left over.
    return {name: value for headers in _HEADERS[names] for name, value in zip(headers, values, strict=False)}


def unify_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """`headers` by their names in lower case, Svix's under those of the specification.

    Where one of the specification's is there, Svix's count for nothing: the one who adds a header to a request that he
    has seen does not get to choose the id that it is known by.
    """
    given = {name.lower(): value for name, value in headers.items()}
    svix = {f"webhook-{part}": given.pop(f"svix-{part}") for part in _PARTS if f"svix-{part}" in given}
    return given if any(f"webhook-{part}" in given for part in _PARTS) else given | svix


def verify_webhook(
    keys: Iterable[str], headers: Mapping[str, str], body: bytes, now: float, tolerance: float = TOLERANCE
) -> None:
    """Raise Unauthenticated unless one of `keys` signed `body` within `tolerance` seconds of `now` (Unix time).

    `keys` are symmetric secrets, public keys, or secret keys of which the public half is used. Signatures of a kind
    that no key is for are passed over. The detail of the error names the header, never a key or a signature.
    """
    given = unify_headers(headers)
    message_id, timestamp, signatures = (given.get(f"webhook-{part}", "") for part in _PARTS)
    if not _ID.fullmatch(message_id):
        raise Unauthenticated("The webhook-id header is missing or malformed.")
    check_timestamp(timestamp, "webhook-timestamp", now, tolerance)
    content = b"%s.%s.%s" % (message_id.encode(), timestamp.encode(), body)
    if not _match_any(list(keys), signatures, content):
        raise Unauthenticated("The webhook-signature header is missing, or none of its signatures matches.")


def check_timestamp(timestamp: str, header: str, now: float, tolerance: float = TOLERANCE) -> None:
    """Raise Unauthenticated unless `timestamp` is whole seconds within `tolerance` of `now` (Unix time)."""
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Unauthenticated(f"The {header} header is missing, or not whole seconds since 1970.")
    if abs(now - int(timestamp)) > tolerance:
        raise Unauthenticated(
            f"The {header} is more than {tolerance:g} s from our clock; sign each attempt anew."
        )


def _match_any(keys: list[str], header: str, content: bytes) -> bool:
    signatures = header.split(" ")
    if len(signatures) > SIGNATURE_LIMIT:
        return False
    try:
        # A list, not a generator: how long it takes must not tell which signature matched.
        return any([_match_signature(key, signature, content) for key in keys for signature in signatures])  # noqa: C419 - as above
    except ValueError:
        raise Unauthenticated(
            "The key this receiver verifies with is malformed; an admin must enter it again."
        ) from None


def _match_signature(key: str, signature: str, content: bytes) -> bool:
    if key.startswith((PRIVATE_PREFIX, PUBLIC_PREFIX)):
        return _match_ed25519(key, signature, content)
    return hmac.compare_digest(_sign_content(key, content).encode(), signature.encode(errors="replace"))


def _match_ed25519(key: str, signature: str, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if key.startswith(PRIVATE_PREFIX):
        public = _load_private(key).public_key()
    else:
        public = Ed25519PublicKey.from_public_bytes(_decode_key(key, PUBLIC_PREFIX, KEY_BYTES))
    version, _, encoded = signature.partition(",")
    try:
        public.verify(base64.b64decode(encoded, validate=True) if version == "v1a" else b"", content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _sign_content(secret: str, content: bytes) -> str:
    if secret.startswith(PRIVATE_PREFIX):
        return "v1a," + base64.b64encode(_load_private(secret).sign(content)).decode()
    keyed = _key_hmac(secret).copy()
    keyed.update(content)
    return "v1," + binascii.b2a_base64(keyed.finalize(), newline=False).decode()


def _check_halves(text: str) -> None:
    public = _load_private(text).public_key().public_bytes_raw()
    if public != _decode_key(text, PRIVATE_PREFIX, 2 * KEY_BYTES)[KEY_BYTES:]:
        raise ValueError("the two halves of this whsk_ key do not belong together; copy it again, whole")


def _derive_public(seed: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


# Deriving the public half takes as long as signing does.
@lru_cache(maxsize=128)
def _load_private(text: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(_decode_key(text, PRIVATE_PREFIX, 2 * KEY_BYTES)[:KEY_BYTES])


@lru_cache(maxsize=1024)
def _key_hmac(secret: str) -> HMAC:
    """HMAC-SHA256 that has read its key: a copy of it takes half the time of one that is made anew."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hmac import HMAC

    return HMAC(_decode_secret(secret), SHA256())


def _decode_secret(text: str) -> bytes:
    if text.startswith(PUBLIC_PREFIX):
        raise ValueError("a public key (whpk_) can't sign")
    secret = _decode_base64(text.removeprefix(SECRET_PREFIX))
    if not secret:
        raise ValueError("the signing secret is empty; leave it out to send unsigned")
    return secret


def _decode_key(text: str, prefix: str, length: int) -> bytes:
    key = _decode_base64(text.removeprefix(prefix))
    if len(key) != length:
        raise ValueError(f"a {prefix} key is the base64 of {length} bytes; this one has {len(key)}")
    return key


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise ValueError(
            "not valid base64; a signing secret is whsec_ and base64, so encode a passphrase of your own first"
        ) from None
