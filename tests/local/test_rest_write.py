"""Changing tables through /rest/v1."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.local.rest_server import Rest, make_token

SHOWN = "return=representation"


def write(rest: Rest, method: str, path: str, prefer: str = SHOWN, **options: Any) -> httpx.Response:
    return rest.call(method, path, token=make_token("service_role"), headers={"Prefer": prefer}, **options)


def test_an_inserted_row_comes_back_with_its_defaults(rest: Rest) -> None:
    reply = write(rest, "POST", "/parents?select=id,name,org_id", json={"name": "Eve"})

    assert (reply.status_code, reply.json()) == (201, [{"id": 101, "name": "Eve", "org_id": 1}])


def test_a_minimal_insert_answers_nothing(rest: Rest) -> None:
    reply = write(rest, "POST", "/parents", "return=minimal", json={"name": "Eve"})

    assert (reply.status_code, reply.content) == (201, b"")
    assert rest.read("/parents?name=eq.Eve&select=id") == [{"id": 101}]


def test_a_headers_only_insert_answers_where_the_row_is(rest: Rest) -> None:
    reply = write(rest, "POST", "/parents", "return=headers-only", json={"name": "Eve"})

    assert (reply.status_code, reply.headers["Location"]) == (201, "/parents?id=eq.101")


def test_many_rows_are_inserted_at_once(rest: Rest) -> None:
    rows = [{"name": "Eve", "age": 1}, {"name": "Flo", "age": None}]

    reply = write(rest, "POST", "/parents?select=name,age", f"{SHOWN},count=exact", json=rows)

    assert (reply.status_code, reply.json()) == (201, rows)
    assert reply.headers["Content-Range"] == "*/2"


def test_no_rows_and_rows_without_columns_can_be_inserted(rest: Rest) -> None:
    rest.execute("create table public.plain (id int primary key generated always as identity)")

    none = write(rest, "POST", "/plain", json=[])
    one = write(rest, "POST", "/plain", json={})
    two = write(rest, "POST", "/plain", json=[{}, {}])

    assert (none.json(), one.json(), two.json()) == ([], [{"id": 1}], [{"id": 2}, {"id": 3}])
    rest.execute("drop table public.plain")


@pytest.mark.parametrize(("prefer", "expected"), [("", [[], None]), (",missing=default", [[], []])])
def test_missing_columns_are_null_or_get_their_default(
    rest: Rest, prefer: str, expected: list[list[str] | None]
) -> None:
    rest.execute("alter table public.parents alter tags drop not null")
    rows = [{"name": "Eve", "tags": []}, {"name": "Flo"}]

    reply = write(rest, "POST", "/parents?columns=name,tags&select=tags", SHOWN + prefer, json=rows)

    assert [row["tags"] for row in reply.json()] == expected
    rest.execute("delete from public.parents where tags is null")
    rest.execute("alter table public.parents alter tags set not null")


def test_defaults_are_made_for_each_row_anew(rest: Rest) -> None:
    rows = [{"name": "Eve"}, {"name": "Flo"}]

    reply = write(rest, "POST", "/parents?columns=id,name&select=id", f"{SHOWN},missing=default", json=rows)

    assert reply.json() == [{"id": 101}, {"id": 102}]


def test_only_the_columns_named_are_inserted(rest: Rest) -> None:
    reply = write(rest, "POST", "/parents?columns=name&select=name,age", json={"name": "Eve", "age": 9})

    assert reply.json() == [{"name": "Eve", "age": None}]


@pytest.mark.parametrize(
    ("resolution", "answered", "age"),
    [("merge-duplicates", [{"age": 99}], 99), ("ignore-duplicates", [], 36)],
)
def test_an_upsert_merges_or_ignores_what_is_there(
    rest: Rest, resolution: str, answered: list[dict[str, int]], age: int
) -> None:
    row = {"name": "Ada", "age": 99}

    reply = write(
        rest, "POST", "/parents?on_conflict=name&select=age", f"{SHOWN},resolution={resolution}", json=row
    )

    assert reply.json() == answered
    assert reply.headers["Preference-Applied"] == f"resolution={resolution}, return=representation"
    assert rest.read("/parents?name=eq.Ada&select=id,age") == [{"id": 1, "age": age}]


def test_an_upsert_takes_the_primary_key_by_default(rest: Rest) -> None:
    write(
        rest,
        "POST",
        "/orgs",
        "resolution=merge-duplicates",
        json=[{"id": 2, "name": "zwei"}, {"id": 3, "name": "x"}],
    )

    assert [row["name"] for row in rest.read("/orgs?order=id")] == ["one", "zwei", "x"]


def test_an_update_changes_what_the_filter_finds(rest: Rest) -> None:
    reply = write(rest, "PATCH", "/parents?org_id=eq.1&select=id,age&order=id.desc", json={"age": 7})

    assert (reply.status_code, reply.headers["Content-Range"]) == (200, "0-2/*")
    assert reply.json() == [{"id": 3, "age": 7}, {"id": 2, "age": 7}, {"id": 1, "age": 7}]


def test_a_minimal_update_answers_204(rest: Rest) -> None:
    reply = write(rest, "PATCH", "/parents?id=eq.1", "return=minimal,count=exact", json={"data": {"a": 1}})

    assert (reply.status_code, reply.content, reply.headers["Content-Range"]) == (204, b"", "0-0/1")
    assert rest.read("/parents?id=eq.1&select=data") == [{"data": {"a": 1}}]


def test_an_update_of_nothing_changes_nothing(rest: Rest) -> None:
    assert write(rest, "PATCH", "/parents?id=eq.1", json={}).json() == []
    assert write(rest, "PATCH", "/parents?id=eq.99", json={"age": 1}).json() == []


def test_a_delete_answers_the_rows_it_removed_with_their_parents(rest: Rest) -> None:
    reply = write(rest, "DELETE", "/children?id=lt.3&select=id,parents(name)&order=id")

    assert (reply.status_code, reply.headers["Content-Range"]) == (200, "*/*")
    assert reply.json() == [{"id": 1, "parents": {"name": "Ada"}}, {"id": 2, "parents": {"name": "Ada"}}]
    assert [row["id"] for row in rest.read("/children")] == [3]


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_a_change_without_a_filter_is_refused(rest: Rest, method: str) -> None:
    reply = write(rest, method, "/parents", json={"age": 1})

    assert (reply.status_code, reply.json()["code"]) == (400, "21000")
    assert len(rest.read("/parents")) == 4


def test_a_change_of_several_rows_is_undone_when_one_object_was_asked_for(rest: Rest) -> None:
    headers = {"Prefer": SHOWN, "Accept": "application/vnd.pgrst.object+json"}

    reply = rest.call(
        "PATCH", "/parents?org_id=eq.1", token=make_token("service_role"), headers=headers, json={"age": 1}
    )

    assert (reply.status_code, reply.json()["code"]) == (406, "PGRST116")
    assert rest.read("/parents?age=eq.1") == []


def test_a_change_of_more_rows_than_allowed_is_undone(rest: Rest) -> None:
    reply = write(rest, "DELETE", "/children?id=gt.0", "handling=strict,max-affected=2")

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST124")
    assert len(rest.read("/children")) == 3


def test_a_caller_needs_no_right_to_read_what_a_minimal_insert_writes(rest: Rest) -> None:
    member = make_token("authenticated", org=1)
    row = {"name": "Eve", "secret": "sealed"}

    silent = rest.call("POST", "/parents", token=member, json=row, headers={"Prefer": "return=minimal"})
    readable = rest.call(
        "PATCH",
        "/parents?name=eq.Eve&select=id",
        token=member,
        json={"secret": "x"},
        headers={"Prefer": SHOWN},
    )
    unreadable = rest.call(
        "PATCH", "/parents?name=eq.Eve", token=member, json={"age": 1}, headers={"Prefer": SHOWN}
    )

    assert (silent.status_code, readable.status_code, unreadable.status_code) == (201, 200, 403)
    assert rest.read("/parents?name=eq.Eve&select=secret,age") == [{"secret": "x", "age": None}]


def test_row_level_security_refuses_a_row_of_another_organization(rest: Rest) -> None:
    member = make_token("authenticated", org=1)

    refused = rest.call("POST", "/parents", token=member, json={"name": "Eve", "org_id": 2})
    unseen = rest.call(
        "PATCH", "/parents?id=eq.4&select=id", token=member, json={"age": 1}, headers={"Prefer": SHOWN}
    )

    assert (refused.status_code, refused.json()["code"]) == (403, "42501")
    assert unseen.json() == []
