"""Secrets are hidden in every way that others write them."""

from __future__ import annotations

import base64
import html
import json
import random
import string
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime import masking
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


def list_naively(secret: str) -> Iterator[str]:
    """Every way that `secret` is written, said in the plainest way."""
    words = {secret, *(word for word in secret.split() if len(word) >= 8)} - {""}
    for word in words:
        once = {json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]}
        twice = {
            json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in once for ascii_only in (True, False)
        }
        for text in {word, html.escape(word)} | once | twice:
            yield from (text, quote(text), quote(text, safe=""), quote_plus(text))
            for encode in (base64.b64encode, base64.urlsafe_b64encode):
                raw = text.encode()
                yield encode(raw).decode()
                for before in range(3 if len(raw) >= 8 else 0):
                    bits = encode(bytes(before) + raw).decode()
                    yield bits[-(-8 * before // 6) : 8 * (before + len(raw)) // 6]


def mask_naively(text: str, secrets: list[str], *, cut: bool) -> str:
    """What comes of trying every form at every place, the longest first."""
    forms = sorted({form for secret in secrets for form in list_naively(secret)}, key=len, reverse=True)
    tails = (
        length for length in range(len(text), 3, -1) if any(form[:length] == text[-length:] for form in forms)
    )
    tail = next(tails, 0) if cut else 0
    kept, masked = text[: len(text) - tail], ""
    while kept:
        found = next((form for form in forms if kept.startswith(form)), "")
        masked += MASK if found else kept[0]
        kept = kept[len(found) or 1 :]
    return masked + MASK if tail else masked


LETTERS = st.text(st.sampled_from('aab/ "é+\\'), max_size=24)
SECRETS = st.lists(LETTERS, max_size=4) | st.lists(LETTERS, min_size=12, max_size=24)


@given(secrets=SECRETS, parts=st.lists(st.integers(0) | LETTERS, max_size=8), cut=st.booleans())
@settings(max_examples=300)
def test_it_hides_what_trying_every_form_at_every_place_would(
    *, secrets: list[str], parts: list[int | str], cut: bool
) -> None:
    forms = [form for secret in secrets for form in list_naively(secret)] or ["a"]
    text = "".join(part if isinstance(part, str) else forms[part % len(forms)] for part in parts)

    for end in {len(text), len(text) * 2 // 3}:
        assert mask_secrets(text[:end], secrets, cut=cut) == mask_naively(text[:end], secrets, cut=cut)


def test_of_secrets_that_begin_alike_the_longest_is_hidden() -> None:
    secrets = ["token-1", "token-12", "token-123", "token-1234567890"]

    assert mask_secrets("token-1234, token-12, token-13", secrets) == "***4, ***, ***3"


@pytest.mark.parametrize("count", [3, 40])
def test_of_secrets_that_overlap_the_first_is_hidden(count: int) -> None:
    secrets = ["abcdefgh", "efghijkl", *(f"another-{number}" for number in range(count))]

    assert mask_secrets("<abcdefghijkl>", secrets) == "<***ijkl>"


MAKE = random.Random(1)  # noqa: S311 - made-up secrets, the same in every run


def make_word(length: int) -> str:
    return "".join(MAKE.choices(string.ascii_letters + string.digits, k=length))


def make_runs(count: int) -> str:
    return "".join(MAKE.choice(("a" * 8, "b" * 8)) for _ in range(count))


SLOW: dict[str, tuple[list[str], str]] = {
    "50 secrets of 1 KB": ([make_word(1000) for _ in range(50)], make_word(16_384)),
    "one secret of 46 KB": ([make_word(46_000)], make_word(16_384)),
    "46 KB of secrets in one": ([" ".join(make_word(1000) for _ in range(46))], make_word(16_384)),
    "46 KB of words": ([" ".join(make_word(9) for _ in range(4600))], make_word(16_384)),
    "46 KB of one letter": (["a" * 46_000], "a" * 16_384),
    "46 KB of what is escaped": (['é"\\' * 15_000], "é" * 16_384),
    "prefixes of one another": (["a" * length for length in range(8, 300)], "a" * 16_383 + "b"),
    "endings of one another": (["b" + "a" * length for length in range(8, 300)], "a" * 16_383 + "b"),
    "almost there everywhere": ([f"{'ab' * 500}c{number}" for number in range(50)], "ab" * 8192),
    "almost there, in the middle": (
        ["a" * before + "b" + "a" * (90 - before) for before in range(10, 80)],
        "a" * 8000 + "b" + "a" * 8000,
    ),
    "one letter each": (["a", "b", "ab", "ba"], "ab" * 8192),
    "short ones": (["a" * left + "b" * right for left in range(1, 8) for right in range(8)], "ab" * 8192),
    "runs that repeat": ([" ".join(make_runs(10) for _ in range(600))], make_runs(2048)),
}


@pytest.mark.parametrize("name", SLOW)
def test_no_secrets_take_long(name: str) -> None:
    secrets, text = SLOW[name]
    started = time.process_time()

    mask_secrets(text, secrets, cut=True)

    assert time.process_time() - started < 2


def test_46_kb_of_secrets_are_hidden_wherever_they_are() -> None:
    secrets, text = SLOW["46 KB of words"]
    words = secrets[0].split()

    masked = mask_secrets(f"{text[:6000]} {words[7]} {write_base64(words[4000])} {text[:6000]}", secrets)

    assert masked == f"{text[:6000]} *** *** {text[:6000]}"


def test_a_text_made_to_be_searched_slowly_is_hidden_whole() -> None:
    secrets, text = SLOW["runs that repeat"]

    assert mask_secrets(text, secrets) == MASK


def test_what_is_kept_of_secrets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = masking._KeptForms()
    monkeypatch.setattr(masking, "KEPT_CHARACTERS", 5_000)
    secrets = [(make_word(50),) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(kept.find, secrets * 20))

    assert [secret in forms.sorted for (secret,), forms in zip(secrets * 20, found, strict=True)] == [
        True
    ] * 400
    assert kept._size == sum(forms.size for forms in kept._kept.values()) <= 5_000
