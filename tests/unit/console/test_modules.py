"""The console's modules as they are written: small, all their words in every language, and HTML never parsed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.local.stack import ROOT
from shared.runtime.web.static import File, make_file

FOLDER = ROOT / "shared" / "console"
ELEMENTS = FOLDER / "elements"
MODULES = sorted(FOLDER.rglob("*.js"))
LANGUAGES = {"en": ("words", "words-more"), "de": ("words-de", "words-de-more")}
WORDS = {f"{name}.js" for names in LANGUAGES.values() for name in names}
CODE = [module for module in MODULES if module.name not in WORDS]
KEY = re.compile(r"(?:^ +|, )(\w+): (?=['\"{])", re.MULTILINE)
SAID = re.compile(
    r"(?:say|button|empty|headline)\('(\w+)'(?:, '(\w+)')?|failed = '(\w+)'|removal = \['(\w+)', '(\w+)'"
)
COLUMNS = re.compile(r"table\(\[(.*?)\]")
QUOTED = re.compile(r"'(\w+)'")
FAMILY = re.compile(r"(?:say\(`|drawer\(')(\w+?_?)(?:\$\{|')")
IMPORT = re.compile(r"^(?:import|export) .*?'(\./[\w/-]+\.js)'$", re.MULTILINE)
NAMED = re.compile(r"^(import|export) \{ (.*?) \} from '(\./[\w/-]+\.js)'$", re.MULTILINE)
EXPORTED = re.compile(r"^export (?:async )?(?:const|class|function\*?|let) (\w+)", re.MULTILINE)
ALL = re.compile(r"^export \* from '(\./[\w/-]+\.js)'$", re.MULTILINE)
FIRST = ("page.js", *(f"elements/{name}.js" for name in ("start", "integrations", "chart", "feeds")))
"""The modules of the first screen: these, and what they import."""

MOST_LINES = 160
MOST_LINES_TOGETHER = 3_088
MOST_LINES_OF_CODE = 2_462
MOST_BYTES = 66_000
MOST_FIRST_BYTES = 24_900
MOST_FIRST_RAW_BYTES = 63_500
PARSERS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function"
)


def read_keys(*names: str) -> set[str]:
    text = "".join((ELEMENTS / f"{name}.js").read_text() for name in names)
    return set(KEY.findall(re.sub(r"\{ one: .*?\}", "''", text)))


def list_first() -> set[Path]:
    found, left = set[Path](), [FOLDER / name for name in FIRST]
    while left:
        module = left.pop().resolve()
        if module not in found:
            found.add(module)
            left += [module.parent / name for name in IMPORT.findall(module.read_text())]
    return found


def read_said(modules: list[Path]) -> tuple[set[str], set[str]]:
    code = "".join(module.read_text() for module in modules)
    columns = {word for found in COLUMNS.findall(code) for word in QUOTED.findall(found)}
    said = {word for found in SAID.findall(code) for word in found if word} | columns
    return said, {family if family.endswith("_") else f"{family}_" for family in FAMILY.findall(code)}


def read_exports(module: Path) -> set[str]:
    text = module.read_text()
    passed_on = {
        name for how, names, _ in NAMED.findall(text) if how == "export" for name in names.split(", ")
    }
    everything = (read_exports(module.parent / name) for name in ALL.findall(text))
    return set(EXPORTED.findall(text)).union(passed_on, *everything)


def serve(module: Path) -> File:
    return make_file(module.name, module.read_bytes())


def count_code(module: Path) -> int:
    return sum(bool(line.strip()) for line in serve(module).body.splitlines())


def pack(modules: list[Path]) -> int:
    return sum(len(serve(module).packed or b"") for module in modules)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_is_small_and_parses_no_html(module: Path) -> None:
    text = module.read_text()

    assert len(text.splitlines()) <= MOST_LINES
    assert PARSERS.findall(text) == []
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_is_served_line_by_line_without_those_that_document_it(module: Path) -> None:
    written, served = module.read_text().splitlines(), serve(module).body.decode().splitlines()
    left_out = [at for at, line in enumerate(written) if line != served[at]]

    assert len(served) == len(written)
    assert 0 in left_out
    for at in left_out:
        before = "\n".join(served[:at])
        assert served[at] == ""
        assert re.fullmatch(r" */\*\* [^*]+\*/", written[at])
        # It begins where code may: in no template, and in no other comment.
        assert before.count("`") % 2 == 0
        assert before.count("/*") == before.count("*/")


@pytest.mark.parametrize("module", CODE, ids=lambda module: module.name)
def test_what_a_module_imports_is_exported_and_used(module: Path) -> None:
    text = module.read_text()

    for how, names, name in NAMED.findall(text):
        assert set(names.split(", ")) - read_exports(module.parent / name) == set()
        unused = {each for each in names.split(", ") if len(re.findall(rf"\b{each}\b", text)) < 2}
        assert how == "export" or unused == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_that_is_said_is_in_every_language(language: str) -> None:
    keys = read_keys(*LANGUAGES[language])
    said, families = read_said(CODE)

    assert len(said) > 180
    # What the pattern takes for words, and are names of fields' states.
    assert said - keys - {"set", "typed"} == set()
    assert len(families) > 10
    assert {family for family in families if not any(key.startswith(family) for key in keys)} == set()
    assert [read_keys(name) for name in LANGUAGES[language]] == [read_keys(name) for name in LANGUAGES["en"]]


def test_the_first_screen_says_nothing_for_which_other_words_are_fetched() -> None:
    first = [module for module in list_first() if module.name not in WORDS]
    said, families = read_said([*first, FOLDER / "sign-in.js"])
    keys, later = read_keys("words"), read_keys("words-more")

    assert said - keys == set()
    assert {key for key in later if key.startswith(tuple(families))} == set()


def test_the_first_screen_is_small() -> None:
    first = list(list_first())

    assert {"more.js", "form.js", "dialog.js", "sign-in.js"}.isdisjoint(module.name for module in first)
    assert pack(first) <= MOST_FIRST_BYTES
    assert sum(len(serve(module).body) for module in first) <= MOST_FIRST_RAW_BYTES


def test_all_of_it_together_is_small() -> None:
    in_english = [module for module in MODULES if not module.name.startswith("words-de")]

    assert pack(in_english) <= MOST_BYTES
    assert sum(len(module.read_text().splitlines()) for module in CODE) <= MOST_LINES_TOGETHER
    assert sum(map(count_code, CODE)) <= MOST_LINES_OF_CODE
