"""Parse: pushed messages, once the request has proven who sends it in the way that the config asks for."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final
from urllib.parse import parse_qs

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationInfo, field_validator

from shared.provider.fields import Credential, HeaderName, require_partner
from shared.provider.form import Group, only_with
from shared.provider.messages import Message
from shared.provider.proof import SIGNED_HEADERS, Authentication, Expected, verify_request
from shared.provider.secrets import RotatingSecret
from shared.provider.source import MessageSource
from shared.provider.standard_webhooks import check_key, make_secret, unify_headers
from shared.runtime.errors import BadRequest
from shared.runtime.web.text_reply import TextReply

QUERY_PARAMETERS = 100
"""Parameters of a query string; a request with more is refused."""

SECRET_LENGTH = 16

_SECRET = RotatingSecret("webhook_secret", make_secret)
_PARTNERS = ("webhook_secret_header", "webhook_username")
_PREVIOUS = (_SECRET.previous, _SECRET.previous_until)
PROOF = (_SECRET.name, "webhook_authentication", *_PARTNERS, *_PREVIOUS)
"""The fields by which a proof is checked."""

_LABELS: dict[str, Any] = {
    "header": "The secret in a header",
    "standard-webhooks": "A signature as in Standard Webhooks",
    "hmac-sha256": "A signature: HMAC-SHA256 of the body",
    "basic": "User name and password",
}


def _check_length(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < SECRET_LENGTH:
        raise ValueError(
            f"at least {SECRET_LENGTH} characters: whoever guesses it writes your devices' data; leave it out to have "
            "one made"
        )
    return secret


ReceiverSecret = Annotated[Credential, AfterValidator(_check_length)]


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """What a receiver was sent: header names in lower case, the body as it came.

    `path` is what follows the integration's id, decoded and without slashes at its ends: `line/3` of a POST to
    `/receive/{id}/line/3`. `query_string` is the rest of the address as it came, for proofs that sign it.
    `is_signed` says that a signature proves it, and that only what it covers is here: of the usual kinds neither path,
    query nor content type. `device` is the one whose own token it brings, which is its proof.
    `is_greeting` says that it has no body yet: its sender asks by OPTIONS whether it may push.
    """

    headers: Mapping[str, str]
    body: bytes
    path: str = ""
    query_string: str = ""
    is_signed: bool = False
    device: str | None = None
    is_greeting: bool = False

    @property
    def query(self) -> dict[str, list[str]]:
        """The values of each parameter in their order; BadRequest for more than `QUERY_PARAMETERS`."""
        try:
            return parse_qs(self.query_string, keep_blank_values=True, max_num_fields=QUERY_PARAMETERS)
        except ValueError:
            raise BadRequest(f"The address has more than {QUERY_PARAMETERS} query parameters.") from None


class Receiver(MessageSource):
    """A provider that is pushed to."""

    capability: ClassVar[str] = "parse"
    lacking: ClassVar[str] = "receiver"
    generated: ClassVar[Mapping[str, RotatingSecret]] = {_SECRET.name: _SECRET}
    kept: ClassVar[frozenset[str]] = frozenset({_SECRET.name, _SECRET.previous})
    groups: ClassVar[tuple[Group, ...]] = (
        Group("Proof of who pushes", ("webhook_authentication", "webhook_secret", *_PARTNERS, *_PREVIOUS)),
    )

    sole_proof: ClassVar[frozenset[str]] = frozenset()
    """The fields that suffice to check a proof, of senders that never send again what was answered 401: a fault of ours
    in other fields must not be; none of other senders."""

    webhook_authentication: Authentication = Field("header", json_schema_extra={"x-labels": _LABELS})
    """How pushed requests prove who sends them: the secret in a header, a signature, or basic authentication."""
    webhook_secret: ReceiverSecret | None = None
    """What they prove it with. Left out of a new one, it is made and shown once; without it all are refused."""
    webhook_secret_header: HeaderName = Field(
        "X-Webhook-Secret", json_schema_extra={"x-when": only_with(webhook_authentication="header")}
    )
    """The header that carries the secret, where the authentication is header."""
    webhook_username: Annotated[str, Field(max_length=1024)] | None = Field(
        None,
        validate_default=True,
        json_schema_extra={"x-when": only_with(webhook_authentication="basic")},
    )
    """The user name, where the authentication is basic."""
    previous_webhook_secret: ReceiverSecret | None = None
    """Accepted too while the senders change over to webhook_secret."""
    previous_webhook_secret_until: AwareDatetime | None = None
    """From then on the previous secret is not accepted any more."""

    @field_validator("webhook_secret", "previous_webhook_secret")
    @classmethod
    def _check_key(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret and info.data.get("webhook_authentication") == "standard-webhooks":
            check_key(secret.get_secret_value())
        return secret

    @field_validator("webhook_secret_header")
    @classmethod
    def _check_header(cls, name: str, info: ValidationInfo) -> str:
        if info.data.get("webhook_authentication", "header") != "header":
            raise ValueError("it goes with the webhook_authentication header; set it to null with any other")
        return name

    @field_validator("webhook_username")
    @classmethod
    def _check_username(cls, name: str | None, info: ValidationInfo) -> str | None:
        is_basic = info.data.get("webhook_authentication") == "basic"
        if is_basic and (not name or ":" in name or not name.isprintable()):
            raise ValueError("basic authentication needs a user name, without colons and control characters")
        if name is not None and not is_basic:
            raise ValueError("it goes with the webhook_authentication basic; set it to null with any other")
        return name

    @field_validator("previous_webhook_secret")
    @classmethod
    def _check_previous(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(secret, _SECRET.name, info)

    def verify(self, request: PushedRequest) -> None:
        """Raise Unauthenticated unless the request brings the proof that the config asks for."""
        expected = Expected(
            self.webhook_authentication,
            _SECRET.list_valid(self),
            self.webhook_secret_header,
            self.webhook_username or "",
        )
        verify_request(expected, request.headers, request.body, time.time())

    def keep_proven(self, request: PushedRequest) -> PushedRequest:
        """What of a verified request its proof covers; whoever overrides `verify` says so here for the own proof."""
        signed = SIGNED_HEADERS.get(self.webhook_authentication)
        if signed is None:
            return request
        given = unify_headers(request.headers)
        headers = {name: given[name] for name in signed if name in given}
        return PushedRequest(headers, request.body, is_signed=True)

    def asks_back(self, request: PushedRequest) -> bool:  # noqa: ARG002 - for those who override it
        """Whether parsing it calls somebody outside, and so may take its time."""
        return False

    @abstractmethod
    def parse(self, request: PushedRequest) -> list[Message]:
        """The messages in what is proven of a request; what can't be decoded is `Message.undecoded`.

        Each has an `event_id` that stays the same when the sender tries again.
        """

    def parse_undecoded(self, request: PushedRequest) -> list[Message] | None:  # noqa: ARG002 - for those who override it
        """The same where no codec gets free, for senders that never try again; None where they do."""
        return None

    def answer_push(self, request: PushedRequest, receipt: Mapping[str, int]) -> TextReply | None:  # noqa: ARG002 - for those who override it
        """What a proven request is answered once it is stored, in place of the receipt, which counts its messages."""
        return None

    def greet(self, request: PushedRequest) -> dict[str, str]:  # noqa: ARG002 - for those who override it
        """By which headers a proven sender that asks first is told that it may push; none where that is not known."""
        return {}

    @final
    def receive(self, request: PushedRequest) -> list[Message]:
        """Verify, then parse: nothing is parsed that was not proven."""
        self.verify(request)
        return self.parse(self.keep_proven(request))
