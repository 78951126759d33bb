"""The console's modules as they are written: small, all their words in every language, and HTML never parsed."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from scripts.local.stack import ROOT

FOLDER = ROOT / "shared" / "console"
MODULES = sorted(FOLDER.rglob("*.js"))
WORDS = sorted(FOLDER.glob("elements/words*.js"))
CODE = [module for module in MODULES if module not in WORDS]
KEY = re.compile(r"^ +(\w+): |, (\w+): (?=['\"{])", re.MULTILINE)
SAID = re.compile(r"(?:say|button|empty)\('(\w+)'(?:, '(\w+)')?|failed = '(\w+)'")
FAMILY = re.compile(r"say\(`(\w+_)\$\{")
MOST_LINES = 160
MOST_BYTES = 77_000
PARSERS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function"
)


def read_keys(file: Path) -> set[str]:
    text = re.sub(r"\{ one: .*?\}", "''", file.read_text())
    return {first or second for first, second in KEY.findall(text)}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_is_small_and_parses_no_html(module: Path) -> None:
    text = module.read_text()

    assert len(text.splitlines()) <= MOST_LINES
    assert PARSERS.findall(text) == []
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("file", WORDS, ids=lambda file: file.name)
def test_every_word_that_is_said_is_in_every_language(file: Path) -> None:
    code = "".join(module.read_text() for module in CODE)
    keys = read_keys(file)

    said = {word for found in SAID.findall(code) for word in found if word}
    families = set(FAMILY.findall(code))

    assert len(said) > 150
    # What the pattern takes for words, and are names of fields' states.
    assert said - keys - {"set", "typed"} == set()
    assert {family for family in families if not any(key.startswith(family) for key in keys)} == set()
    assert keys == read_keys(WORDS[0])


def test_all_of_it_together_is_small() -> None:
    packed = sum(
        len(gzip.compress(module.read_bytes())) for module in MODULES if module.name != "words-de.js"
    )

    assert packed <= MOST_BYTES
