"""What has to be right before a function or a worker begins."""

from __future__ import annotations

from shared.runtime.settings import SEALING, list_missing, load_settings
from shared.runtime.vault.ring import Vault


def check_start(function: str) -> None:
    """RuntimeError names every setting that is wrong, or missing for `function`: a name as in URLs, or `worker`."""
    settings = load_settings()
    if missing := list_missing(function, settings):
        raise RuntimeError(
            f"{', '.join(missing)} must be set for {function}; docs/deploy.md says what to put there."
        )
    if function in SEALING and settings.integration_keys:
        Vault.from_text(settings.integration_keys)
