"""Embedding related tables through /rest/v1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.rest_server import Rest, make_token


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/children?id=eq.1&select=title,parents(name)", {"title": "first", "parents": {"name": "Ada"}}),
        ("/children?id=eq.1&select=parent:parents(name)", {"parent": {"name": "Ada"}}),
        ("/children?id=eq.1&select=children_parent(name)", {"children_parent": {"name": "Ada"}}),
        ("/children?id=eq.1&select=s:orgs!children_sponsor(name)", {"s": {"name": "one"}}),
        ("/children?id=eq.1&select=b:orgs!backup_id(name)", {"b": {"name": "two"}}),
        ("/children?id=eq.1&select=sponsor_id(name)", {"sponsor_id": {"name": "one"}}),
        ("/children?id=eq.3&select=s:orgs!children_sponsor(name)", {"s": None}),
        ("/parents?id=eq.1&select=details(note)", {"details": {"note": "a note"}}),
        ("/parents?id=eq.1&select=id,children(*)", None),
        ("/parents?id=eq.1&select=children(count)", {"children": [{"count": 2}]}),
        ("/parents?id=eq.3&select=children(count)", {"children": [{"count": 0}]}),
        ("/parents?id=eq.3&select=children(title)", {"children": []}),
        ("/children?id=eq.1&select=parents(name,orgs(name))", {"parents": {"name": "Ada", "orgs": {"name": "one"}}}),
        ("/parents?id=eq.1&select=children(n:id)&children.order=id.desc", {"children": [{"n": 2}, {"n": 1}]}),
        ("/parents?id=eq.1&select=children(id)&children.order=id&children.limit=1", {"children": [{"id": 1}]}),
        ("/parents?id=eq.1&select=children(id)&children.order=id&children.offset=1", {"children": [{"id": 2}]}),
        ("/parents?id=eq.1&select=children(id)&children.title=eq.second", {"children": [{"id": 2}]}),
        ("/parents?id=eq.1&select=children(id)&children.or=(id.eq.2,id.eq.9)", {"children": [{"id": 2}]}),
        ("/parents?id=eq.1&select=kids:children(id)&kids.id=eq.2", {"kids": [{"id": 2}]}),
    ],
)  # fmt: skip
def test_related_rows_come_with_the_row(rest: Rest, path: str, expected: dict[str, Any] | None) -> None:
    rows = rest.read(path)

    assert rows == [expected] if expected else len(rows[0]["children"]) == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/parents?select=id,children!inner(id)&order=id", [1, 2]),
        ("/parents?select=id,children!inner(id)&children.title=eq.third", [2]),
        ("/parents?select=id,details!inner(note)", [1]),
        ("/children?select=id,parents!inner(name)&parents.name=eq.Ada&order=id", [1, 2]),
        ("/children?select=id,parents!children_parent!inner()&parents.name=eq.Bob", [3]),
    ],
)
def test_an_inner_embed_keeps_only_rows_that_have_it(rest: Rest, path: str, expected: list[int]) -> None:
    headers = {"Prefer": "count=exact"}

    reply = rest.call("GET", path, token=make_token("service_role"), headers=headers)

    assert [row["id"] for row in reply.json()] == expected
    assert reply.headers["Content-Range"].endswith(f"/{len(expected)}")


def test_several_foreign_keys_to_one_table_are_ambiguous(rest: Rest) -> None:
    reply = rest.call("GET", "/children?select=orgs(name)", token=make_token("service_role"))

    assert (reply.status_code, reply.json()["code"]) == (300, "PGRST201")
    assert "'orgs!children_sponsor'" in reply.json()["hint"]


def test_tables_without_a_foreign_key_between_them_can_not_be_embedded(rest: Rest) -> None:
    reply = rest.call("GET", "/details?select=children(id)", token=make_token("service_role"))

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST200")


def test_a_filter_on_a_table_that_is_not_embedded_is_refused(rest: Rest) -> None:
    reply = rest.call("GET", "/parents?children.id=eq.1", token=make_token("service_role"))

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST108")


def test_row_level_security_holds_for_embedded_rows(rest: Rest) -> None:
    member = make_token("authenticated", org=2)

    reply = rest.call("GET", "/children?id=eq.1&select=title,parents(name)", token=member)

    assert reply.json() == [{"title": "first", "parents": None}]
