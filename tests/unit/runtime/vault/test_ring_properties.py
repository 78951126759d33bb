"""Properties of the vault that hold for every input hypothesis finds."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.runtime.errors import VaultError
from shared.runtime.vault.ring import SealContext, Vault
from tests.unit.runtime.vault.test_ring import make_key, make_vault

VAULT = make_vault("new", "old")
TEXT = st.text(st.characters(codec=None))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SECRETS = st.dictionaries(TEXT, JSON, max_size=5)
IDS = st.uuids().map(str)
PLACES = st.lists(st.text(), max_size=5).map(tuple)
ANY_CONTEXT = st.builds(
    SealContext, st.text(), st.text(), st.text(), st.text(), st.integers(min_value=0), PLACES
)
CONTEXTS = st.builds(
    SealContext, IDS, IDS, st.sampled_from(["mqtt", "webhook", "golioth"]),
    st.sampled_from(["sent", "kept"]), st.integers(min_value=0, max_value=9), PLACES,
)  # fmt: skip


def lower_ids(context: SealContext) -> SealContext:
    ids = (context.organization_id.lower(), context.integration_id.lower())
    return replace(context, organization_id=ids[0], integration_id=ids[1])


@given(SECRETS, CONTEXTS)
def test_any_json_object_opens_to_itself(secrets: dict[str, object], context: SealContext) -> None:
    assert VAULT.open(VAULT.seal(secrets, context), context) == secrets


@given(SECRETS, CONTEXTS, st.data())
def test_any_single_bit_flipped_is_refused(
    secrets: dict[str, object], context: SealContext, data: st.DataObject
) -> None:
    sealed = VAULT.seal(secrets, context).encode()
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[bit // 8] ^= 1 << bit % 8

    with pytest.raises(VaultError):
        VAULT.open(flipped.decode("latin-1"), context)


@given(SECRETS, CONTEXTS, CONTEXTS, st.sampled_from([field.name for field in fields(SealContext)]))
def test_any_field_of_the_context_swapped_is_refused(
    secrets: dict[str, object], context: SealContext, other: SealContext, field: str
) -> None:
    swapped: SealContext = replace(context, **{field: getattr(other, field)})
    assume(swapped != context)
    sealed = VAULT.seal(secrets, context)

    with pytest.raises(VaultError):
        VAULT.open(sealed, swapped)


@given(ANY_CONTEXT, ANY_CONTEXT)
def test_no_two_contexts_are_bound_alike(one: SealContext, other: SealContext) -> None:
    assume(lower_ids(one) != lower_ids(other))

    with pytest.raises(VaultError):
        VAULT.open(VAULT.seal({}, one), other)


@given(SECRETS, CONTEXTS)
def test_a_rotation_keeps_every_secret(secrets: dict[str, object], context: SealContext) -> None:
    old, new = f"old:{make_key()}", f"new:{make_key()}"
    sealed = Vault.from_text(old).seal(secrets, context)
    rotated = Vault.from_text(f"{new},{old}")

    resealed = rotated.reseal(sealed, context)

    assert (sealed.startswith("old."), resealed.startswith("new.")) == (True, True)
    assert Vault.from_text(new).open(resealed, context) == secrets


@given(st.text())
def test_any_text_is_opened_or_refused_but_never_crashes(sealed: str) -> None:
    with pytest.raises(VaultError):
        VAULT.open(sealed, SealContext("o", "i", "t"))
