"""Certificates and keys as the fields of a config: validated when it is saved, and what TLS is done with by them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr, ValidationInfo

from shared.provider.secrets import reveal
from shared.provider.tls import Tls, read_authorities, read_chain, read_key

APART = "client_certificate and client_key belong together: set both or none"
NO_KEY = "client_key_passphrase opens client_key: set both or none"


def read_certificate_field(pem: str | None, info: ValidationInfo) -> str | None:
    """For `field_validator`, of ca_certificate and client_certificate. ValueError in words."""
    read = read_chain if info.field_name == "client_certificate" else read_authorities
    return read(pem) if pem else pem


def read_key_field(key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """For `field_validator`, of client_key, behind its certificate and passphrase. ValueError in words."""
    chain, passphrase = (info.data.get(name) for name in ("client_certificate", "client_key_passphrase"))
    if "client_certificate" in info.data and bool(key) != bool(chain):
        raise ValueError(APART)
    if passphrase and not key:
        raise ValueError(NO_KEY)
    return SecretStr(read_key(key.get_secret_value(), reveal(passphrase), chain)) if key else key


def make_tls(config: Mapping[str, Any], server_name: str | None = None, alpn: tuple[str, ...] = ()) -> Tls:
    """What TLS is done with, by the certificate fields that a config has."""
    ca_certificate, certificate = config.get("ca_certificate"), config.get("client_certificate")
    key, passphrase = reveal(config.get("client_key")), reveal(config.get("client_key_passphrase"))
    return Tls(ca_certificate, certificate, key, passphrase, server_name, alpn)


def name_authority(config: Mapping[str, Any]) -> str:
    """Who vouches for the other side, as a part of where secrets are sent."""
    return hashlib.sha256(str(config.get("ca_certificate") or "").encode()).hexdigest()
