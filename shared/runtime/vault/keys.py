"""Where the keys of the vault come from: INTEGRATION_KEYS or, where that is empty, Supabase Vault."""

from __future__ import annotations

import base64
import secrets

from shared.runtime.database.client import as_service
from shared.runtime.settings import load_settings

KEY_BYTES = 32
VAULT_SECRET = "integration_keys"  # noqa: S105 - the name of a secret, not one
"""The name of the secret in Supabase Vault; `read_integration_keys` reads that one only."""

NEW_KEY_COMMAND = (
    'python -c "import secrets,base64;'
    "print('k1:' + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip('='))\""
)
"""Prints one entry for INTEGRATION_KEYS."""


def are_stored() -> bool:
    """Whether the keys are in Supabase Vault, where they may change."""
    return not load_settings().integration_keys.strip()


def read_keys() -> str:
    """The text of the key ring, never empty; `Vault.from_text` says what it looks like.

    RuntimeError names both places and how to make a key where neither has one; Unavailable while the database is away.
    """
    keys = load_settings().integration_keys.strip() or _read_stored_keys()
    if not keys:
        raise RuntimeError(
            "There is no key to seal credentials with: set INTEGRATION_KEYS, or keep the same text in Supabase Vault "
            f"as the secret {VAULT_SECRET} (that way the function needs SUPABASE_SERVICE_ROLE_KEY too). "
            f"Make a key with: {NEW_KEY_COMMAND}"
        )
    return keys


def make_key(key_id: str) -> str:
    """A new random key, as one entry of the ring."""
    return f"{key_id}:{base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode().rstrip('=')}"


def _read_stored_keys() -> str:
    settings = load_settings()
    if not (settings.supabase_url and settings.supabase_service_role_key):
        return ""
    return (as_service().call("read_integration_keys") or "").strip()
