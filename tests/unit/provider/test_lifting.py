"""What lies too deep in a document is lifted out and put back where it belongs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import UNLIFTED, lift_deep, read_lifted, write_item
from shared.provider.lifting import LEVELS


def nest(levels: int, inner: str = "") -> str:
    return "[" * levels + inner + "]" * levels


@pytest.mark.parametrize("levels", [LEVELS + 20, 1_100, 50_000])
def test_what_is_put_back_is_what_was_lifted_out(levels: int) -> None:
    items = ['{"a":"]}\\" [","b":[1,2]}', f'{{"deep":{nest(levels)},"b":{nest(levels, "7")}}}', "[]"]

    (document, remark, error), lifted = read_lifted(f'{{"items":[{",".join(items)}]}}'.encode())

    assert (remark, error) == (None, None)
    assert [lifted.restore(write_item(each)).decode() for each in document["items"]] == items


def test_items_that_only_their_document_makes_too_deep_are_whole() -> None:
    kept, alike, deep = nest(3), nest(99), nest(101)
    lifted = lift_deep(f'{{"items":[{kept},{alike},{deep}]}}'.encode())

    whole, others = lifted.split(json.loads(lifted.body)["items"])

    assert whole == [json.loads(kept), json.loads(alike)]
    assert [text.decode() for _, text in others] == [deep]


@pytest.mark.parametrize("body", [b'{"a":1}', b"[1,", b"", nest(50).encode()])
def test_of_what_is_not_too_deep_nothing_is_lifted(body: bytes) -> None:
    assert read_lifted(body)[1] is UNLIFTED


@pytest.mark.parametrize(
    "body", ["[" * 2_000, nest(2_000) + "]", nest(2_000, '"'), "}" * 2_000 + nest(2_000)]
)
def test_what_is_no_json_besides_is_none(body: str) -> None:
    (document, _, error), _ = read_lifted(body.encode())

    assert document is None
    assert error


def test_no_more_than_so_much_of_a_document_is_looked_at() -> None:
    body = f"[{nest(1_100)},{nest(1)}]".encode()

    assert lift_deep(body, 2_205).texts
    assert lift_deep(body, 2_203) == (body, {})


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=20))
def test_whatever_surrounds_it_is_as_it_was(value: object) -> None:
    body = json.dumps([value, json.loads(nest(LEVELS + 30)), value])

    lifted = lift_deep(body.encode())

    assert lifted.texts
    assert json.loads(lifted.restore(lifted.body)) == json.loads(body)
