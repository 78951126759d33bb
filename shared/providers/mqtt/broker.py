"""The broker: where it is, who logs in there and how TLS is done, as the config says."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    PEM,
    Broker,
    CommaSeparated,
    Destination,
    FieldError,
    Group,
    Provider,
    is_public,
    make_tls,
    name_authority,
    only_with,
    read_certificate_field,
    read_key_field,
    reveal,
)

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}

_SECURED = {"mqtt": "mqtts", "mqtts": "mqtts", "ws": "wss", "wss": "wss"}
_AROUND = f"{string.whitespace}\xa0\u200b\ufeff"
_PLAIN = frozenset(("mqtt", "ws"))
_PLACE = ("broker_url", "port", "username", "password", "allow_plain_password", "use_tls")
_TLS = ("ca_certificate", "client_certificate", "client_key", "client_key_passphrase", "server_name", "alpn")
_USES_TLS = {
    "anyOf": [only_with(use_tls=True), {"properties": {"broker_url": {"pattern": "^(mqtts|wss)://"}}}]
}

IN_CLEAR = (
    "Without TLS everyone on the way to this host can read it: write broker_url with mqtts:// or wss://, or set "
    "allow_plain_password to true where that is known and wanted."
)


Port = Annotated[int, Field(ge=1, le=65_535)]


class BrokerFields(Provider):
    """The fields that say how to reach the broker."""

    # Fields left out are validated too: half a pair is found at the half that is missing.
    model_config = ConfigDict(validate_default=True)

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Broker", _PLACE, open=True),
        Group("Certificates", _TLS, when=_USES_TLS),
    )

    broker_url: str = Field(
        examples=["mqtts://broker.example.com", "mqtt://192.168.1.20", "wss://broker.example.com/mqtt"]
    )
    """`mqtt://`, `mqtts://`, `ws://` or `wss://`, host, and for WebSockets the path (`/mqtt` where absent)."""
    port: Port | None = None
    """Where neither it nor the URL says one: 1883, with TLS 8883, for WebSockets 80 or 443."""
    username: str | None = None
    """Who logs in; left out, nobody does."""
    password: SecretStr | None = None
    """What the user logs in with."""
    use_tls: bool | None = None
    """TLS although the URL begins with `mqtt://` or `ws://`."""
    ca_certificate: str | None = Field(None, json_schema_extra=PEM)
    """Who vouches for the broker, where it is not one of the public authorities."""
    client_certificate: str | None = Field(None, json_schema_extra=PEM)
    """What we show the broker, where it asks for it; those that vouch for it may follow."""
    client_key_passphrase: Annotated[SecretStr, Field(max_length=256)] | None = None
    """What opens the client key, where it is encrypted."""
    client_key: SecretStr | None = Field(None, json_schema_extra=PEM)
    """The private key of the client certificate."""
    server_name: str | None = Field(None, examples=["broker.internal"])
    """The name that the broker's certificate is for, where that is not the host."""
    alpn: CommaSeparated = Field((), examples=[["mqtt"]])
    """Protocols that are offered in the handshake, where the broker shares its port with others."""
    keepalive: Annotated[int, Field(ge=5, le=3_600)] = Field(60, json_schema_extra={"x-unit": "seconds"})
    """How long the connection may be silent before it is asked whether it still is one."""
    allow_plain_password: bool = False
    """Whether the password may go to a public host without TLS, where everyone on the way can read it."""

    @field_validator("broker_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        url = url.strip(_AROUND)
        parts = _split_url(url)
        if not _is_broker(parts) or not url.isprintable() or " " in url:
            raise ValueError("write it as mqtt://host, mqtts://host, ws://host/path or wss://host/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "leave user name and password out of the URL; they go into username and password"
            )
        if parts.query or parts.fragment or (parts.path.strip("/") and parts.scheme in {"mqtt", "mqtts"}):
            raise ValueError("nothing may follow the host and port; topics go into topics")
        return url

    @field_validator("port")
    @classmethod
    def _check_port(cls, port: int | None, info: ValidationInfo) -> int | None:
        in_url = _split_url(info.data.get("broker_url", "")).port
        if port is not None and in_url is not None and in_url != port:
            raise ValueError("broker_url names another port; write it in one of the two only")
        return port

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and info.data.get("username") is None:
            raise ValueError("set username too: MQTT has no password without a user name")
        return password

    @field_validator("use_tls")
    @classmethod
    def _check_tls(cls, use_tls: bool | None, info: ValidationInfo) -> bool | None:  # noqa: FBT001 - a field's value
        scheme = _split_url(info.data.get("broker_url", "")).scheme
        if use_tls is False and scheme in {"mqtts", "wss"}:
            raise ValueError(
                f"broker_url says {scheme}://, which is TLS; leave use_tls out or write mqtt:// or ws://"
            )
        return use_tls

    @field_validator(
        "ca_certificate", "client_certificate", "client_key_passphrase", "client_key", "server_name", "alpn"
    )
    @classmethod
    def _check_tls_is_used(cls, value: object, info: ValidationInfo) -> object:
        scheme = _split_url(info.data.get("broker_url", "mqtts://")).scheme
        if value and not (info.data.get("use_tls") or scheme in {"mqtts", "wss"}):
            raise ValueError("this is for TLS only: write broker_url with mqtts:// or wss://, or set use_tls")
        return value

    _read_certificates = field_validator("ca_certificate", "client_certificate")(read_certificate_field)
    _read_key = field_validator("client_key")(read_key_field)

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where user and password are sent, and to whom: whose certificate it is, and who vouches for it."""
        scheme, host, port = _find_place(config)
        place = host.rstrip(".")
        authority = name_authority(config)
        return scheme, place, str(port), str(config.get("server_name") or place).lower(), authority

    def list_risks(self) -> Iterator[FieldError]:
        """A password that everyone on the way can read."""
        scheme, host, _ = _find_place(vars(self))
        if self.password and scheme in _PLAIN and not self.allow_plain_password and is_public(host):
            yield FieldError("password", IN_CLEAR)

    @property
    def broker(self) -> Broker:
        """The broker that the fields mean."""
        url = _split_url(self.broker_url)
        scheme, host, port = _find_place(vars(self))
        return Broker(
            host=host,
            port=port,
            websocket_path=(url.path or "/mqtt") if scheme in {"ws", "wss"} else None,
            tls=make_tls(vars(self), self.server_name, self.alpn) if scheme in {"mqtts", "wss"} else None,
            username=self.username,
            password=reveal(self.password),
            keepalive=self.keepalive,
        )


def _find_place(config: Mapping[str, Any]) -> tuple[str, str, int]:
    """Scheme, host and port; ValueError where they are none."""
    url = _split_url(str(config.get("broker_url")))
    if not _is_broker(url):
        raise ValueError("not the address of a broker")
    scheme = _SECURED[url.scheme] if config.get("use_tls") else url.scheme
    return scheme, url.hostname or "", config.get("port") or url.port or PORTS[scheme]


def _is_broker(url: SplitResult) -> bool:
    return url.scheme in PORTS and bool(url.hostname) and "%" not in (url.hostname or "")


def _split_url(url: str) -> SplitResult:
    """The parts of `url`; ValueError, in words, where its host or port is no such thing."""
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError:
        port_fits = False
    if not port_fits:
        raise ValueError("the host or port in it is not valid; a port is a number from 1 to 65535")
    return parts
