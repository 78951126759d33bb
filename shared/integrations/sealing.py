"""From a provider to the columns of `device_integrations`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.provider.base import Provider, merge_config, name_secrets, split_config
from shared.provider.catalogue import load_provider
from shared.provider.messages import Identity
from shared.runtime.vault.ring import SealContext, load_vault


def identify_row(row: Mapping[str, Any]) -> Identity:
    """The identity of a row that has id, organization_id, integration_type and name."""
    return Identity(row["organization_id"], row["id"], row["integration_type"], row["name"])


def seal_provider(provider: Provider) -> dict[str, Any]:
    """The columns that hold a validated config: settings, the sealed secrets, and the secrets' names."""
    settings, secrets = split_config(provider)
    sealed = load_vault().seal(secrets, _bind_context(provider.identity)) if secrets else None
    return {"settings": settings, "api_key_encrypted": sealed, "secret_names": name_secrets(secrets)}


def open_secrets(row: Mapping[str, Any]) -> dict[str, Any]:
    """The secrets of a row; VaultError where they don't open."""
    sealed = row["api_key_encrypted"]
    return load_vault().open(sealed, _bind_context(identify_row(row))) if sealed else {}


def reseal_secrets(row: Mapping[str, Any]) -> str:
    """The sealed secrets of a row, sealed anew with the primary key; VaultError where they don't open."""
    return load_vault().reseal(row["api_key_encrypted"], _bind_context(identify_row(row)))


def open_provider(row: Mapping[str, Any]) -> Provider:
    """The provider of a row, validated again: it may have been written past the API.

    Errors: VaultError, InvalidConfig.
    """
    return load_provider(merge_config(row["settings"], open_secrets(row)), identify_row(row))


def _bind_context(identity: Identity) -> SealContext:
    return SealContext(identity.organization_id, identity.integration_id, identity.integration_type)
