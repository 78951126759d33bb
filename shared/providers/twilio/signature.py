"""How Twilio signs what it calls back: HMAC over the address and the sorted fields.

With SHA-1 and the auth token or, where a header says so, with SHA-256 and a shared key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from shared.provider import PushedRequest, Unauthenticated

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
MOST_FIELDS = 500
PORTS = {"https": 443, "http": 80}

Fields = Mapping[str, Sequence[str]]

_SETTING = re.compile(r"\s*(\w+)\s*=\s*([^,]*?)\s*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose callbacks are taken, and what proves them: auth tokens, shared keys by their ids."""

    account_sid: str
    tokens: Sequence[str] = field(repr=False)
    shared: Mapping[str, str] = field(default_factory=dict, repr=False)


def verify_callback(keys: Keys, url: str, request: PushedRequest) -> None:
    """Raise Unauthenticated unless one of `keys` signed it. `url` is its public address, without the query."""
    full = f"{url}?{request.query_string}" if request.query_string else url
    fields = read_fields(request)
    _check_body(request)
    secrets, algorithm = _choose_keys(keys, request.headers.get(SETTINGS))
    given = request.headers.get(SIGNATURE, "").encode(errors="replace")
    made = [sign(secret, each, fields, algorithm) for secret in secrets for each in list_spellings(full)]
    if not any([hmac.compare_digest(given, each.encode()) for each in made]):  # noqa: C419 - all, whichever matches
        raise Unauthenticated("X-Twilio-Signature is missing, or not of this account and address.")
    if fields.get("AccountSid", [keys.account_sid])[0] != keys.account_sid:
        raise Unauthenticated("It is of another account.")


def sign(secret: str, url: str, fields: Fields, algorithm: str = "sha1") -> str:
    """The signature of a call to `url` with these fields."""
    text = url + "".join(f"{name}{value}" for name in sorted(fields) for value in sorted(set(fields[name])))
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), algorithm)).decode()


def read_fields(request: PushedRequest) -> dict[str, list[str]]:
    """The fields of a form; none of any other body. Unauthenticated for what can't be signed."""
    if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return {}
    try:
        return parse_qs(
            request.body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise Unauthenticated("The form can't be read.") from None


def list_spellings(url: str) -> Iterator[str]:
    """The address with and without the usual port: what is signed may have either."""
    yield url
    parts = urlsplit(url)
    usual, host = PORTS.get(parts.scheme), parts.netloc
    if parts.port is None:
        yield url.replace(host, f"{host}:{usual}", 1)
    else:
        yield url.replace(host, host.rpartition(":")[0], 1)


def _check_body(request: PushedRequest) -> None:
    """A body that is no form is signed by its hash, which the address has."""
    named = request.query.get("bodySHA256") if request.query_string else None
    if request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return
    if request.body and (
        not named or not hmac.compare_digest(named[0], hashlib.sha256(request.body).hexdigest())
    ):
        raise Unauthenticated("The body is not the one that bodySHA256 names.")


def _choose_keys(keys: Keys, settings: str | None) -> tuple[Sequence[str], str]:
    if settings is None:
        return keys.tokens, "sha1"
    named = dict(_SETTING.findall(settings[:1_000]))
    if named.get("algorithm") != "HMAC_SHA256":
        raise Unauthenticated("It is signed by an algorithm that is not known here.")
    secret = keys.shared.get(named.get("key", ""))
    return [secret] if secret else [], "sha256"
