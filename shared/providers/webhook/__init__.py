"""Custom webhooks: events sent to any HTTPS endpoint, signed as Standard Webhooks 1.0.0 says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

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
    SVIX_HEADERS,
    Check,
    Checker,
    Destination,
    EndpointUrl,
    Event,
    Group,
    HeaderNames,
    Headers,
    OutboundRequest,
    RotatingSecret,
    Seconds,
    SecretUrl,
    Subscriber,
    Template,
    TransformFields,
    check_secret,
    check_text,
    compile_template,
    find_gaps,
    list_parts,
    list_payload_paths,
    locate_url,
    make_secret,
    require_partner,
    reveal_headers,
    show_origin,
    show_public_key,
    sign_webhook,
)
from shared.providers.webhook.authentication import AUTHENTICATION, AuthenticationFields, name_auth_header
from shared.providers.webhook.deliver import make_body

_SECRET = RotatingSecret("signing_secret", make_secret)
_SIGNING = (
    *(_SECRET.name, "signing_public_key", "signature_headers"),
    *(_SECRET.previous, _SECRET.previous_until),
)
_NAMES: dict[str, Any] = {"webhook": "webhook-", "svix": "svix-", "both": "Both"}

_SHOWN: dict[str, tuple[str, Callable[[str], str | None]]] = {
    "signing_public_key": (_SECRET.name, show_public_key),
    "url_origin": ("secret_url", show_origin),
}
"""What is shown in place of a secret: by its field, of which secret, and how it is made of it."""


def _check_signing(secret: SecretStr) -> SecretStr:
    check_secret(secret.get_secret_value())
    return secret


SigningSecret = Annotated[SecretStr, AfterValidator(_check_signing)]


class Webhook(Checker, TransformFields, Subscriber, AuthenticationFields):
    """Where to send, how to prove who sends, what to send and how often to try."""

    label: ClassVar[str] = "Custom webhook"
    docs: ClassVar[str] = (
        "Sends your devices' events to any HTTPS endpoint, signed, with your headers and JSON template."
    )

    replaced_whole: ClassVar[frozenset[str]] = frozenset({"payload_template"})
    generated: ClassVar[Mapping[str, RotatingSecret]] = {_SECRET.name: _SECRET}
    kept: ClassVar[frozenset[str]] = frozenset({_SECRET.name, _SECRET.previous})

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Where to send", ("url", "secret_url", "url_origin", "method", "timeout_seconds"), open=True),
        Group("Authentication", (*AUTHENTICATION, "headers")),
        Group("Signing", _SIGNING),
        Group("Payload", ("payload_template", "transform")),
    )

    secret_url: SecretUrl | None = None
    """Instead of url, an address that whoever knows it may post to: it is sealed, and only its url_origin shown."""
    url: EndpointUrl | None = Field(None, validate_default=True, examples=["https://example.com/hooks"])
    """Where events are sent."""
    url_origin: str | None = Field(None, json_schema_extra={"readOnly": True})
    """Scheme and host of secret_url. Only read."""
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    """The method of the request."""
    headers: Headers = Field(default_factory=dict, examples=[{"X-Tenant": "acme"}])
    """Headers of your own; the value of one whose name or value looks secret is stored sealed."""
    signature_headers: HeaderNames = Field("webhook", json_schema_extra={"x-labels": _NAMES})
    """How the names of the headers begin that sign: webhook-, as the specification has it, svix-, or both."""
    payload_template: Any = Field(
        None, examples=[{"id": "{{ device.external_id }}", "data": "{{ payload }}"}]
    )
    """The JSON that is sent, with the parts of an event where they are named; left out, the whole event."""
    timeout_seconds: Annotated[Seconds, Field(gt=0, le=30)] = 30
    """How long the endpoint may take to answer."""
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
    def _state_what_is_shown(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name: value for name, value in data.items() if name not in _SHOWN}
        shown = {
            shown: show(given[secret])
            for shown, (secret, show) in _SHOWN.items()
            if isinstance(given.get(secret), str)
        }
        return given | {name: value for name, value in shown.items() if value}

    @field_validator("url")
    @classmethod
    def _check_one_url(cls, url: str | None, info: ValidationInfo) -> str | None:
        secret = info.data.get("secret_url", url)
        if url and secret and secret != url:
            raise ValueError("secret_url is set too; use one of them and set the other to null")
        if not url and not secret and "secret_url" in info.data:
            raise ValueError(
                "say where events are sent; an address that is itself a secret goes into secret_url"
            )
        return url

    @field_validator("previous_signing_secret")
    @classmethod
    def _check_previous(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(secret, _SECRET.name, info)

    @field_validator("headers")
    @classmethod
    def _check_overlap(
        cls, headers: dict[str, str | SecretStr], info: ValidationInfo
    ) -> dict[str, str | SecretStr]:
        taken = {name.lower(): field for name, field in name_auth_header(info.data)}
        for name in headers:
            if field := taken.get(name.lower()):
                raise ValueError(f"{name} is set by {field} already; leave out one of them")
        return headers

    @field_validator("signature_headers")
    @classmethod
    def _check_names(cls, names: HeaderNames, info: ValidationInfo) -> HeaderNames:
        own = {name.lower() for name in (*info.data.get("headers", ()), info.data.get("api_key_header", ""))}
        if names != "webhook" and (taken := own & SVIX_HEADERS):
            raise ValueError(f"{min(taken)} is set by headers or api_key_header already; leave it out there")
        return names

    @field_validator("payload_template")
    @classmethod
    def _check_template(cls, template: Any, info: ValidationInfo) -> Any:
        check_text(template)
        compile_template(template)
        if template is not None and info.data.get("transform"):
            raise ValueError("transform makes the body already; set one of them to null")
        return template

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where every secret but those that sign is sent."""
        return locate_url(config.get("url") or config.get("url_origin"))

    @property
    def address(self) -> str:
        """Where events are sent, in clear."""
        return self.url or (self.secret_url.get_secret_value() if self.secret_url else "")

    def deliver(self, event: Event) -> OutboundRequest:
        """The request for one attempt at `event`, signed as of now. TooLarge where the template renders to too much."""
        body = make_body(event, self._template)
        secrets = _SECRET.list_valid(self)
        signed = sign_webhook(secrets, event.id, int(time.time()), body, self.signature_headers)
        headers = {**self._fixed_headers, **signed}
        if event.encoded:
            headers["Content-Type"] = event.encoded.content_type
        return OutboundRequest(self.method, self.address, headers, body, self.timeout_seconds)

    def find_gaps(self, payload: object) -> list[str] | None:
        """The paths of payload_template that lead nowhere in it."""
        return find_gaps(self._paths, payload) if self._paths else None

    def check(self) -> Iterator[Check]:
        """Send an `integration.test` event: what is sent, then what the endpoint answers, secrets masked."""
        from shared.providers.webhook.check import check_endpoint

        yield from check_endpoint(self)

    @cached_property
    def _template(self) -> Template:
        return compile_template(self.payload_template) if self.payload_template is not None else ()

    @cached_property
    def _paths(self) -> tuple[tuple[str, ...], ...]:
        return list_payload_paths(self._template)

    @cached_property
    def _fixed_headers(self) -> dict[str, str]:
        ours = {"Content-Type": "application/json", "User-Agent": f"device-integrations/{__version__}"}
        return reveal_headers(self.headers) | ours | self.authenticate()

    @cached_property
    def secret_values(self) -> tuple[str, ...]:
        """Every secret in this config, what basic authentication makes of one, the path of a secret address."""
        pair = [self.basic_pair] if self.basic_username else []
        return (*super().secret_values, *pair, *(list_parts(self.address) if self.secret_url else ()))
