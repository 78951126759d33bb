"""What a PATCH makes of an integration: its config merged, validated and, where a secret changed, sealed anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.integrations.sealing import identify_row, open_secrets, seal_provider
from shared.provider.base import merge_config, name_secrets, patch_config, split_config
from shared.provider.catalogue import find_provider, load_provider
from shared.runtime.errors import FieldError, InvalidConfig, VaultError

Values = dict[str, Any]


def plan_config(sealed: Mapping[str, Any], patch: Mapping[str, Any]) -> tuple[Values, list[str]]:
    """The columns to write and the names of the secrets whose value changes; InvalidConfig where it is not valid.

    `sealed` is the row with its sealed secrets. They are left alone where none changes, so that a new seal in the
    database always means a new secret.
    """
    secrets = _open_secrets(sealed, patch)
    saved = merge_config(sealed["settings"], secrets)
    config = patch_config(find_provider(sealed["integration_type"]), saved, patch)
    provider = load_provider(config, identify_row(sealed))
    settings, wanted = split_config(provider)
    if wanted == secrets and sealed["secret_names"] == name_secrets(secrets):
        return {"settings": settings}, []
    return seal_provider(provider), _list_changed(secrets, wanted)


def _open_secrets(sealed: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The secrets as saved. Where they don't open, the patch has to bring them all again."""
    try:
        return open_secrets(sealed)
    except VaultError:
        missing = [name for name in sealed["secret_names"] if name.split(".")[0] not in patch]
        if missing:
            message = "The stored value can't be opened any more; enter it again."
            raise InvalidConfig(errors=[FieldError(name, message) for name in missing]) from None
        return {}


def _list_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before = _list_secrets(old)
    return sorted(name for name, value in _list_secrets(new).items() if before.get(name, value) != value)


def _list_secrets(secrets: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_walk_secrets(secrets, ""))


def _walk_secrets(secrets: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in secrets.items():
        if isinstance(value, Mapping):
            yield from _walk_secrets(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
