"""The fields that say where a service is, how TLS is done, and what proves to it who calls."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    PEM,
    BearerToken,
    Destination,
    FieldError,
    Group,
    Headers,
    Provider,
    is_public,
    make_tls,
    name_authority,
    only_with,
    read_certificate_field,
    read_key_field,
    require_partner,
    reveal_headers,
)
from shared.providers.grpc.plan import ServicePlan

SET_LIMIT = 262_144
"""Characters of a descriptor set, which is about 190 kB: what a large service's API comes to."""

_TARGET = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})")
_CERTIFICATES = ("ca_certificate", "client_certificate", "client_key", "client_key_passphrase")
_METADATA_NAME = re.compile(r"[a-z0-9_.-]{1,128}")
_TEXT = re.compile(r"[\x20-\x7e]*")
_WITH_TARGET: dict[str, Any] = {"x-when": {"properties": {"target": {"not": {"const": None}}}}}


def split_target(target: object) -> tuple[str, int]:
    """Host and port; ValueError says how to write it, without what was written."""
    read = _TARGET.fullmatch(target) if isinstance(target, str) else None
    if read is None or not 0 < int(read[3]) < 65_536:  # noqa: PLR2004 - ports
        raise ValueError("write host:port, as grpc.example.com:443, without a scheme and a path")
    return str(read[1] or read[2]).lower().rstrip("."), int(read[3])


class ServiceFields(Provider, defer_build=True):
    """For whoever calls a service."""

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Service", ("target", "use_tls", "descriptor_set"), open=True),
        Group("Authentication", ("bearer_token", "metadata")),
        Group("Certificates", _CERTIFICATES, when=only_with(use_tls=True)),
    )

    target: str | None = Field(None, examples=["grpc.example.com:443"])
    """The service that is called, as host:port; left out, nothing is called, and gateways only push."""
    use_tls: bool = True
    """Whether it speaks TLS; without it only services in private networks are called."""
    descriptor_set: Annotated[str, Field(max_length=SET_LIMIT)] | None = Field(
        None, json_schema_extra=_WITH_TARGET
    )
    """What protoc --include_imports --descriptor_set_out makes of its .proto, as base64; left out, it is asked."""
    bearer_token: BearerToken | None = Field(None, json_schema_extra=_WITH_TARGET)
    """Sent with each call, as authorization."""
    metadata: Headers = Field(
        default_factory=dict, examples=[{"x-tenant": "acme"}], json_schema_extra=_WITH_TARGET
    )
    """Sent with each call; names in small letters."""
    ca_certificate: str | None = Field(None, json_schema_extra=PEM)
    """Who vouches for the service, where it is not one of the public authorities."""
    client_certificate: str | None = Field(None, json_schema_extra=PEM)
    """What we show the service, where it asks for it; those that vouch for it may follow."""
    client_key_passphrase: Annotated[SecretStr, Field(max_length=256)] | None = None
    """What opens the client key, where it is encrypted."""
    # Validated where it is left out too, so that half a pair is found.
    client_key: SecretStr | None = Field(None, validate_default=True, json_schema_extra=PEM)
    """The private key of the client certificate."""

    @field_validator("target")
    @classmethod
    def _check_target(cls, target: str | None) -> str | None:
        target = target and target.strip()
        if target is not None:
            split_target(target)
        return target

    @field_validator("descriptor_set")
    @classmethod
    def _check_set(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            from shared.providers.grpc.descriptors import Schema

            require_partner(text, "target", info)
            text = "".join(text.split())
            Schema.from_set(decode_set(text))
        return text

    @field_validator("bearer_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        return require_partner(token, "target", info)

    @field_validator("metadata")
    @classmethod
    def _check_metadata(
        cls, metadata: dict[str, str | SecretStr], info: ValidationInfo
    ) -> dict[str, str | SecretStr]:
        if metadata and info.data.get("target", "") is None:
            raise ValueError("it goes with target, which is not set")
        for name, value in reveal_headers(metadata).items():
            if not _METADATA_NAME.fullmatch(name) or name.startswith(("grpc-", ":")) or name.endswith("-bin"):
                raise ValueError(
                    "a name has small letters, digits, full stops, - and _; not grpc- before them, nor -bin behind"
                )
            if not _TEXT.fullmatch(value):
                raise ValueError("a value is printable ASCII")
            if name == "authorization" and info.data.get("bearer_token"):
                raise ValueError("authorization is set by bearer_token already; leave out one of them")
        return metadata

    @field_validator(*_CERTIFICATES)
    @classmethod
    def _check_tls_is_used(cls, value: object, info: ValidationInfo) -> object:
        if value and not info.data.get("use_tls", True):
            raise ValueError("this is for TLS only: set use_tls to true")
        return require_partner(value, "target", info)

    _read_certificates = field_validator("ca_certificate", "client_certificate")(read_certificate_field)
    _read_key = field_validator("client_key")(read_key_field)

    def list_risks(self) -> Iterator[FieldError]:
        """Calls that everyone on the way can read."""
        if self.target and not self.use_tls and is_public(split_target(self.target)[0]):
            yield FieldError(
                "use_tls", "The service is on the internet, where it is called with TLS only: set it to true."
            )

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where tokens and metadata are sent, whether others on the way can read them, and who vouches for it."""
        target = config.get("target")
        host, port = split_target(target) if target is not None else ("", 0)
        authority = name_authority(config)
        return "plain" if config.get("use_tls") is False else "tls", host, str(port), authority

    @property
    def service_plan(self) -> ServicePlan:
        """What calling it needs to know."""
        host, port = split_target(self.target)
        tls = make_tls(vars(self), alpn=("h2",))
        metadata = reveal_headers(self.metadata)
        if self.bearer_token:
            metadata["authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        described = decode_set(self.descriptor_set) if self.descriptor_set else None
        return ServicePlan(
            host,
            port,
            tls if self.use_tls else None,
            tuple(metadata.items()),
            self.secret_values,
            described,
            self.identity.organization_id,
        )


def decode_set(text: str) -> bytes:
    """The bytes of a descriptor set; ValueError says how to write it."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError(
            "write it as base64: protoc --include_imports --descriptor_set_out=service.pb service.proto, "
            "then base64 service.pb"
        ) from None
