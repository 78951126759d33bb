"""The environment: what is malformed is named, with what it should hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from scripts.local.functions import url_name
from scripts.local.stack import ROOT
from shared.runtime.settings import ALL, list_missing, list_variables, load_settings, read_settings


def make_legacy_key(role: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"iss": "supabase", "role": role}).encode()).decode()
    return f"eyJh.{claims.rstrip('=')}.canary"


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("SCHEDULER_SECONDS", "a minute", "number of seconds"),
        ("SCHEDULER_SECONDS", "inf", "from 0.1 to 3600"),
        ("SCHEDULER_SECONDS", "0", "from 0.1 to 3600"),
        ("SCHEDULER_SECRET", "canary-short", "at least 16 characters"),
        ("SUPABASE_URL", "canary.supabase.co", "address such as"),
        ("SUPABASE_URL", "https://canary:password@supabase.co", "address such as"),
        ("SUPABASE_URL", "https://[canary", "address such as"),
        ("SUPABASE_ANON_KEY", "sb_secret_canary", "a key of the service"),
        ("SUPABASE_ANON_KEY", make_legacy_key("service_role"), "a key of the service"),
        ("SUPABASE_SERVICE_ROLE_KEY", "sb_publishable_canary", "a key of frontends"),
        ("SUPABASE_SERVICE_ROLE_KEY", make_legacy_key("anon"), "a key of frontends"),
        ("SUPABASE_SERVICE_ROLE_KEY", "'sb_secret_canary'", "without quotes"),
        ("SUPABASE_JWT_SECRET", "canary\nsecond", "one line"),
        ("OUTBOUND_ALLOW", "10.0.0.0/8, 10.1.2.3/8", "entry 2 is none"),
        ("OUTBOUND_ALLOW", "fd00:1::/32,fd00:2::%canary/32", "entry 2 is none"),
        ("ALLOWED_ORIGINS", "https://canary.example.com/", "nothing behind the host"),
        ("ALLOWED_ORIGINS", "*,https://canary.example.com", "nothing behind the host"),
    ],
)
def test_a_malformed_variable_is_named_with_what_it_should_hold(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(RuntimeError, match=f"{name}.*{wanted}") as raised:
        load_settings()

    assert "canary" not in str(raised.value)


def test_an_empty_variable_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULER_SECONDS", "")

    assert load_settings().scheduler_seconds == 50


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = {"SUPABASE_URL": "x", "SCHEDULER_SECONDS": "0", "ALLOWED_ORIGINS": "x"}

    with pytest.raises(RuntimeError) as raised:
        read_settings(wrong)

    assert all(name in str(raised.value) for name in wrong)


def test_each_function_says_what_it_can_not_do_without() -> None:
    settings = read_settings(
        {"SUPABASE_URL": "https://a.supabase.co/", "SUPABASE_ANON_KEY": "sb_publishable_a"}
    )

    assert settings.supabase_url == "https://a.supabase.co"
    assert list_missing("commands", settings) == []
    assert list_missing("integrations", settings) == ["INTEGRATION_KEYS"]
    assert list_missing("worker", settings) == ["SUPABASE_SERVICE_ROLE_KEY", "INTEGRATION_KEYS"]


def test_keys_in_supabase_vault_need_no_variable_of_their_own() -> None:
    keys = {"SUPABASE_ANON_KEY": "sb_publishable_a", "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_a"}

    settings = read_settings({"SUPABASE_URL": "https://a.supabase.co", **keys})

    assert list_missing("integrations", settings) == []


def test_the_issuer_and_the_functions_address_follow_the_project_unless_they_are_set() -> None:
    project = {"SUPABASE_URL": "https://a.supabase.co"}
    own = {"SUPABASE_JWT_ISSUER": "https://id.example.com", "FUNCTIONS_URL": "https://f.example.com/"}

    usual, set_ = read_settings(project), read_settings(project | own)

    assert (usual.jwt_issuer, usual.public_url) == (
        "https://a.supabase.co/auth/v1",
        "https://a.supabase.co/functions/v1",
    )
    assert (set_.jwt_issuer, set_.public_url) == ("https://id.example.com", "https://f.example.com")


def test_no_secret_is_in_what_a_traceback_or_a_debugger_shows() -> None:
    given = {variable.name: f"canary-{'x' * 20}" for variable in list_variables() if variable.is_secret}
    given["HEARTBEAT_URL"] = f"https://beats.test/{given['HEARTBEAT_URL']}"

    assert len(given) == 8
    assert "canary" not in repr(read_settings(given))


def test_the_model_knows_every_function_there_is() -> None:
    functions = {url_name(file) for file in (ROOT / "functions").glob("*.py") if file.stem != "__init__"}
    used = {name for variable in list_variables() for name in (*variable.used_by, *variable.needed_by)}

    assert used == set(ALL) == functions | {"worker"}
