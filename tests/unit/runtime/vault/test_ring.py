"""The vault opens what it sealed, for the row it was sealed for, and nothing else."""

from __future__ import annotations

import base64
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import orjson
import pytest

from shared.runtime.errors import Unavailable, VaultError
from shared.runtime.settings import load_settings
from shared.runtime.vault.keys import NEW_KEY_COMMAND
from shared.runtime.vault.ring import Loader, SealContext, Vault, forget_vault, load_vault
from tests.fakes.http_receiver import Answer, HttpReceiver

CONTEXT = SealContext(
    organization_id="7d1a4b3e-0f0e-4c55-9f5a-3f0f8a4ad001",
    integration_id="7d1a4b3e-0f0e-4c55-9f5a-3f0f8a4ad002",
    integration_type="mqtt",
)


def make_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def make_vault(*ids: str) -> Vault:
    return Vault.from_text(",".join(f"{key_id}:{make_key()}" for key_id in ids))


def test_a_sealed_value_opens_again() -> None:
    vault = make_vault("k1")

    sealed = vault.seal({"password": "pässword", "nested": {"list": [1, None, 2.5]}}, CONTEXT)

    assert vault.open(sealed, CONTEXT) == {"password": "pässword", "nested": {"list": [1, None, 2.5]}}


def test_no_secrets_at_all_can_be_sealed() -> None:
    vault = make_vault("k1")

    assert vault.open(vault.seal({}, CONTEXT), CONTEXT) == {}


def test_the_sealed_text_names_its_key_and_is_unpadded_base64url() -> None:
    key_id, _, box = make_vault("k1").seal({"a": "secret"}, CONTEXT).partition(".")

    assert key_id == "k1"
    assert len(base64.urlsafe_b64decode(box + "=" * (-len(box) % 4))) == 12 + len('{"a":"secret"}') + 16


def test_sealing_twice_gives_two_different_texts() -> None:
    vault = make_vault("k1")

    assert vault.seal({"a": 1}, CONTEXT) != vault.seal({"a": 1}, CONTEXT)


def test_the_letter_case_of_the_ids_does_not_matter() -> None:
    vault = make_vault("k1")
    upper = replace(CONTEXT, organization_id=CONTEXT.organization_id.upper())

    assert vault.open(vault.seal({"a": 1}, upper), CONTEXT) == {"a": 1}


def test_what_is_not_json_is_refused_before_it_is_sealed() -> None:
    vault = make_vault("k1")

    with pytest.raises(TypeError):
        vault.seal({"a": object()}, CONTEXT)
    with pytest.raises(ValueError, match="JSON compliant"):
        vault.seal({"a": float("nan")}, CONTEXT)


def test_an_unknown_key_is_named() -> None:
    sealed = make_vault("retired").seal({"a": 1}, CONTEXT)

    with pytest.raises(VaultError, match="'retired', which is not in INTEGRATION_KEYS"):
        make_vault("k1").open(sealed, CONTEXT)


def test_another_key_of_the_same_id_does_not_open() -> None:
    sealed = make_vault("k1").seal({"a": 1}, CONTEXT)

    with pytest.raises(VaultError, match="do not open with key 'k1'"):
        make_vault("k1").open(sealed, CONTEXT)


@pytest.mark.parametrize(
    "sealed",
    [
        "",
        "k1",
        "k1.",
        ".abcd",
        "k1.abcd",
        "k1.a",
        "k1.####",
        "k 1." + "A" * 60,
        "k1." + "A" * 59 + "é",
        "k1." + "A" * 61,
    ],
)
def test_malformed_text_is_a_vault_error(sealed: str) -> None:
    with pytest.raises(VaultError, match="enter them again"):
        make_vault("k1").open(sealed, CONTEXT)


