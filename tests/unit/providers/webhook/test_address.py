"""Addresses that are themselves secrets: what is shown of them and what is hidden."""

from __future__ import annotations

import pytest

from shared.provider import Identity, load_provider, name_secrets, split_config
from shared.providers.webhook import Webhook
from shared.runtime.errors import InvalidConfig

IDENTITY = Identity("o", "i", "webhook")
SLACK = "https://hooks.slack.com/services/T0/B0/XXXXXXXXXXXX"


def load(**config: object) -> Webhook:
    provider = load_provider(config, IDENTITY)
    assert isinstance(provider, Webhook)
    return provider


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (SLACK, "https://hooks.slack.com"),
        ("https://hooks.example.com:8443/a", "https://hooks.example.com:8443"),
        ("https://hooks.example.com?token=canary", "https://hooks.example.com"),
        ("https://hooks.example.com", "https://hooks.example.com"),
    ],
)
def test_only_scheme_and_host_are_shown(address: str, shown: str) -> None:
    settings, secrets = split_config(load(secret_url=address))

    assert settings == {"events": ["*"], "url_origin": shown}
    assert name_secrets(secrets) == ["secret_url"]


def test_what_an_endpoint_repeats_of_it_is_hidden() -> None:
    webhook = load(secret_url="https://hooks.example.com/T0/B0?key=canary-in-query")

    for text in ("GET /T0/B0?key=canary-in-query HTTP/1.1", "key canary-in-query", webhook.address):
        masked = webhook.mask_text(text)
        assert "T0" not in masked
        assert "canary" not in masked


def test_a_slash_is_no_secret() -> None:
    assert load(secret_url="https://hooks.example.com/").mask_text("a/b") == "a/b"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "url"),
        ({"url": "https://a.example.com", "secret_url": SLACK}, "url"),
        ({"secret_url": "ftp://hooks.example.com/a"}, "secret_url"),
        ({"secret_url": "https://user:pass@hooks.example.com/a"}, "secret_url"),
    ],
)
def test_one_address_is_given_and_one_that_can_be_sent_to(config: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load(**config)

    assert [error.field for error in refusal.value.errors] == [field]


def test_what_is_only_read_can_not_be_written() -> None:
    settings, _ = split_config(load(secret_url=SLACK, url_origin="https://elsewhere.example.com"))

    assert settings["url_origin"] == "https://hooks.slack.com"


def test_its_secrets_go_to_one_place_however_that_is_spelt() -> None:
    home = "https://hooks.example.com/in"
    same = (
        "https://HOOKS.example.com/other",
        "https://hooks.example.com:443",
        "https://hooks.example.com./in?a=b",
    )
    other = (
        "http://hooks.example.com/in",
        "https://hooks.example.com:8443/in",
        "https://hooks.example.com.evil.example/in",
        "https://hooks.exampIe.com/in",
        "https://xn--hooks-.example.com/in",
    )

    assert {Webhook.locate({"url": url}) for url in same} == {Webhook.locate({"url": home})}
    assert len({Webhook.locate({"url": url}) for url in (home, *other)}) == 1 + len(other)


@pytest.mark.parametrize(
    "url",
    [
        None,
        5,
        "",
        "https://user@hooks.example.com/",
        "https://evil.example\\@hooks.example.com/",
        "https://hooks.example.com/ a",
        "https://2130706433/",
        "ftp://hooks.example.com/",
    ],
)
def test_what_names_no_one_place_is_none(url: object) -> None:
    with pytest.raises(ValueError, match=r"url|address"):
        Webhook.locate({"url": url})
