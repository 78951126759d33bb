"""Custom webhooks: events sent to any HTTPS endpoint, signed as Standard Webhooks 1.0.0 says."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import (
    AfterValidator,
    AwareDatetime,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from shared import __version__
from shared.provider import (
    Check,
    Checker,
    Credential,
    EndpointUrl,
    Event,
    EventDevice,
    HeaderName,
    Headers,
    Identity,
    OutboundReply,
    OutboundRequest,
    OutsideError,
    RotatingSecret,
    Seconds,
    Subscriber,
    check_secret,
    make_secret,
    require_partner,
    reveal_headers,
    run_check,
    send_once,
    show_public_key,
    sign_webhook,
)
from shared.providers.webhook.template import Template, compile_template, dump_json, render_template

CHECK_SECONDS = 9.0
EXCERPT = 2_000
"""Characters of a body shown by a connection test."""

_SECRET = RotatingSecret("signing_secret", make_secret)


def _check_signing(secret: SecretStr) -> SecretStr:
    check_secret(secret.get_secret_value())
    return secret


def _check_username(name: str) -> str:
    if not name or ":" in name or not name.isprintable():
        raise ValueError("a user name has at least one character, no colon and no control characters")
    return name


SigningSecret = Annotated[SecretStr, AfterValidator(_check_signing)]


class Webhook(Checker, Subscriber):
    """Where to send, how to prove who sends, what to send and how often to try."""

    label: ClassVar[str] = "Custom webhook"
    docs: ClassVar[str] = (
        "Sends your devices' events to any HTTPS endpoint, signed, with your headers and JSON template."
    )

    replaced_whole: ClassVar[frozenset[str]] = frozenset({"payload_template"})
    generated: ClassVar[Mapping[str, RotatingSecret]] = {_SECRET.name: _SECRET}

    url: EndpointUrl
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    bearer_token: Credential | None = None
    api_key: Credential | None = None
    api_key_header: HeaderName = "X-API-Key"
    basic_username: Annotated[str, Field(max_length=1024), AfterValidator(_check_username)] | None = None
    basic_password: Annotated[SecretStr, Field(max_length=1024)] | None = None
    headers: Headers = Field(default_factory=dict)
    payload_template: Any = None
    timeout_seconds: Annotated[Seconds, Field(gt=0, le=30)] = 30
    signing_secret: SigningSecret | None = None
    """What requests are signed with: whsec_ for v1, whsk_ for v1a. Left out, one is made and shown once; null: none."""
    signing_public_key: str | None = Field(None, json_schema_extra={"readOnly": True})
    """What receivers verify v1a signatures with: the public half of a whsk_ signing_secret. Only read."""
    previous_signing_secret: SigningSecret | None = None
    """Signed with too while receivers change over to signing_secret."""
    previous_signing_secret_until: AwareDatetime | None = None
    """From then on the previous secret is not used any more."""

    @model_validator(mode="before")
    @classmethod
    def _state_public_key(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        secret = data.get("signing_secret")
        key = show_public_key(secret) if isinstance(secret, str) else None
        given = {name: value for name, value in data.items() if name != "signing_public_key"}
        return given | ({"signing_public_key": key} if key else {})

    @field_validator("api_key", "basic_username")
    @classmethod
    def _check_one_kind(cls, value: Any, info: ValidationInfo) -> Any:
        others = [name for name in ("bearer_token", "api_key") if info.data.get(name) is not None]
        if value is not None and others:
            raise ValueError(
                f"{others[0]} is set too; use one kind of authentication and set the other to null"
            )
        return value

    @field_validator("basic_password", "previous_signing_secret")
    @classmethod
    def _check_partner(cls, value: Any, info: ValidationInfo) -> Any:
        return require_partner(
            value, "basic_username" if info.field_name == "basic_password" else _SECRET.name, info
        )

    @field_validator("headers")
    @classmethod
    def _check_overlap(cls, headers: Any, info: ValidationInfo) -> Any:
        taken = {name.lower(): field for name, field in _name_auth_header(info.data)}
        for name in headers:
            if field := taken.get(name.lower()):
                raise ValueError(f"{name} is set by {field} already; leave out one of them")
        return headers

    @field_validator("payload_template")
    @classmethod
    def _check_template(cls, template: Any) -> Any:
        if isinstance(template, str) and _is_quoted_json(template):
            raise ValueError(
                "this is JSON inside a string; give the object itself, without the quotes around it"
            )
        compile_template(template)
        return template

    def deliver(self, event: Event) -> OutboundRequest:
        """The request for one attempt at `event`, signed as of now. TooLarge where the template renders to too much."""
        context = _describe_event(event)
        body = render_template(self._template, context) if self._template else _make_body(context)
        signed = sign_webhook(_SECRET.list_valid(self), event.id, int(time.time()), body)
        return OutboundRequest(
            self.method, self.url, self._fixed_headers | signed, body, self.timeout_seconds
        )

    def check(self) -> Iterator[Check]:
        """Send an `integration.test` event: what is sent, then what the endpoint answers, secrets masked."""
        request = self.deliver(_make_test_event(self.identity))
        request = replace(request, timeout_seconds=min(self.timeout_seconds, CHECK_SECONDS))
        yield run_check("request", lambda: self._show_request(request))
        yield run_check("answer", lambda: self._show_reply(send_once(request)))

    @cached_property
    def _template(self) -> Template:
        return compile_template(self.payload_template) if self.payload_template is not None else ()

    @cached_property
    def _fixed_headers(self) -> dict[str, str]:
        ours = {"Content-Type": "application/json", "User-Agent": f"device-integrations/{__version__}"}
        return reveal_headers(self.headers) | ours | self._authenticate()

    def _authenticate(self) -> dict[str, str]:
        if self.bearer_token:
            return {"Authorization": f"Bearer {self.bearer_token.get_secret_value()}"}
        if self.api_key:
            return {self.api_key_header: self.api_key.get_secret_value()}
        if self.basic_username:
            return {"Authorization": f"Basic {base64.b64encode(self._basic_pair.encode()).decode()}"}
        return {}

    @property
    def _basic_pair(self) -> str:
        return (
            f"{self.basic_username}:{self.basic_password.get_secret_value() if self.basic_password else ''}"
        )

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, and the pair that basic authentication makes of one."""
        return (*super().secret_values, *((self._basic_pair,) if self.basic_username else ()))

    def _show_request(self, request: OutboundRequest) -> str:
        url, query, _ = request.url.partition("?")
        lines = [
            f"{request.method} {url}{query and '?…'}",
            *(f"{name}: {value}" for name, value in request.headers.items()),
        ]
        body = self.mask_text((request.body or b"").decode())
        return "\n".join([self.mask_text("\n".join(lines)), "", _cut_text(body)])

    def _show_reply(self, reply: OutboundReply) -> str:
        text = reply.body.decode(errors="replace").replace("\x00", "\ufffd")
        body = _cut_text(self.mask_text(text, cut=reply.truncated))
        shown = f"{reply.status} after {reply.milliseconds:.0f} ms\n{body}".strip()
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return shown
        hint = " Redirects are not followed: set url to where it leads." if reply.status // 100 == 3 else ""  # noqa: PLR2004 - 3xx
        raise OutsideError(f"Expected a 2xx answer.{hint} Got {shown}")


