"""Rotating a secret that we make: a new one, the old one kept beside it for the grace period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.integrations.bodies import Rotation
from shared.integrations.patch import Patch, change_config
from shared.integrations.records import IntegrationRow, SealedRow
from shared.integrations.sealing import open_secrets
from shared.provider import Provider, RotatingSecret, find_provider
from shared.runtime.errors import BadRequest, FieldError, NotSupported, VaultError
from shared.runtime.web.call import Call


def rotate_secret(call: Call, rotation: Rotation) -> tuple[IntegrationRow, dict[str, str]]:
    """The integration as it is now, and the new secret by its name. Errors: NotSupported, BadRequest, and a PATCH's."""
    made: dict[str, str] = {}

    def plan(sealed: SealedRow) -> Patch:
        provider = find_provider(sealed["integration_type"])
        name = _choose_name(provider, rotation.name)
        secret, old = provider.generated[name], _open_old(sealed, name)
        made[name] = secret.make(old)
        return made | _keep_old(secret, old, rotation.grace_seconds)

    return change_config(call, {}, plan), made


def _choose_name(provider: type[Provider], name: str | None) -> str:
    names = list(provider.generated)
    if not names:
        raise NotSupported(
            f"{provider.label} integrations have no secret that is made here; change it with PATCH."
        )
    if name is not None and name not in names:
        raise BadRequest(errors=[FieldError("name", f"Expected one of: {', '.join(names)}.")])
    return name or names[0]


def _open_old(sealed: SealedRow, name: str) -> Any:
    is_kept = find_provider(sealed["integration_type"]).is_kept(name)
    try:
        return open_secrets(sealed, "kept" if is_kept else "sent").get(name)
    except VaultError:
        return None


def _keep_old(secret: RotatingSecret, old: Any, grace_seconds: int) -> dict[str, object]:
    if old is None or grace_seconds == 0:
        return {secret.previous: None, secret.previous_until: None}
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=grace_seconds)
    return {secret.previous: old, secret.previous_until: until.isoformat()}
