"""The client of any outside API that speaks JSON: retries within one deadline, errors in its words, secrets masked."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlencode

import orjson

from shared.runtime.backoff import Backoff, is_final_status
from shared.runtime.deadline import Deadline
from shared.runtime.errors import CredentialsRefused, ProtocolFailed, ProviderRefused, TimedOut
from shared.runtime.exact_json import read_json, write_json
from shared.runtime.masking import mask_secrets
from shared.runtime.memory import SMALL, load_budget, weigh_json
from shared.runtime.outbound.client import OutboundClient
from shared.runtime.outbound.exchange import OutboundReply, OutboundRequest
from shared.runtime.outbound.timing import note_call

REQUEST_SECONDS = 30.0
FIRST_MEMORY_SECONDS, MORE_MEMORY_SECONDS = 20.0, 5.0
"""How long an answer waits for memory; less once it has some, which others wait for."""

REPLY_BYTES = 16 * 1_048_576
TRIES = 5
BACKOFF = Backoff(0.5, 4.0)
LONGEST_WAIT = 30.0
MARGIN = 1.25
WORDS_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Access:
    """An account at a JSON API: `name` is what people call the other side, `headers` go with each call.

    None of `secrets` comes back in what it answers. `owner` is the organization whose account it is.
    """

    name: str
    base_url: str
    headers: Mapping[str, str]
    secrets: list[str]
    owner: str = ""


class JsonApi:
    """One account's calls, over one kept connection. Use it in a `with`.

    Every call ends by `deadline`; what may pass is tried again. Errors: ProviderRefused with the status and the words
    of the answer, CredentialsRefused for 401 and 403, other OutsideErrors. What is answered counts as memory of the
    organization until the next call; Unavailable where it has no more.
    """

    credentials: ClassVar[str] = "the API key"
    """What is refused with 401 and 403, in words."""

    def __init__(self, access: Access, deadline: Deadline) -> None:
        self.deadline = deadline
        self.waits = True
        """Whether what is answered with 429 is tried again; without it that is left to the caller."""
        self._name = access.name
        self._base_url = access.base_url
        self._headers = {"Accept": "application/json", **access.headers}
        # Imported here, for it brings ssl with it, and whoever calls no API does not need it.
        import asyncio

        self._secrets = access.secrets
        self._runner = asyncio.Runner()
        self._client = OutboundClient()
        self._holding = load_budget().open(access.owner)
        self._weight = self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._runner.run(self._client.close())
        finally:
            self._holding.close()
            self._runner.close()

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        again: bool = True,
    ) -> Any:
        """The reply's JSON, None where it is empty. `again`: whether what may have had its effect may be repeated.

        What is None or empty in `query` is left out; a list is a parameter for each of its values. Bytes are sent as
        they are.
        """
        request = self._make_request(method, path, body, query or {})
        reply = self._send(request)
        for failures in range(1, TRIES):
            if not _is_passing(self.read_status(reply), again=again, waits=self.waits):
                break
            self._pause(reply, BACKOFF.pause(failures))
            reply = self._send(request)
        return self._read(reply)

    def join_path(self, *parts: str) -> str:
        """`/a/b` with each part escaped whole; ProtocolFailed for a part that would lead elsewhere."""
        if wrong := {"", ".", ".."} & set(parts):
            raise ProtocolFailed(f"{self._name} has nothing of the name {wrong.pop()!r}.")
        return "".join(f"/{quote(part, safe='')}" for part in parts)

    def _make_request(
        self, method: str, path: str, body: object, query: Mapping[str, object]
    ) -> OutboundRequest:
        wanted = {name: value for name, value in query.items() if value not in (None, "")}
        media_type = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        return OutboundRequest(
            method,
            f"{self._base_url}{path}" + (f"?{urlencode(wanted, doseq=True)}" if wanted else ""),
            self._headers if body is None else {**self._headers, "Content-Type": media_type},
            body if body is None or isinstance(body, bytes) else write_json(body),
            reply_limit=REPLY_BYTES,
            whole=True,
            meet=self._weigh,
        )

    def _send(self, request: OutboundRequest) -> OutboundReply:
        self._holding.close()
        self._weight = self._size = 0
        seconds = min(REQUEST_SECONDS, self.deadline.remaining())
        if seconds <= 0:
            raise TimedOut(
                f"The time for {self._name}'s API was used up; the rest follows with the next run."
            )
        # Rounded up, so that once it has passed the deadline has, too.
        timed = replace(self.prepare(request), timeout_seconds=math.ceil(seconds * 100) / 100)
        reply = self._runner.run(self._client.send(timed))
        note_call(reply.milliseconds)
        self._holding.hold(self._weight if self._holding.size else 0)
        return reply

    def _weigh(self, part: bytearray, left: int) -> None:
        """Take memory for a part of an answer, and as much for what follows as if that were alike, before it is kept.

        Whoever takes all at once need not wait for more with what others wait for.
        """
        self._size += len(part)
        self._weight += weigh_json(part)
        share, expected = load_budget().share, self._weight * (1 + min(left, REPLY_BYTES) / self._size)
        if self._weight > share or expected > 2 * share:
            raise ProtocolFailed(f"{self._name} answered more JSON at once than there is memory for.")
        if self._weight > max(SMALL, self._holding.size):
            patience = MORE_MEMORY_SECONDS if self._holding.size else FIRST_MEMORY_SECONDS
            self._holding.reserve(int(expected * MARGIN), self.deadline.within(patience))

    def _pause(self, reply: OutboundReply, wait: float) -> None:
        asked = reply.retry_after
        seconds = wait if asked is None else asked
        if seconds >= min(LONGEST_WAIT, self.deadline.remaining()):
            self._read(reply)
        time.sleep(seconds)

    def _read(self, reply: OutboundReply) -> Any:
        is_success = HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES
        document = None
        try:
            body = self._hide_secrets(reply.body)
            document = (self.read_body(body) if is_success else self.read_error(body)) if body else None
        except ValueError:
            if is_success:
                raise ProtocolFailed(f"{self._name}'s answer is not JSON.") from None
        if not is_success:
            raise self._make_refusal(reply, document)
        return document

    def _hide_secrets(self, body: bytes) -> bytes:
        # What is not the other side may say back what it is sent: a key is no data.
        for secret in self._secrets:
            body = body.replace(secret.encode(), b"***")
        return body

    def read_body(self, body: bytes) -> Any:
        """What an answer says; ValueError where that is not JSON."""
        return _read_document(body)

    def read_error(self, body: bytes) -> Any:
        """What a refusal says; ValueError where it can't be read."""
        return _read_document(body)

    def prepare(self, request: OutboundRequest) -> OutboundRequest:
        """`request` as it is sent now, each time it is: signed, say."""
        return request

    def read_status(self, reply: OutboundReply) -> int:
        """What an answer's status comes to, where the other side says it in another way."""
        return reply.status

    def read_words(self, document: object) -> str:
        """What an error says of itself."""
        return str(document.get("message") or "") if isinstance(document, dict) else ""

    def read_refusal(self, reply: OutboundReply, document: object) -> str:  # noqa: ARG002 - for those who override it
        """The same, for those who say a part of it in headers."""
        return self.read_words(document)

    def _make_refusal(self, reply: OutboundReply, document: object) -> CredentialsRefused | ProviderRefused:
        status, words = self.read_status(reply), self.read_refusal(reply, document)
        # Masked in every form; and Postgres has no text with NUL.
        words = mask_secrets(words, self._secrets)[:WORDS_LIMIT].replace("\x00", "\ufffd")
        said = f": {words}" if words else "."
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return CredentialsRefused(f"{self._name} refused {self.credentials} ({status}){said}")
        return ProviderRefused(
            f"{self._name} answered {status}{said}", answered=status, retry_after=reply.retry_after
        )


def _read_document(body: bytes) -> Any:
    """The JSON of an answer, also where it is not quite that: half of a surrogate pair must not keep all the rest."""
    try:
        return read_json(body)
    except orjson.JSONDecodeError:
        pass
    try:
        document = json.loads(body, parse_constant=lambda _: None)
        return read_json(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _is_passing(status: int, *, again: bool, waits: bool) -> bool:
    """Whether another try may help, and does no harm: what is answered with 429 was not begun."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return waits
    return again and status >= HTTPStatus.BAD_REQUEST and not is_final_status(status)
