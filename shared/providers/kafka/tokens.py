"""Tokens for OAUTHBEARER: by client credentials (RFC 6749, section 4.4), from the address that the config names."""

from __future__ import annotations

import time
from http import HTTPStatus
from urllib.parse import quote, urlencode

from aiokafka.abc import AbstractTokenProvider

from shared.provider import (
    CredentialsRefused,
    OutboundReply,
    OutboundRequest,
    ProtocolFailed,
    ProviderRefused,
    encode_basic,
    mask_secrets,
    read_json,
    replace_nul,
    send_once,
)
from shared.providers.kafka.plan import Sasl

TOKEN_SECONDS = 8.0
DEFAULT_SECONDS = 300.0
SPARE_SECONDS = 30.0
"""A token that ends sooner is not begun with."""

LEAST_SECONDS, MOST_SECONDS = 60.0, 86_400.0
"""How long a token is kept whatever is said of it: one is not asked for before each question to a broker."""

REPLY_BYTES = 65_536
WORDS_LIMIT = 300


def make_tokens(sasl: Sasl) -> Tokens:
    """The tokens of one who logs in."""
    return Tokens(sasl)


class Tokens(AbstractTokenProvider):  # type: ignore[misc] # aiokafka has no types
    """One token at a time. It is asked for where no event loop runs, for it is asked for over HTTP like all else."""

    def __init__(self, sasl: Sasl) -> None:
        self._sasl = sasl
        self._token = ""
        self._ends = float("-inf")

    def renew(self) -> None:
        """See to it that there is a token that holds for a while. Errors: OutsideError."""
        if time.monotonic() > self._ends - SPARE_SECONDS:
            begun = time.monotonic()
            self._token, seconds = _read_token(self._sasl, send_once(_make_request(self._sasl)))
            self._ends = begun + seconds

    async def token(self) -> str:
        """The one there is."""
        return self._token


def _make_request(sasl: Sasl) -> OutboundRequest:
    wanted = {"grant_type": "client_credentials"} | ({"scope": sasl.scope} if sasl.scope else {})
    # Section 2.3.1: both are encoded as in a form first.
    pair = f"{quote(sasl.username, safe='')}:{quote(sasl.password, safe='')}"
    headers = {
        "Authorization": encode_basic(pair),
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    body = urlencode(wanted).encode()
    return OutboundRequest(
        "POST", sasl.token_url or "", headers, body, TOKEN_SECONDS, REPLY_BYTES, whole=True
    )


def _read_token(sasl: Sasl, reply: OutboundReply) -> tuple[str, float]:
    """The token, and for how many seconds it holds."""
    try:
        said = read_json(reply.body)
    except ValueError:
        said = None
    said = said if isinstance(said, dict) else {}
    if reply.status != HTTPStatus.OK:
        words = str(said.get("error_description") or said.get("error") or "")[:WORDS_LIMIT]
        words = replace_nul(mask_secrets(words, [sasl.password]))
        detail = f"The token endpoint answered {reply.status}" + (f": {words}" if words else ".")
        if reply.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise CredentialsRefused(detail)
        raise ProviderRefused(detail, answered=reply.status)
    token, seconds = said.get("access_token"), said.get("expires_in", DEFAULT_SECONDS)
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise ProtocolFailed("The token endpoint's answer has no access_token.")
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    return token, float(min(max(seconds, LEAST_SECONDS), MOST_SECONDS)) if is_number else DEFAULT_SECONDS