def test_after_a_rotation_old_values_open_and_are_resealed_with_the_new_key() -> None:
    old, new = f"old:{make_key()}", f"new:{make_key()}"
    sealed = Vault.from_text(old).seal({"a": 1}, CONTEXT)
    rotated = Vault.from_text(f"{new}, {old}")

    resealed = rotated.reseal(sealed, CONTEXT)

    assert (sealed.startswith("old."), resealed.startswith("new.")) == (True, True)
    assert Vault.from_text(new).open(resealed, CONTEXT) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty; make a key with: python"),
        (" ", "is empty"),
        (f"a:{make_key()},", "entry 2 is not <id>:<key>"),
        (make_key(), "entry 1 is not <id>:<key>"),
        (f"a b:{make_key()}", "entry 1 is not <id>:<key>"),
        (f"{'a' * 33}:{make_key()}", "entry 1 is not <id>:<key>"),
        (f"a:{make_key()},a:{make_key()}", "entry 2 uses the id 'a' a second time"),
        (f"a:{make_key()},b:{make_key()[:-2]}", "entry 2 must hold 32 bytes"),
        (f"a:{make_key()}AAAA", "entry 1 must hold 32 bytes"),
        ("a:" + "+" * 43, "entry 1 must hold 32 bytes"),
    ],
    ids=map(str, count()),
)
def test_a_malformed_ring_is_refused_by_position_without_showing_a_key(text: str, problem: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        Vault.from_text(text)

    assert problem in str(caught.value)
    assert all(key[2:] not in str(caught.value) for key in text.split(",") if len(key) > 20)


def test_the_vault_never_shows_its_keys() -> None:
    key = make_key()

    vault = Vault.from_text(f"k1:{key}")

    assert str(vault) == repr(vault) == "Vault(primary='k1', keys=1)"


def test_the_command_named_in_the_error_makes_a_ring() -> None:
    code = NEW_KEY_COMMAND.removeprefix('python -c "').removesuffix('"')

    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()

    assert repr(Vault.from_text(made)) == "Vault(primary='k1', keys=1)"


@pytest.fixture
def _fresh_settings() -> object:
    load_settings.cache_clear()
    forget_vault()
    yield
    load_settings.cache_clear()
    forget_vault()


@pytest.mark.usefixtures("_fresh_settings")
def test_the_vault_is_loaded_once_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEGRATION_KEYS", f"k7:{make_key()}")

    assert load_vault() is load_vault()
    assert "k7" in repr(load_vault())


@pytest.mark.usefixtures("_fresh_settings")
@pytest.mark.parametrize("keys", [None, "", "  "])
def test_without_keys_the_error_names_both_places_and_the_command(
    monkeypatch: pytest.MonkeyPatch, keys: str | None
) -> None:
    monkeypatch.delenv("INTEGRATION_KEYS", raising=False)
    monkeypatch.delenv("SUPABASE_SERVICE_ROLE_KEY", raising=False)
    if keys is not None:
        monkeypatch.setenv("INTEGRATION_KEYS", keys)

    with pytest.raises(RuntimeError) as missing:
        load_vault()

    assert "INTEGRATION_KEYS" in str(missing.value)
    assert "Supabase Vault as the secret integration_keys" in str(missing.value)
    assert NEW_KEY_COMMAND in str(missing.value)


@pytest.fixture
def stored_keys(monkeypatch: pytest.MonkeyPatch, _fresh_settings: object) -> Iterator[HttpReceiver]:
    """A database that has the keys, and no INTEGRATION_KEYS."""
    with HttpReceiver() as database:
        monkeypatch.setenv("INTEGRATION_KEYS", "")
        monkeypatch.setenv("SUPABASE_URL", database.url)
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "service")
        yield database


def test_without_the_variable_the_keys_are_read_once_from_the_database(stored_keys: HttpReceiver) -> None:
    stored_keys.answer = lambda _: Answer(200, orjson.dumps(f"k8:{make_key()}"))

    vaults = [load_vault() for _ in range(3)]

    assert vaults[0].key_ids == ("k8",)
    assert vaults[0] is vaults[2]
    (request,) = stored_keys.requests
    assert request.path.endswith("/rest/v1/rpc/read_integration_keys")
    assert request.headers["authorization"] == "Bearer service"


def test_a_database_that_is_away_or_has_no_keys_yet_is_asked_again(stored_keys: HttpReceiver) -> None:
    answers = [Answer(503, b"away"), Answer(200, b"null"), Answer(200, orjson.dumps(f"k8:{make_key()}"))]
    stored_keys.answer = lambda _: answers[len(stored_keys.requests) - 1]

    with pytest.raises(Unavailable):
        load_vault()
    with pytest.raises(RuntimeError, match="There is no key"):
        load_vault()

    assert load_vault().key_ids == ("k8",)


def test_keys_in_the_database_are_read_again_and_the_last_ones_count_while_it_is_away(
    stored_keys: HttpReceiver,
) -> None:
    old, new = f"k8:{make_key()}", f"k9:{make_key()}"
    answers = [(200, old), (200, old), (503, "away"), (200, "k8:malformed"), (200, f"{new},{old}")]
    stored_keys.answer = lambda _: _write_answer(*answers[len(stored_keys.requests) - 1])
    loader = Loader(seconds=0)

    vaults = [loader.load() for _ in answers]

    assert [vault.key_ids for vault in vaults] == [("k8",)] * 4 + [("k9", "k8")]
    assert vaults[0] is vaults[3]


@pytest.mark.usefixtures("_fresh_settings")
def test_keys_in_the_environment_are_never_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTEGRATION_KEYS", f"k7:{make_key()}")
    loader = Loader(seconds=0)

    assert loader.load() is loader.load()


def _write_answer(status: int, keys: str) -> Answer:
    return Answer(status, orjson.dumps(keys))
