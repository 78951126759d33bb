"""Configs of mail: which servers mail may be handed to, and which addresses are taken."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import Identity, load_provider
from shared.providers.email import Email
from shared.runtime.errors import InvalidConfig

BASE: dict[str, Any] = {
    "server_url": "smtp://mail.example.com",
    "from_address": "alerts@example.com",
    "recipients": [{"name": "Ada", "to": "ada@example.com"}],
}


def load(**config: Any) -> Email:
    loaded = load_provider(BASE | config, Identity("o", "i", "email"))
    assert isinstance(loaded, Email)
    return loaded


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("smtp://mail.example.com", "smtp://mail.example.com:587"),
        ("smtps://mail.example.com/", "smtps://mail.example.com:465"),
        ("smtp://[2001:db8::1]:2525", "smtp://[2001:db8::1]:2525"),
        ("smtp://10.0.0.7:25", "smtp://10.0.0.7:25"),
        ("smtp://relay:25", "smtp://relay:25"),
    ],
)
def test_a_server_is_a_scheme_a_host_and_a_port(written: str, kept: str) -> None:
    assert load(server_url=written).server_url == kept


@pytest.mark.parametrize(
    "written",
    [
        "smtp://mx.example.com:25",
        "smtps://MX.example.com:25",
        "smtp://192.0.43.8:25",
        "smtp://a:b@mail.example.com",
        "smtp://mail.example.com:0",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com/x",
        "smtp://mail.example.com?x",
        "smtp://mail .example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://[::1",
    ],
)
def test_what_is_no_submission_server_is_refused_at_its_field(written: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load(server_url=written)

    assert [error.field for error in refusal.value.errors] == ["server_url"]


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@",
        "@example.com",
        "a b@example.com",
        "ada@example.com>\r\nDATA",
        "ada@example.com\nBcc: x@y.z",
        "ada@exa_mple.com",
        "ada@bücher.example",
        "ä@example.com",
        '"a"@example.com',
        "a..b@example.com",
        f"{'a' * 65}@example.com",
        f"a@{'b' * 64}.com",
        "<ada@example.com>",
        "a@b@example.com",
        "ada@example.com\x00",
    ],
)
@pytest.mark.parametrize("field", ["from_address", "reply_to", "recipients.0.to"])
def test_what_is_no_address_is_refused_at_its_field(address: str, field: str) -> None:
    config = {"recipients": [{"name": "A", "to": address}]} if "." in field else {field: address}

    with pytest.raises(InvalidConfig) as refusal:
        load(**config)

    assert [error.field for error in refusal.value.errors] == [field]


@pytest.mark.parametrize(
    "changed",
    [
        {"server_url": "smtps://mail.internal:587"},
        {"server_url": "smtp://other.internal:587"},
        {"server_url": "smtp://mail.internal:588"},
        {"ca_certificate": "another authority"},
        {"allow_plain": True},
    ],
)
def test_a_password_is_bound_to_where_it_goes_and_to_who_may_read_it(changed: dict[str, Any]) -> None:
    entered = {"server_url": "smtp://mail.internal:587", "ca_certificate": None, "allow_plain": False}

    assert Email.locate(entered) == Email.locate({"server_url": "smtp://MAIL.internal:587"})
    assert Email.locate(entered | changed) != Email.locate(entered)
