"""HTTP: whatever can post, with a secret or a token of each device, and APIs that are polled for what is new."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    EXPRESSION_LIMIT,
    Access,
    Batch,
    BearerToken,
    Check,
    Checker,
    CodecFields,
    CodedBody,
    Deadline,
    Destination,
    EndpointUrl,
    Expression,
    Group,
    Headers,
    Message,
    PayloadFields,
    Poller,
    PushedRequest,
    Receiver,
    StoredBody,
    TopicRules,
    check_filter,
    check_path,
    encode_basic,
    join_basic,
    locate_url,
    require_partner,
    reveal_headers,
)

_POLLING = (
    *("poll_url", "poll_items", "poll_key", "poll_cursor", "poll_first_cursor", "poll_next"),
    *("poll_interval_seconds", "session_seconds"),
)
_POLLED: dict[str, Any] = {"x-when": {"properties": {"poll_url": {"not": {"const": None}}}}}
_WITH_CURSOR: dict[str, Any] = {"x-when": {"properties": {"poll_url": {"pattern": r"\{cursor\}"}}}}
_WITH_USER: dict[str, Any] = {"x-when": {"properties": {"basic_username": {"not": {"const": None}}}}}
_PLACES = ("{cursor}", "{page}")


def _check_template(url: str) -> str:
    left = url
    for place in _PLACES:
        left = left.replace(place, "")
    if "{" in left or "}" in left:
        raise ValueError("of braces an address has only {cursor} and {page}; percent-encode others")
    if "{" in re.split("[/?#]", url.partition("//")[2])[0] or "{" in url.partition("//")[0]:
        raise ValueError("{cursor} and {page} stand in the path or the query; the host is always the same")
    locate_url(left)
    return url


class Http(Checker, Poller, Receiver, CodecFields, PayloadFields):
    """What posts to us and how it proves itself, or where to ask, for what, and how to go on."""

    label: ClassVar[str] = "HTTP"
    docs: ClassVar[str] = "Anything that can post over HTTP, and HTTP APIs that are polled for what is new."

    groups: ClassVar[tuple[Group, ...]] = (
        Group("What posts", ("device_tokens", "device_path", "device_parameter"), open=True),
        Group("What is polled", _POLLING),
        Group("Authentication", ("bearer_token", "basic_username", "basic_password", "headers")),
    )

    device_path: str | None = Field(None, examples=["line/+/up"])
    """Where a path names its device, as in line/+/up; without it the level after devices does."""
    device_parameter: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """The parameter of the query that names the device."""
    device_tokens: bool = False
    """Whether a device may post with a token of its own, instead of webhook_secret."""

    poll_url: Annotated[EndpointUrl, AfterValidator(_check_template)] | None = Field(
        None,
        examples=["https://api.example.com/readings?since={cursor}", "https://api.example.com/latest"],
    )
    """An API to poll; {cursor} and {page} in it are filled in."""
    poll_interval_seconds: Annotated[float, Field(ge=5, le=86_400)] = 60
    """How long after a poll the next one is due."""
    bearer_token: BearerToken | None = None
    """Sent to the API that is polled."""
    basic_username: (
        Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^:\x00-\x1f]+$")] | None
    ) = None
    """The user name for the API that is polled, without colons."""
    basic_password: Annotated[SecretStr, Field(max_length=1024)] | None = Field(
        None, json_schema_extra=_WITH_USER
    )
    """The password that goes with it."""
    headers: Headers = Field(default_factory=dict, examples=[{"X-Tenant": "acme"}])
    """Sent to the API that is polled."""
    poll_items: str | None = Field(None, examples=["data.items"], json_schema_extra=_POLLED)
    """Where in a reply the list of items is, as in data.items; without it the reply is the list, or the only item."""
    poll_key: str = "id"
    """Where in an item what names it is: of the same key one is stored."""
    poll_cursor: Expression | None = Field(
        None, examples=["data.items[-1].id"], json_schema_extra=_WITH_CURSOR
    )
    """A JMESPath expression over a reply: what {cursor} is from then on."""
    poll_first_cursor: Annotated[str, Field(max_length=EXPRESSION_LIMIT)] = ""
    """What {cursor} is at first."""
    poll_next: str | None = Field(None, examples=["links.next"], json_schema_extra=_POLLED)
    """Where in a reply the next page is: its address, or what {page} is then; nothing there ends the poll."""

    @field_validator("device_path")
    @classmethod
    def _check_device_path(cls, path: str | None) -> str | None:
        if path and "+" not in path.split("/"):
            raise ValueError("write + for the level that names the device, as in line/+/up")
        return path and check_filter(path.strip("/"))

    @field_validator("poll_items", "poll_key", "poll_next")
    @classmethod
    def _check_place(cls, path: str | None) -> str | None:
        return path and check_path(path)

    @field_validator(
        "basic_username", "basic_password", "bearer_token", "poll_cursor", "poll_items", "poll_next"
    )
    @classmethod
    def _check_partner(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name == "basic_username" and value is not None and info.data.get("bearer_token"):
            raise ValueError("bearer_token is set too; use one of them and set the other to null")
        partner = "basic_username" if info.field_name == "basic_password" else "poll_url"
        return require_partner(value, partner, info)

    @field_validator("headers")
    @classmethod
    def _check_headers(
        cls, headers: dict[str, str | SecretStr], info: ValidationInfo
    ) -> dict[str, str | SecretStr]:
        if headers and info.data.get("poll_url", "") is None:
            raise ValueError("they go with poll_url, which is not set")
        if any(name.lower() == "authorization" for name in headers) and (
            info.data.get("bearer_token") or info.data.get("basic_username")
        ):
            raise ValueError(
                "Authorization is set by bearer_token or basic_username already; leave out one of them"
            )
        return headers

    @field_validator("poll_cursor")
    @classmethod
    def _check_cursor(cls, expression: str | None, info: ValidationInfo) -> str | None:
        if expression and "{cursor}" not in (info.data.get("poll_url") or "{cursor}"):
            raise ValueError("poll_url has no {cursor} to be filled in with it")
        return expression

    @model_validator(mode="after")
    def _check_ways(self) -> Http:
        if not (self.webhook_secret or self.device_tokens or self.poll_url):
            raise ValueError(
                "nothing could come: set webhook_secret or device_tokens for what posts, or poll_url for what is asked"
            )
        return self

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where the API's credentials are sent: to the host of poll_url, whatever is filled in."""
        url = config.get("poll_url")
        for place in _PLACES:
            url = url.replace(place, "") if isinstance(url, str) else url
        return locate_url(url)

    @property
    def is_polled(self) -> bool:
        """Whether there is anything to ask."""
        return self.poll_url is not None

    @property
    def topic_rules(self) -> TopicRules:
        """A path names its device where `device_path` says."""
        return TopicRules((self.device_path,) if self.device_path else ())

    @property
    def access(self) -> Access:
        """What calls to the API that is polled need."""
        headers = reveal_headers(self.headers)
        if self.bearer_token:
            headers["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        elif self.basic_username:
            headers["Authorization"] = encode_basic(self._basic_pair)
        return Access("The API", "", headers, list(self.secret_values), self.identity.organization_id)

    @property
    def _basic_pair(self) -> str:
        return join_basic(self.basic_username, self.basic_password)

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, and what basic authentication makes of one."""
        return (*super().secret_values, *([self._basic_pair] if self.basic_password else []))

    def verify(self, request: PushedRequest) -> None:
        """By the token of a device, where it brings one that is valid, else as `webhook_authentication` says."""
        if not (self.device_tokens and request.device):
            super().verify(request)

    def keep_proven(self, request: PushedRequest) -> PushedRequest:
        """A token comes along with everything that its device says."""
        return request if self.device_tokens and request.device else super().keep_proven(request)

    def parse(self, request: PushedRequest) -> list[Message]:
        """The messages of a body that was posted; see shared/providers/http/parse.py."""
        from shared.providers.http.parse import parse_request

        return parse_request(self, request, time.time())

    def describe_stored(self, stored: StoredBody) -> CodedBody:
        """Its device is the one it had."""
        known = Message(stored.event_id, stored.device, topic=stored.topic)
        return CodedBody(stored.body, known, received_at=stored.received_at)

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """One poll, page by page; see shared/providers/http/session.py."""
        from shared.providers.http.session import poll_api

        yield from poll_api(self, state, self.limit_session(deadline))

    def check(self) -> Iterator[Check]:
        """Compile the codec, ask the API for one page."""
        from shared.providers.http.check import check_ways

        yield from check_ways(self)
