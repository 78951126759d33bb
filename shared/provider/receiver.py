"""Providers that are pushed to: what their config says of the proof that a request has to bring."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import AwareDatetime, Field, SecretStr, ValidationInfo, field_validator

from shared.provider.base import GeneratedSecret, Provider, PushedRequest
from shared.provider.fields import Credential, HeaderName
from shared.provider.proof import Authentication, Expected, verify_request
from shared.provider.standard_webhooks import check_key, make_secret


class Receiver(Provider):
    """A provider that is pushed to; it adds `parse`."""

    generated: ClassVar[Mapping[str, GeneratedSecret]] = {
        "webhook_secret": GeneratedSecret(
            make_secret, "previous_webhook_secret", "previous_webhook_secret_until"
        )
    }

    webhook_authentication: Authentication = "header"
    """How pushed requests prove who sends them: the secret in a header, a signature, or basic authentication."""
    webhook_secret: Credential | None = None
    """What they prove it with. Left out, one is made and shown once; null refuses all pushed requests."""
    webhook_secret_header: HeaderName = "X-Webhook-Secret"  # noqa: S105 - the name of a header
    """The header that carries the secret, where the authentication is header."""
    webhook_username: Annotated[str, Field(max_length=1024)] | None = Field(None, validate_default=True)
    """The user name, where the authentication is basic."""
    previous_webhook_secret: Credential | None = None
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
        if secret is not None and info.data.get("webhook_secret", "") is None:
            raise ValueError("it goes with webhook_secret, which is not set")
        return secret

    def verify(self, request: PushedRequest) -> None:
        """Raise Unauthenticated unless the request brings the proof that the config asks for."""
        expected = Expected(
            self.webhook_authentication,
            self._list_secrets(),
            self.webhook_secret_header,
            self.webhook_username or "",
        )
        verify_request(expected, request.headers, request.body, time.time())

    def _list_secrets(self) -> list[str]:
        until = self.previous_webhook_secret_until
        previous = None if until and until <= datetime.now(UTC) else self.previous_webhook_secret
        return [secret.get_secret_value() for secret in (self.webhook_secret, previous) if secret]
