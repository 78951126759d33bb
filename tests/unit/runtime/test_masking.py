"""Secrets are hidden in every way that others write them."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from shared.runtime.masking import MASK, mask_secrets

SECRET = 'a-secret "of/some+length" & <more>'
WORD = "of/some+length"


def write_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "write",
    [
        str,
        html.escape,
        json.dumps,
        lambda text: json.dumps(json.dumps(text)),
        lambda text: json.dumps(html.escape(text)),
        quote,
        quote_plus,
        lambda text: quote(json.dumps(text), safe=""),
        write_base64,
        lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
        lambda text: write_base64(json.dumps({"headers": {"Authorization": f"Bearer {text}"}})),
        *(
            lambda text, before=before: write_base64(f"{'.' * before}{text}{'.' * before}")
            for before in range(4)
        ),
        *(
            lambda text, before=before: base64.urlsafe_b64encode(f"{'.' * before}{text}".encode()).decode()
            for before in range(4)
        ),
    ],
)
def test_a_secret_is_hidden_however_it_is_written(write: Callable[[str], str]) -> None:
    masked = mask_secrets(f"before {write(SECRET)} after", [SECRET])

    assert MASK in masked
    assert WORD not in masked
    assert write_base64(WORD)[4:-4] not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_nothing_else_is_hidden() -> None:
    text = "a secret of some length, and more; " + write_base64("another-secret" * 5)

    assert mask_secrets(text, [SECRET, "x" * 40]) == text


def test_a_short_secret_is_not_looked_for_within_base64() -> None:
    text = write_base64("xxabcxx")

    assert mask_secrets(text, ["abc"]) == text


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]])
def test_without_secrets_the_text_stays(secrets: list[str]) -> None:
    assert mask_secrets("any text", secrets, cut=True) == "any text"


def test_the_beginning_of_a_secret_at_a_cut_is_hidden() -> None:
    beginnings = [SECRET[:12], json.dumps(SECRET)[1:13], write_base64(SECRET)[:12]]

    assert [mask_secrets(f"so far {text}", [SECRET], cut=True) for text in beginnings] == ["so far ***"] * 3
