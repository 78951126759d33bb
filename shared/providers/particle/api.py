"""Particle's Cloud API: its paths, its errors in its own words, and the tokens that it is called with.

An error is `{"ok": false, "error": …, "info"?}` or OAuth's `{"error", "error_description"}`. 401 says that the token is
not valid, 403 that it is not for this; 404 that a device is unknown, or not connected.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from shared.provider import (
    Access,
    AnswerUnreadable,
    CredentialsRefused,
    Deadline,
    Item,
    JsonApi,
    OutboundRequest,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
)

NAME = "Particle"
PAGE_SIZE, MOST_PAGES = 100, 10_000
FORM = "application/x-www-form-urlencoded"
WORDS_LIMIT = 500
MARGIN_SECONDS = 300.0
"""A token is renewed so long before it ends."""

SHORTEST_SECONDS = 60.0
"""For how long one is kept that does not say when it ends."""

MOST_TOKENS = 1_000
"""Kept by a process; beyond, the one that was used longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose product: the address without a slash at its end; `secret` is a token, or that of the OAuth client.

    Without `product_id` it is an account's own devices. `owner` is our organization.
    """

    base_url: str
    secret: str = field(repr=False)
    client_id: str | None = None
    product_id: str | None = None
    owner: str = ""


class ParticleApi(JsonApi):
    """One account's calls; see JsonApi. A token that an OAuth client got is renewed, once, where it is refused."""

    def __init__(self, account: Account, deadline: Deadline, *, waits: bool = True) -> None:
        self.account = account
        self._token = account.secret if account.client_id is None else ""
        self._form_type = ""
        access = Access(NAME, account.base_url, {}, [account.secret], account.owner)
        super().__init__(access, deadline, waits=waits)

    def call(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        """As JsonApi has it, with the token."""
        if not self._token:
            self._token = self._find_token()
        try:
            return super().call(method, path, body, **how)
        except CredentialsRefused:
            if self.account.client_id is None:
                raise
            _tokens.forget(self._token_name)
            self._token = self._find_token()
            return super().call(method, path, body, **how)

    def send_form(self, path: str, media_type: str, form: bytes) -> Any:
        """POST once what is no JSON."""
        self._form_type = media_type
        try:
            return self.call("POST", path, form, again=False)
        finally:
            self._form_type = ""

    def prepare(self, request: OutboundRequest) -> OutboundRequest:
        """With the token, and the type of a form."""
        headers = dict(request.headers)
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._form_type:
            headers["Content-Type"] = self._form_type
        return replace(request, headers=headers)

    def in_scope(self, *parts: str) -> str:
        """`/v1/products/{product}/…`, or `/v1/…` of the account's own."""
        product = self.account.product_id
        return self.join_path("v1", *(("products", product) if product else ()), *parts)

    def get_page(self, number: int, **query: object) -> tuple[list[Item], bool]:
        """The devices of a page, from 1, and whether it is the last; an account's own are one page."""
        if number > MOST_PAGES:
            raise ProtocolFailed(f"Particle's list has more than {MOST_PAGES} pages.")
        asked = {"page": number, "perPage": PAGE_SIZE} if self.account.product_id else {}
        reply = self.call("GET", self.in_scope("devices"), query=asked | query)
        found = (
            reply if isinstance(reply, list) else reply.get("devices") if isinstance(reply, dict) else None
        )
        if not isinstance(found, list):
            raise ProtocolFailed("Particle answered without a list of devices.")
        pages = Item(Item(reply).fields.get("meta")).count("total_pages")
        is_last = isinstance(reply, list) or not found or (pages is not None and number >= pages)
        return [Item(each) for each in found], is_last

    def read_words(self, document: object) -> str:
        """Its error, with what it says beside."""
        item = Item(document)
        told = (item.text(name, WORDS_LIMIT) for name in ("error", "error_description", "info", "message"))
        return " ".join(dict.fromkeys(each for each in told if each))

    def make_refusal(self, status: int, said: str, retry_after: float | None) -> OutsideError:
        """Of what is not allowed the token is none the worse; its scopes are what is missing."""
        if status == HTTPStatus.UNAUTHORIZED:
            return CredentialsRefused(f"Particle refused the token (401){said}")
        if status == HTTPStatus.FORBIDDEN:
            words = f"Particle does not allow it (403){said} See the scopes of the token and its product."
            return ProviderRefused(words, answered=status)
        return super().make_refusal(status, said, retry_after)

    @property
    def _token_name(self) -> str:
        account = self.account
        parts = (account.base_url, account.client_id or "", account.secret)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _find_token(self) -> str:
        token = _tokens.find(self._token_name) or self._make_token()
        if token not in self.access.secrets:
            self.access.secrets.append(token)
        return token

    def _make_token(self) -> str:
        """By the client credentials grant (RFC 6749); the client is refused as other credentials are."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.account.client_id or "",
            "client_secret": self.account.secret,
        }
        self._token, form_type, self._form_type = "", self._form_type, FORM
        try:
            reply = super().call("POST", "/oauth/token", urlencode(form).encode())
        except AnswerUnreadable as unreadable:
            # Of whatever the token is for, nothing is done.
            raise ProtocolFailed(f"It gave no token: {unreadable.detail}") from None
        except ProviderRefused as refusal:
            if refusal.answered == HTTPStatus.BAD_REQUEST:
                raise CredentialsRefused(f"Particle refused the OAuth client: {refusal.detail}") from None
            raise
        finally:
            self._form_type = form_type
        told = Item(reply)
        token, seconds = told.text("access_token"), told.number("expires_in") or 0.0
        if not token:
            raise ProtocolFailed("Particle answered without an access_token.")
        _tokens.keep(self._token_name, token, seconds if seconds > 0 else SHORTEST_SECONDS)
        return token


class Tokens:
    """Those that OAuth clients got, until they end, by a hash of whose they are."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, name: str) -> str | None:
        """The token, unless it ends soon."""
        with self._lock:
            token, ends = self._kept.get(name, (None, 0.0))
            return token if ends > time.monotonic() else None

    def keep(self, name: str, token: str, seconds: float) -> None:
        """Keep it for so long, less a margin."""
        with self._lock:
            self._kept.pop(name, None)
            ends = time.monotonic() + seconds - min(MARGIN_SECONDS, seconds / 2)
            self._kept[name] = (token, ends)
            while len(self._kept) > MOST_TOKENS:
                self._kept.popitem(last=False)

    def forget(self, name: str) -> None:
        """It was refused."""
        with self._lock:
            self._kept.pop(name, None)


_tokens = Tokens()
