"""Twilio's REST API, as far as it is needed: forms out, JSON back, one total deadline a call, errors in our words."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson

from shared.provider import (
    AccountRefused,
    Deadline,
    OutboundReply,
    OutboundRequest,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    RecipientOptedOut,
    RecipientRefused,
    TimedOut,
    read_json,
    send_once,
)

if TYPE_CHECKING:
    from shared.providers.twilio import Twilio

CALL_SECONDS = 10.0
REPLY_BYTES = 1_048_576
"""Of a page of a hundred messages."""

VERSION = "2010-04-01"

RECIPIENT = {
    21211: "The number is not valid: write it with its country's code, as +491701234567.",
    21214: "The number can't be called: see whether it is right.",
    21217: "The number is not valid: write it with its country's code, as +491701234567.",
    13224: "The number is not valid: write it with its country's code, as +491701234567.",
    21614: "The number takes no text messages: have them called instead (by: voice).",
    21408: "The account may not send messages to that country: enable it in the console.",
    21215: "The account may not call that country: enable it in the console.",
    21608: "A trial account reaches numbers that are verified in the console alone: verify it, or upgrade.",
    21612: "From this sender the number can't be reached: choose another sender for that country.",
    63003: "The number is not at WhatsApp.",
    63016: "WhatsApp wants an approved template unless they wrote within a day: set whatsapp_content_sid.",
    30003: "The telephone was not reached: it is switched off, or has no network.",
    30004: "Messages to the number are blocked.",
    30005: "The number is unknown, or not in service.",
    30006: "The number is a landline, or its carrier takes no messages: have them called instead (by: voice).",
    30007: "A carrier took the message for unwanted: write it otherwise, or register the sender.",
    30034: "The sender is not registered for messages to the United States (A2P 10DLC).",
    30036: "It could not be delivered within validity_seconds.",
}
ACCOUNT = {
    20003: "Twilio refused the credentials: enter them again.",
    20005: "The account is not active: see its balance in the console.",
    20008: "These are test credentials: enter those of the account itself.",
    21212: "The sender is not a number of the account's: see from_number.",
    21606: "The sender can't send messages: choose another from_number.",
    21659: "The sender is not a number of the account's: see from_number.",
    21910: "Sender and recipient do not go together: see whatsapp_number.",
    30001: "Too many messages wait at Twilio for this sender: use more numbers, or send less.",
    30002: "The account is suspended: see its balance in the console.",
    63038: "The account has sent all that it may in a day: have the limit raised.",
    90010: "The account is not active: see its balance in the console.",
}
OPTED_OUT = {21610}


@dataclass(frozen=True, slots=True)
class Account:
    """An account as calls name it. `base_url` is that of its region."""

    base_url: str
    sid: str
    user: str
    password: str = field(repr=False)

    @classmethod
    def of(cls, twilio: Twilio) -> Account:
        """With the API key, where there is one."""
        from shared.providers.twilio import choose_host

        base = choose_host(twilio.base_url, twilio.region, twilio.edge)
        if twilio.api_key_sid and twilio.api_key_secret:
            return cls(base, twilio.account_sid, twilio.api_key_sid, twilio.api_key_secret.get_secret_value())
        token = twilio.auth_token.get_secret_value() if twilio.auth_token else ""
        return cls(base, twilio.account_sid, twilio.account_sid, token)


def post_form(
    account: Account, path: str, form: Sequence[tuple[str, str]], deadline: Deadline
) -> dict[str, Any]:
    """POST once; what was made. Whether what is not answered was made is for `list_made` to say."""
    return _call(account, "POST", path, urlencode(form).encode(), deadline)


def get_page(account: Account, path: str, query: Mapping[str, str], deadline: Deadline) -> dict[str, Any]:
    """GET one page, or one thing."""
    return _call(account, "GET", f"{path}?{urlencode(query)}" if query else path, None, deadline)


def _call(account: Account, method: str, path: str, body: bytes | None, deadline: Deadline) -> dict[str, Any]:
    seconds = min(CALL_SECONDS, deadline.remaining())
    if seconds <= 0:
        raise TimedOut("There was no time left to ask Twilio.")
    pair = base64.b64encode(f"{account.user}:{account.password}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    url = f"{account.base_url}/{VERSION}/Accounts/{account.sid}{path}.json"
    if "?" in path:
        url = f"{account.base_url}/{VERSION}/Accounts/{account.sid}{path.replace('?', '.json?', 1)}"
    request = OutboundRequest(method, url, headers, body, seconds, reply_limit=REPLY_BYTES)
    return _read(send_once(request), account.password)


def _read(reply: OutboundReply, password: str) -> dict[str, Any]:
    # What is not Twilio may say back what it is sent.
    body = reply.body.replace(password.encode(), b"***")
    try:
        document = read_json(body) if body else {}
    except orjson.JSONDecodeError:
        document = None
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        code = document.get("code") if isinstance(document, dict) else None
        raise judge_refusal(reply.status, code if isinstance(code, int) else 0, reply.retry_after)
    if not isinstance(document, dict):
        raise ProtocolFailed("Twilio's answer can't be read.")
    return document


def judge_refusal(status: int, code: int, retry_after: float | None = None) -> OutsideError:
    """What a refusal means, by its status first, for codes change. Never in Twilio's words: they name numbers."""
    shown = f" (Twilio's error {code})" if code else f" (status {status})"
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProviderRefused(
            f"Twilio can't take it just now{shown}.", answered=status, retry_after=retry_after
        )
    if code in OPTED_OUT:
        return RecipientOptedOut(
            f"They have answered STOP: they are not told until they write START to the sender{shown}."
        )
    if code in RECIPIENT:
        return RecipientRefused(f"{RECIPIENT[code]}{shown}")
    if code in ACCOUNT:
        return AccountRefused(f"{ACCOUNT[code]}{shown}")
    if status in {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.PAYMENT_REQUIRED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
    }:
        return AccountRefused(
            f"Twilio refused the account: see its SID, its credentials and its balance{shown}."
        )
    return ProviderRefused(f"Twilio refused the message{shown}.", answered=status)


def explain_code(code: str) -> str:
    """What an ErrorCode of a callback means."""
    number = int(code) if code.isascii() and code.isdigit() and len(code) < 8 else 0  # noqa: PLR2004 - they have five
    words = RECIPIENT.get(number) or ACCOUNT.get(number) or "Twilio could not deliver it."
    return f"{words} (Twilio's error {number})" if number else words
