"""The fields that say how to reach a cluster: its first brokers, TLS, and who logs in (SASL)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    PEM,
    CommaSeparated,
    Destination,
    EndpointUrl,
    FieldError,
    Group,
    Provider,
    is_public,
    locate_url,
    make_tls,
    name_authority,
    only_with,
    read_certificate_field,
    read_key_field,
    reveal,
)
from shared.providers.kafka.plan import ClusterPlan, Sasl

MOST_SERVERS = 20
DEFAULT_PORT = 9092
SecurityProtocol = Literal["SASL_SSL", "SSL", "SASL_PLAINTEXT", "PLAINTEXT"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")
_LOGIN = ("sasl_mechanism", "username", "password", "oauth_token_url", "oauth_scope")
_CERTIFICATES = ("ca_certificate", "client_certificate", "client_key", "client_key_passphrase")
_USES_SASL = {"properties": {"security_protocol": {"enum": ["SASL_SSL", "SASL_PLAINTEXT"]}}}
_USES_TLS = {"properties": {"security_protocol": {"enum": ["SASL_SSL", "SSL"]}}}
_WITH_TOKEN: dict[str, Any] = {"x-when": only_with(sasl_mechanism="OAUTHBEARER")}
_PROTOCOLS: dict[str, Any] = {
    "x-labels": {
        "SASL_SSL": "TLS, and a login (SASL_SSL)",
        "SSL": "TLS, with a certificate or none (SSL)",
        "SASL_PLAINTEXT": "A login without TLS (SASL_PLAINTEXT)",
        "PLAINTEXT": "Neither (PLAINTEXT)",
    }
}
_MECHANISMS: dict[str, Any] = {
    "x-labels": {
        "PLAIN": "PLAIN, or an API key",
        "SCRAM-SHA-256": "SCRAM-SHA-256",
        "SCRAM-SHA-512": "SCRAM-SHA-512",
        "OAUTHBEARER": "OAUTHBEARER",
    }
}


def split_servers(servers: Sequence[object]) -> tuple[tuple[str, int], ...]:
    """Hosts and ports; ValueError says which one is wrong by its number, for it may be a misplaced secret."""
    if not 0 < len(servers) <= MOST_SERVERS:
        raise ValueError(f"list 1 to {MOST_SERVERS} servers, for example broker-1.example.com:9092")
    found = []
    for number, server in enumerate(servers, start=1):
        read = _SERVER.fullmatch(server) if isinstance(server, str) else None
        port = int(read[3] or DEFAULT_PORT) if read else 0
        if read is None or not 0 < port < 65_536:  # noqa: PLR2004 - ports
            raise ValueError(f"number {number}: write host:port, as broker-1.example.com:9092")
        found.append((str(read[1] or read[2]).lower(), port))
    return tuple(dict.fromkeys(found))


class ClusterFields(Provider, defer_build=True):
    """For whoever connects to a cluster."""

    # Fields left out are validated too: what is missing is told where it is missing.
    model_config = ConfigDict(validate_default=True)

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Cluster", ("bootstrap_servers", "security_protocol"), open=True),
        Group("Login", _LOGIN, open=True, when=_USES_SASL),
        Group("Certificates", _CERTIFICATES, when=_USES_TLS),
    )

    bootstrap_servers: CommaSeparated = Field(examples=[["broker-1.example.com:9092"]])
    """Brokers that are asked first, each host:port; they name the others of their cluster."""
    security_protocol: SecurityProtocol = Field("SASL_SSL", json_schema_extra=_PROTOCOLS)
    """How the brokers are spoken to."""
    sasl_mechanism: Mechanism | None = Field(None, json_schema_extra=_MECHANISMS)
    """How to log in."""
    username: Annotated[str, Field(min_length=1, max_length=1_024, pattern=r"^[^\x00]+$")] | None = None
    """Who logs in: a user name, an API key, or with OAUTHBEARER the client ID."""
    password: Annotated[SecretStr, Field(min_length=1, max_length=8_192)] | None = None
    """What goes with it: a password, the secret of an API key, or with OAUTHBEARER the client secret."""
    oauth_token_url: EndpointUrl | None = Field(
        None, examples=["https://login.example.com/oauth2/token"], json_schema_extra=_WITH_TOKEN
    )
    """Where tokens are asked for, with client credentials."""
    oauth_scope: Annotated[str, Field(min_length=1, max_length=1_024)] | None = Field(
        None, examples=["kafka"], json_schema_extra=_WITH_TOKEN
    )
    """What is asked for, where the token endpoint wants it said."""
    ca_certificate: str | None = Field(None, json_schema_extra=PEM)
    """Who vouches for the brokers, where it is not one of the public authorities."""
    client_certificate: str | None = Field(None, json_schema_extra=PEM)
    """What we show the brokers, where they ask for it; those that vouch for it may follow."""
    client_key_passphrase: Annotated[SecretStr, Field(max_length=256)] | None = None
    """What opens the client key, where it is encrypted."""
    client_key: SecretStr | None = Field(None, json_schema_extra=PEM)
    """The private key of the client certificate."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        split_servers(servers)
        return servers

    @field_validator("sasl_mechanism")
    @classmethod
    def _check_mechanism(cls, mechanism: str | None, info: ValidationInfo) -> str | None:
        is_login = info.data.get("security_protocol", "SASL_SSL").startswith("SASL_")
        if mechanism is None and is_login:
            raise ValueError("choose how to log in, or a security_protocol without login: SSL or PLAINTEXT")
        if mechanism is not None and not is_login:
            raise ValueError("this is for a login only: write security_protocol SASL_SSL")
        return mechanism

    @field_validator("username", "password")
    @classmethod
    def _check_login(cls, value: Any, info: ValidationInfo) -> Any:
        if "sasl_mechanism" in info.data and (value is None) != (info.data["sasl_mechanism"] is None):
            raise ValueError(
                "this is for a login only: choose sasl_mechanism"
                if value is not None
                else "set it: a login has both a user name and a password"
            )
        return value

    @field_validator("oauth_token_url", "oauth_scope")
    @classmethod
    def _check_token(cls, value: str | None, info: ValidationInfo) -> str | None:
        is_token = info.data.get("sasl_mechanism") == "OAUTHBEARER"
        if value is not None and not is_token:
            raise ValueError("this is for sasl_mechanism OAUTHBEARER only")
        if value is None and is_token and info.field_name == "oauth_token_url":
            raise ValueError("set it: OAUTHBEARER logs in by a token, which has to come from somewhere")
        return value

    @field_validator(*_CERTIFICATES)
    @classmethod
    def _check_tls_is_used(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("security_protocol", "SSL") not in {"SSL", "SASL_SSL"}:
            raise ValueError("this is for TLS only: write security_protocol SSL or SASL_SSL")
        return value

    _read_certificates = field_validator("ca_certificate", "client_certificate")(read_certificate_field)
    _read_key = field_validator("client_key")(read_key_field)

    def list_risks(self) -> Iterator[FieldError]:
        """A login that everyone on the way can read."""
        servers = split_servers(self.bootstrap_servers)
        if self.security_protocol == "SASL_PLAINTEXT" and any(is_public(host) for host, _ in servers):
            words = "The servers are on the internet, where logins go through TLS only: write SASL_SSL."
            yield FieldError("security_protocol", words)

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where the password is sent and who vouches for it, whether others on the way can read it, and for tokens."""
        given = config.get("bootstrap_servers")
        servers = given.split(",") if isinstance(given, str) else given
        places = split_servers([each.strip() if isinstance(each, str) else each for each in servers or ()])
        authority = name_authority(config)
        url = config.get("oauth_token_url")
        return (
            str(config.get("security_protocol") or "SASL_SSL"),
            ",".join(sorted(f"{host} {port}" for host, port in places)),
            authority,
            " ".join(locate_url(url)) if url else "",
        )

    @property
    def cluster_plan(self) -> ClusterPlan:
        """What connecting needs to know."""
        tls = make_tls(vars(self))
        sasl = self.sasl_mechanism and Sasl(
            *(self.sasl_mechanism, self.username or "", reveal(self.password) or ""),
            *(self.oauth_token_url, self.oauth_scope),
        )
        return ClusterPlan(
            split_servers(self.bootstrap_servers),
            self.security_protocol,
            tls if self.security_protocol in {"SSL", "SASL_SSL"} else None,
            sasl or None,
            f"di-{self.identity.integration_id}",
            self.identity.organization_id,
        )
