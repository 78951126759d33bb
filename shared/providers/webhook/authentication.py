"""Authentication: how the endpoint knows us, by a token, an API key, or user name and password."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    BearerToken,
    Credential,
    HeaderName,
    Provider,
    encode_basic,
    join_basic,
    require_partner,
)

AUTHENTICATION = ("bearer_token", "api_key", "api_key_header", "basic_username", "basic_password")
_HAS_USER: dict[str, Any] = {"x-when": {"properties": {"basic_username": {"not": {"const": None}}}}}


def _check_username(name: str) -> str:
    if not name or ":" in name or not name.isprintable():
        raise ValueError("a user name has at least one character, no colon and no control characters")
    return name


class AuthenticationFields(Provider):
    """The fields that say how we prove who sends; one kind of them at most."""

    bearer_token: BearerToken | None = None
    """A token that is sent as `Authorization: Bearer`."""
    api_key: Credential | None = None
    """A key that is sent in a header of its own."""
    api_key_header: HeaderName = "X-API-Key"
    """The header that carries the API key."""
    basic_username: Annotated[str, Field(max_length=1024), AfterValidator(_check_username)] | None = None
    """The user name of basic authentication."""
    basic_password: Annotated[SecretStr, Field(max_length=1024)] | None = Field(
        None, json_schema_extra=_HAS_USER
    )
    """The password that goes with it."""

    @field_validator("api_key", "basic_username")
    @classmethod
    def _check_one_kind(cls, value: Any, info: ValidationInfo) -> Any:
        others = [name for name in ("bearer_token", "api_key") if info.data.get(name) is not None]
        if value is not None and others:
            raise ValueError(
                f"{others[0]} is set too; use one kind of authentication and set the other to null"
            )
        return value

    @field_validator("basic_password")
    @classmethod
    def _check_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(password, "basic_username", info)

    def authenticate(self) -> dict[str, str]:
        """The header that proves it, in clear; none where no kind is set."""
        if self.bearer_token:
            return {"Authorization": f"Bearer {self.bearer_token.get_secret_value()}"}
        if self.api_key:
            return {self.api_key_header: self.api_key.get_secret_value()}
        if self.basic_username:
            return {"Authorization": encode_basic(self.basic_pair)}
        return {}

    @property
    def basic_pair(self) -> str:
        """User name and password as basic authentication joins them."""
        return join_basic(self.basic_username, self.basic_password)


def name_auth_header(data: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The header that these fields set, and the field that has it set."""
    if data.get("api_key"):
        yield data.get("api_key_header", ""), "api_key"
    for field in ("bearer_token", "basic_username"):
        if data.get(field):
            yield "Authorization", field