def _name_auth_header(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if data.get("api_key"):
        yield data.get("api_key_header", ""), "api_key"
    for field in ("bearer_token", "basic_username"):
        if data.get(field):
            yield "Authorization", field


def _is_quoted_json(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict | list)
    except orjson.JSONDecodeError:
        return False


def _describe_event(event: Event) -> dict[str, Any]:
    device, source = event.device, event.integration
    return {
        "event": {
            "id": event.id,
            "type": event.type,
            "kind": event.kind,
            "at": event.at,
            "topic": event.topic,
        },
        "device": device and {"id": device.id, "external_id": device.external_id, "name": device.name},
        "payload": event.payload,
        "integration": {"id": source.integration_id, "name": source.name, "type": source.integration_type},
        "organization_id": event.organization_id,
    }


def _make_body(context: dict[str, Any]) -> bytes:
    event = context["event"]
    data = {"kind": event["kind"], "topic": event["topic"]}
    data |= {name: context[name] for name in ("device", "payload", "integration", "organization_id")}
    return dump_json({"type": event["type"], "timestamp": event["at"], "data": data})


def _make_test_event(identity: Identity) -> Event:
    return Event(
        id=str(uuid.uuid4()),
        type="integration.test",
        kind="event",
        at=datetime.now(UTC).isoformat(),
        organization_id=identity.organization_id,
        integration=identity,
        device=EventDevice(id=str(uuid.UUID(int=0)), external_id="test-device", name="Test device"),
        topic="test",
        payload={"message": "A test of this webhook."},
    )


def _cut_text(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
