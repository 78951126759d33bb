"""Secrets that we make where none is given, as providers declare them: at create, and anew in a rotation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.integrations.bodies import Rotation
from shared.integrations.sealing import open_secrets
from shared.provider.base import GeneratedSecret, Provider
from shared.provider.catalogue import find_provider
from shared.runtime.errors import BadRequest, FieldError, NotSupported, VaultError


def make_secrets(provider: type[Provider], config: Mapping[str, Any]) -> dict[str, str]:
    """A value for each secret that `config` does not mention; null there asks for none."""
    return {name: secret.make(None) for name, secret in provider.generated.items() if name not in config}


def plan_rotation(sealed: Mapping[str, Any], rotation: Rotation) -> tuple[dict[str, str], dict[str, Any]]:
    """The new secret by its name, and the config patch that sets it and keeps the old one for the grace period.

    `sealed` is the row with its sealed secrets. Errors: NotSupported, BadRequest.
    """
    provider = find_provider(sealed["integration_type"])
    name = _choose_name(provider, rotation.name)
    secret, old = provider.generated[name], _open_old(sealed, name)
    made = {name: secret.make(old)}
    return made, made | _keep_old(secret, old, rotation.grace_seconds)


def _choose_name(provider: type[Provider], name: str | None) -> str:
    names = list(provider.generated)
    if not names:
        raise NotSupported(
            f"{provider.label} integrations have no secret that is made here; change it with PATCH."
        )
    if name is not None and name not in names:
        raise BadRequest(errors=[FieldError("name", f"Expected one of: {', '.join(names)}.")])
    return name or names[0]


def _open_old(sealed: Mapping[str, Any], name: str) -> Any:
    try:
        return open_secrets(sealed).get(name)
    except VaultError:
        return None


def _keep_old(secret: GeneratedSecret, old: Any, grace_seconds: int) -> dict[str, Any]:
    if secret.previous is None or secret.previous_until is None:
        return {}
    if old is None or grace_seconds == 0:
        return {secret.previous: None, secret.previous_until: None}
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=grace_seconds)
    return {secret.previous: old, secret.previous_until: until.isoformat()}
