"""A list in a body: each item is judged for itself, and what can't be kept as JSON takes no other along."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import read_parts
from shared.provider.decoding.storable import DEPTH_LIMIT, TOO_DEEP, is_too_deep


def nest(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_a_body_that_is_no_list_is_one_document_or_its_error() -> None:
    assert [each.document for each in read_parts(b'{"t":1}').items] == [{"t": 1}]
    assert not read_parts(b'{"t":1}').is_list
    assert read_parts(f'{{"a":{nest(DEPTH_LIMIT)}}}'.encode()) == ([], None, TOO_DEEP, False)
    assert "Not JSON" in (read_parts(b"[1, ").error or "")


@pytest.mark.parametrize("levels", [DEPTH_LIMIT + 1, 300, 1_100, 5_000])
def test_one_item_that_is_nested_too_deep_costs_no_other(levels: int) -> None:
    deep = f'{{"a":{nest(levels)}}}'
    texts = ['{"text":"a, ]}\\" b"}', deep, f'{{"id": [1,2], "deep": {nest(DEPTH_LIMIT - 1)}}}', "7"]

    parts = read_parts(f" [{' , '.join(texts)}]\n".encode())

    assert (parts.is_list, parts.error) == (True, None)
    assert [is_too_deep(each.error) for each in parts.items] == [False, True, False, False]
    assert [each.document for each in parts.items if not each.error] == [
        json.loads(text) for text in texts if text != deep
    ]
    assert parts.items[1].body == deep.encode()


@pytest.mark.parametrize("rest", ["", ",", "] more", "]]", ',{"b":2', ',"b'])
def test_what_is_cut_off_or_follows_is_kept_too(rest: str) -> None:
    parts = read_parts(f'[{{"a":1}},{nest(1_100)}{rest}'.encode())

    assert [each.document for each in parts.items if not each.error] == [{"a": 1}]
    assert next(each.body for each in parts.items if each.error) == nest(1_100).encode()


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=20).map(lambda each: [each]))
def test_a_list_that_is_taken_apart_is_what_it_is_whole(item: object) -> None:
    body = f"[{json.dumps(item)},{nest(1_100)}]".encode()

    first, _ = read_parts(body).items

    assert first.document == read_parts(json.dumps([item]).encode()).items[0].document


def test_no_more_than_so_much_of_a_list_is_taken_apart() -> None:
    deep = nest(DEPTH_LIMIT + 20)
    body = ",".join(['[{"a":1}', *[deep] * 2_000, '{"b":2}]'])

    first, *others, rest = read_parts(body.encode()).items

    assert first.document == {"a": 1}
    assert len(others) < 1_000
    assert all(is_too_deep(each.error) for each in others)
    assert rest.text.endswith(b'{"b":2}]')
