"""The platform's own key at AWS, which assumes the roles that organizations let it."""

from __future__ import annotations

from shared.runtime.settings import load_settings


def read_platform_key() -> tuple[str, str] | None:
    """The access key's id and its secret; None where the operator has set none."""
    settings = load_settings()
    pair = (settings.aws_iot_access_key_id, settings.aws_iot_secret_access_key)
    return pair if all(pair) else None
