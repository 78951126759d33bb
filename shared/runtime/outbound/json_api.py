"""The client of any outside API that speaks JSON: retries within one deadline, errors in its words, secrets masked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import orjson

from shared.runtime.errors import AnswerUnreadable, OutsideError, ProtocolFailed
from shared.runtime.exact_json import read_json, write_json
from shared.runtime.memory import weigh_json
from shared.runtime.outbound.api_client import ApiClient, refuse
from shared.runtime.outbound.exchange import OutboundReply


class JsonApi(ApiClient):
    """One account's calls, over one kept connection; see `ApiClient`.

    Errors: ProviderRefused with the status and the words of the answer, CredentialsRefused for 401 and 403,
    AnswerUnreadable where it was done and said in no JSON, other OutsideErrors.
    """

    holds = "JSON"
    credentials: ClassVar[str] = "the API key"
    """What is refused with 401 and 403, in words."""

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
        wanted = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        asked = f"?{urlencode(wanted, doseq=True)}" if wanted else ""
        headers, content = {"Accept": "application/json", **self.access.headers}, None
        if body is not None:
            is_plain = isinstance(body, bytes)
            headers["Content-Type"] = "application/octet-stream" if is_plain else "application/json"
            content = body if isinstance(body, bytes) else write_json(body)
        return self.repeat(self.describe(method, f"{path}{asked}", headers, content), self._read, again=again)

    def weigh(self, part: bytearray) -> int:
        """As JSON once it is parsed."""
        return weigh_json(part)

    def join_path(self, *parts: str) -> str:
        """`/a/b` with each part escaped whole; ProtocolFailed for a part that would lead elsewhere."""
        if wrong := {"", ".", ".."} & set(parts):
            raise ProtocolFailed(f"{self.access.name} has nothing of the name {wrong.pop()!r}.")
        return "".join(f"/{quote(part, safe='')}" for part in parts)

    def _read(self, reply: OutboundReply) -> Any:
        is_success = HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES
        document = None
        try:
            body = self.hide_secrets(reply.body)
            document = (self.read_body(body) if is_success else self.read_error(body)) if body else None
        except ValueError:
            if is_success:
                raise AnswerUnreadable(f"{self.access.name}'s answer is not JSON.") from None
        if not is_success:
            raise self._make_refusal(reply, document)
        return document

    def read_body(self, body: bytes) -> Any:
        """What an answer says; ValueError where that is not JSON."""
        return _read_document(body)

    def read_error(self, body: bytes) -> Any:
        """What a refusal says; ValueError where it can't be read."""
        return _read_document(body)

    def read_status(self, reply: OutboundReply) -> int:
        """What an answer's status comes to, where the other side says it in another way."""
        return reply.status

    def read_words(self, document: object) -> str:
        """What an error says of itself."""
        return str(document.get("message") or "") if isinstance(document, dict) else ""

    def read_refusal(self, reply: OutboundReply, document: object) -> str:  # noqa: ARG002 - for those who override it
        """The same, for those who say a part of it in headers."""
        return self.read_words(document)

    def make_refusal(self, status: int, said: str, retry_after: float | None) -> OutsideError:
        """What a refusal is; `said` is a colon with its words, or a full stop."""
        name = self.access.name
        refused = f"{name} refused {self.credentials} ({status}){said}"
        return refuse(status, refused, f"{name} answered {status}{said}", retry_after)

    def _make_refusal(self, reply: OutboundReply, document: object) -> OutsideError:
        status = self.read_status(reply)
        words = self.mask_words(self.read_refusal(reply, document))
        return self.make_refusal(status, f": {words}" if words else ".", reply.retry_after)


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
