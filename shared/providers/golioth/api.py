"""Golioth's management API over `outbound`: envelopes, paging, errors in Golioth's words, retries within one deadline.

Source: Golioth's OpenAPI document and Python client 0.9.0. One object comes as `{"data": …}`, a list as `{"list": […],
"page": 0, "perPage": 100, "total": 1}` with a zero-based page, an error as google.rpc.Status `{"code", "message"}`.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlencode

import orjson

from shared.provider import (
    CredentialsRefused,
    Deadline,
    OutboundClient,
    OutboundReply,
    OutboundRequest,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    mask_secrets,
)

PAGE_SIZE = 100
MOST_PAGES = 10_000
REQUEST_SECONDS = 30.0
REPLY_LIMIT = 16 * 1_048_576
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)
LONGEST_WAIT = 30.0
WORDS_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Account:
    """Whose project: `base_url` as in the config, without a slash at its end; `organization_id` is Golioth's own."""

    base_url: str
    api_key: str
    project_id: str
    organization_id: str | None = None


class GoliothApi:
    """One account's calls, over one kept connection. Use it as `with GoliothApi(account, deadline) as api`.

    Every call ends by `deadline`. 429 is tried again, 5xx too unless `call` is told that it may not be repeated.
    Errors: ProviderRefused with Golioth's status and words, CredentialsRefused for 401 and 403, other OutsideErrors.
    """

    def __init__(self, account: Account, deadline: Deadline) -> None:
        self.account = account
        self._deadline = deadline
        self._runner = asyncio.Runner()
        self._client = OutboundClient()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._client.close())
        finally:
            self._runner.close()

    def in_project(self, *parts: str) -> str:
        """`/projects/{project}/…`, each part escaped."""
        return join_path("projects", self.account.project_id, *parts)

    def in_organization(self, *parts: str) -> str:
        """`/organizations/{organization}/projects/{project}/…`; ProtocolFailed where the config has no organization."""
        if not self.account.organization_id:
            raise ProtocolFailed(
                "Set golioth_organization_id: cohorts, deployments and packages belong to an organization of Golioth's."
            )
        return join_path("organizations", self.account.organization_id) + self.in_project(*parts)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        again: bool = True,
    ) -> Any:
        """The reply's JSON, None where it is empty. `again`: whether it may be repeated after a 5xx."""
        request = self._make_request(method, path, body, query)
        for wait in (*RETRY_SECONDS, None):
            reply = self._send(request)
            if wait is None or not _is_passing(reply, again=again):
                break
            self._pause(reply, wait)
        return self._read(reply)

    def get_one(self, path: str, **query: Any) -> Any:
        """What is in the `data` of the reply."""
        return read_data(self.call("GET", path, query=query))

    def list_pages(self, path: str, *, first: int = 0, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """Page after page from `first` to the end; an empty list yields one empty page."""
        for page in range(first, MOST_PAGES):
            reply = self.call("GET", path, query={**query, "page": page, "perPage": PAGE_SIZE})
            items = read_list(reply)
            yield items
            if is_last_page(reply, page, len(items)):
                return
        raise ProtocolFailed(f"Golioth's list has more than {MOST_PAGES} pages.")

    def _make_request(
        self, method: str, path: str, body: Any, query: Mapping[str, Any] | None
    ) -> OutboundRequest:
        wanted = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        headers = {"x-api-key": self.account.api_key, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return OutboundRequest(
            method,
            f"{self.account.base_url}{path}" + (f"?{urlencode(wanted, doseq=True)}" if wanted else ""),
            headers,
            None if body is None else orjson.dumps(body),
            reply_limit=REPLY_LIMIT,
        )

    def _send(self, request: OutboundRequest) -> OutboundReply:
        seconds = min(REQUEST_SECONDS, self._deadline.remaining())
        if seconds <= 0:
            raise TimedOut("The time for Golioth's API was used up; the rest follows with the next run.")
        # Rounded up, so that once it has passed the deadline has, too.
        timed = replace(request, timeout_seconds=math.ceil(seconds * 100) / 100)
        return self._runner.run(self._client.send(timed))

    def _pause(self, reply: OutboundReply, wait: float) -> None:
        asked = reply.headers.get("Retry-After", "")
        seconds = float(asked) if asked.isascii() and asked.isdigit() else wait * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        if seconds >= min(LONGEST_WAIT, self._deadline.remaining()):
            self._read(reply)
        time.sleep(seconds)

    def _read(self, reply: OutboundReply) -> Any:
        return _read_reply(reply, self.account.api_key)


def join_path(*parts: str) -> str:
    """`/a/b` with each part escaped whole; ProtocolFailed for a part that would lead elsewhere."""
    if wrong := {"", ".", ".."} & set(parts):
        raise ProtocolFailed(f"Golioth has nothing of the name {wrong.pop()!r}.")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def read_data(reply: Any) -> Any:
    """What is in the envelope's `data`; ProtocolFailed without one."""
    if not isinstance(reply, dict) or "data" not in reply:
        raise ProtocolFailed("Golioth answered without data.")
    return reply["data"]


def read_list(reply: Any) -> list[dict[str, Any]]:
    """The objects of a list reply; a project without any answers without `list`."""
    items = reply.get("list", []) if isinstance(reply, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ProtocolFailed("Golioth answered without a list.")
    return items


def is_last_page(reply: Mapping[str, Any], page: int, count: int) -> bool:
    """Whether nothing follows: by `total` where it is told, else by a page that came empty.

    `perPage` is read back, for Golioth may serve fewer than were asked for.
    """
    total, size = reply.get("total"), reply.get("perPage")
    if count == 0:
        return True
    if isinstance(total, int) and isinstance(size, int) and size > 0:
        return (page + 1) * size >= total
    return False


def _is_passing(reply: OutboundReply, *, again: bool) -> bool:
    failed = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and reply.status != HTTPStatus.NOT_IMPLEMENTED
    return reply.status == HTTPStatus.TOO_MANY_REQUESTS or (again and failed)


def _read_reply(reply: OutboundReply, api_key: str) -> Any:
    if reply.truncated:
        raise ProtocolFailed(f"Golioth's answer is larger than {REPLY_LIMIT} bytes.")
    # What is no Golioth may say back what it is sent: the key is no data.
    body = reply.body.replace(api_key.encode(), b"***")
    try:
        document = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        document = None
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            raise ProtocolFailed("Golioth's answer is not JSON.") from None
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return document
    raise _make_refusal(reply.status, document, api_key)


def _make_refusal(status: int, document: Any, api_key: str) -> CredentialsRefused | ProviderRefused:
    words = str(document.get("message") or "") if isinstance(document, dict) else ""
    # Masked in every form; and Postgres has no text with NUL.
    words = mask_secrets(words, [api_key])[:WORDS_LIMIT].replace("\x00", "\ufffd")
    said = f": {words}" if words else "."
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialsRefused(f"Golioth refused the API key ({status}){said}")
    return ProviderRefused(f"Golioth answered {status}{said}", answered=status)
