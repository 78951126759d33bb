"""Credentials at rest: from a provider to two sealed texts, and back.

Secrets that are sent are bound to where (the provider's `locate`), those that are kept are not; both to their row and
its counter, which rises with every change. So there is no way of changing a row that lets a secret travel or return.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from typing_extensions import TypedDict

from shared.integrations.codecs.sources import lend_codecs
from shared.provider import Destination, Identity, Provider, find_provider, load_provider, merge_config
from shared.runtime.errors import InvalidConfig, SealMismatch, VaultError
from shared.runtime.vault.ring import SealContext, load_vault

Use = Literal["sent", "kept"]
USES: tuple[Use, ...] = ("sent", "kept")

ELSEWHERE = (
    "A stored secret was entered for another address; enter it again. Until then it stays sealed, as does one that was "
    "changed or put back past the API."
)

Secrets = dict[str, Any]


class SealedIntegration(TypedDict):
    """An integration as the SQL functions give it that lend credentials; a null text has no secrets in it."""

    id: str
    organization_id: str
    integration_type: str
    name: str
    settings: dict[str, Any]
    sealed_sent: str | None
    sealed_kept: str | None
    seal_count: int


class Sealed(TypedDict):
    """Both texts as `write_integration` takes them; `count` is one more than the row's counter."""

    sent: str | None
    kept: str | None
    count: int


def identify_row(row: SealedIntegration) -> Identity:
    """The identity of a row."""
    return Identity(row["organization_id"], row["id"], row["integration_type"], row["name"])


def seal_secrets(identity: Identity, settings: Secrets, secrets: Secrets, count: int) -> Sealed:
    """The secrets of a valid config, for the row of `identity` under the counter `count`."""
    provider, vault = find_provider(identity.integration_type), load_vault()
    kept = {name: value for name, value in secrets.items() if provider.is_kept(name)}
    sent = {name: value for name, value in secrets.items() if name not in kept}
    place = provider.locate(settings) if sent else ()
    return {
        "sent": vault.seal(sent, _bind(identity, "sent", count, place)) if sent else None,
        "kept": vault.seal(kept, _bind(identity, "kept", count)) if kept else None,
        "count": count,
    }


def open_secrets(row: SealedIntegration, *uses: Use) -> Secrets:
    """The secrets of a row, of all uses unless told; VaultError where they don't open."""
    secrets: Secrets = {}
    for use in uses or USES:
        if text := _find_text(row, use):
            with _explain(use):
                secrets |= load_vault().open(text, bind_row(row, use))
    return secrets


def reseal_secrets(row: SealedIntegration) -> dict[str, str | None]:
    """Both texts of a row sealed anew with the primary key, for the same counter; VaultError where they don't open."""
    sealed: dict[str, str | None] = {}
    for use in USES:
        with _explain(use):
            text = _find_text(row, use)
            sealed[f"sealed_{use}"] = text and load_vault().reseal(text, bind_row(row, use))
    return sealed


def open_provider(row: SealedIntegration) -> Provider:
    """The provider of a row, validated again: it may have been written past the API.

    Errors: VaultError, InvalidConfig.
    """
    provider = load_provider(merge_config(row["settings"], open_secrets(row)), identify_row(row))
    # What was opened for one reading of the settings may not go where another leads: "false" is a text, and false.
    if row["sealed_sent"] and provider.locate(vars(provider)) != locate_row(row):
        raise VaultError(ELSEWHERE)
    lend_codecs(provider)
    return provider


def locate_row(row: SealedIntegration) -> Destination:
    """Where the secrets of a row may be sent; VaultError where its settings, written past the API, name no place."""
    try:
        return find_provider(row["integration_type"]).locate(row["settings"])
    except (ValueError, InvalidConfig):
        raise VaultError(ELSEWHERE) from None


def bind_row(row: SealedIntegration, use: Use) -> SealContext:
    """What the text of one use is sealed for; VaultError as `locate_row`."""
    return _bind(identify_row(row), use, row["seal_count"], locate_row(row) if use == "sent" else ())


@contextmanager
def _explain(use: Use) -> Iterator[None]:
    """What is sealed for something else, in the words that most likely help."""
    try:
        yield
    except SealMismatch as mismatch:
        raise VaultError(ELSEWHERE if use == "sent" else mismatch.detail) from None


def _find_text(row: SealedIntegration, use: Use) -> str | None:
    return row["sealed_sent"] if use == "sent" else row["sealed_kept"]


def _bind(identity: Identity, use: Use, count: int, place: Destination = ()) -> SealContext:
    row = (identity.organization_id, identity.integration_id, identity.integration_type)
    return SealContext(*row, use, count, place)
