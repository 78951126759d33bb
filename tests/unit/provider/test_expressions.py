"""Expressions over what an API answers: those of names and indexes come to the same with and without an engine."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest

from shared.provider import Expressions, Pages, cut_bodies, name_item

DOCUMENT: dict[str, Any] = {"a": {"b": [1, [2, 3], {"c": None}], "n": 5}, "l": [[1], [2]], "s": "text", "": 1}
OWNER = "00000000-0000-4000-8000-000000000001"


PATHS = (
    *("a", "a.b", "a.b[0]", "a.b[-1]", "a.b[-1].c", "a.b[1][0]", "a.b[9]", "a.b[-9]"),
    *("a[0]", "s[0]", "l[1][0]", "a.x.y", "s.t", "a.n.m"),
)


@pytest.mark.parametrize("expression", PATHS)
@pytest.mark.parametrize("document", [DOCUMENT, None, [], "x", 7, {"a": [DOCUMENT]}])
def test_names_and_indexes_find_what_jmespath_finds(expression: str, document: Any) -> None:
    (found,) = Expressions(OWNER, {"it": expression}).find([document])

    assert found.values["it"] == jmespath.search(expression, document)


def test_others_are_asked_together_each_document_by_itself() -> None:
    expressions = Expressions(
        OWNER, {"names": "items[].name", "last": "items[-1].name", "count": "length(items)"}
    )

    one, broken = expressions.find([{"items": [{"name": "a"}, {"name": "b"}]}, {"items": 5}])

    assert one.values == {"names": ["a", "b"], "last": "b", "count": 2}
    assert broken.error
    assert "length()" in broken.error


def test_a_page_that_repeats_another_is_the_last() -> None:
    pages = Pages(is_empty_last=True)

    assert [pages.is_last(names) for names in ({"a"}, {"b"}, {"a"})] == [False, False, True]
    assert pages.is_last(set())


def test_items_are_called_by_their_key_else_by_their_content() -> None:
    assert name_item({"id": 7}, "id", "p") == "p:7"
    assert name_item({"a": {"b": "x"}}, "a.b", "p") == "p:x"
    for odd in ({"id": None}, {"id": ["x"]}, {"id": True}, {"id": "a\x00"}, {"id": "x" * 2_000}, {}, "text"):
        assert name_item(odd, "id", "p").startswith("p-content:")
    assert (
        name_item({"id": 7}, None, "p") == name_item({"id": 7}, None, "p") != name_item({"id": 8}, None, "p")
    )


def test_bodies_are_cut_by_their_number_and_their_size() -> None:
    many = [(str(number), b"x") for number in range(1_200)]
    large = [(str(number), b"x" * 900_000) for number in range(5)]

    assert [len(part) for part in cut_bodies(many)] == [500, 500, 200]
    assert [len(part) for part in cut_bodies(large)] == [2, 2, 1]
    assert list(cut_bodies([])) == [[]]
