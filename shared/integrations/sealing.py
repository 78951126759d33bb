"""Credentials at rest: from a provider to the columns of `device_integrations`, and back."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from shared.provider import Identity, Provider, load_provider, merge_config, name_secrets, split_config
from shared.runtime.vault.ring import SealContext, load_vault


class Seal(TypedDict):
    """Sealed secrets, and what they are bound to."""

    id: str
    organization_id: str
    integration_type: str
    name: str
    api_key_encrypted: str | None


class SealedIntegration(Seal):
    """An integration as the SQL functions give it that lend credentials."""

    settings: dict[str, Any]


class SealedColumns(TypedDict):
    """The columns that hold a validated config."""

    settings: dict[str, Any]
    api_key_encrypted: str | None
    secret_names: list[str]


def identify_row(row: Seal) -> Identity:
    """The identity of a row."""
    return Identity(row["organization_id"], row["id"], row["integration_type"], row["name"])


def seal_provider(provider: Provider) -> SealedColumns:
    """The columns of a validated config: settings, the sealed secrets, and the secrets' names."""
    settings, secrets = split_config(provider)
    sealed = load_vault().seal(secrets, _bind_context(provider.identity)) if secrets else None
    return {"settings": settings, "api_key_encrypted": sealed, "secret_names": name_secrets(secrets)}


def open_secrets(row: Seal) -> dict[str, Any]:
    """The secrets of a row; VaultError where they don't open."""
    sealed = row["api_key_encrypted"]
    return load_vault().open(sealed, _bind_context(identify_row(row))) if sealed else {}


def reseal_secrets(row: Seal) -> str:
    """The sealed secrets of a row, sealed anew with the primary key; VaultError where they don't open."""
    return load_vault().reseal(row["api_key_encrypted"] or "", _bind_context(identify_row(row)))


def open_provider(row: SealedIntegration) -> Provider:
    """The provider of a row, validated again: it may have been written past the API.

    Errors: VaultError, InvalidConfig.
    """
    return load_provider(merge_config(row["settings"], open_secrets(row)), identify_row(row))


def _bind_context(identity: Identity) -> SealContext:
    return SealContext(identity.organization_id, identity.integration_id, identity.integration_type)
