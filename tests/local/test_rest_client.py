"""The unmodified postgrest-py against /rest/v1."""

from __future__ import annotations

from typing import Any, cast

import pytest
from postgrest import APIError, CountMethod, ReturnMethod

from tests.local.rest_server import Rest


def test_it_reads_with_filters_order_range_and_count(rest: Rest) -> None:
    table = rest.client().table("parents")

    reply = (
        table.select("id,name", count=CountMethod.exact)
        .gt("id", 1)
        .order("id", desc=True)
        .range(0, 1)
        .execute()
    )

    assert reply.data == [{"id": 4, "name": "Dee"}, {"id": 3, "name": 'Cyd, "the" (x)'}]
    assert reply.count == 3


def test_its_values_with_reserved_characters_are_found(rest: Rest) -> None:
    table = rest.client().table("parents")

    found = table.select("id").in_("name", ['Cyd, "the" (x)', "Ada"]).order("id").execute()
    either = table.select("id").or_("name.eq.Ada,and(age.gt.40,org_id.eq.2)").order("id").execute()
    tagged = table.select("id").contains("tags", ["a", "b"]).execute()
    blood = table.select("id").contains("data", {"blood": "B"}).execute()
    aged = table.select("id").not_.is_("age", None).like("name", "A%").execute()

    assert [reply.data for reply in (found, either, tagged, blood, aged)] == [
        [{"id": 1}, {"id": 3}],
        [{"id": 1}, {"id": 4}],
        [{"id": 1}],
        [{"id": 2}],
        [{"id": 1}],
    ]


def test_it_counts_without_rows(rest: Rest) -> None:
    reply = rest.client().table("parents").select("*", count=CountMethod.exact, head=True).execute()

    assert reply.count == 4


def test_it_inserts_upserts_updates_and_deletes(rest: Rest) -> None:
    table = rest.client().table("parents")

    rows: list[dict[str, object]] = [{"name": "Eve", "age": 1}, {"name": "Flo"}]
    inserted = table.insert(rows, default_to_null=False).execute()
    upserted = table.upsert({"name": "Eve", "age": 2}, on_conflict="name").execute()
    updated = table.update({"age": 3}).eq("name", "Eve").execute()
    silent = table.update({"age": 4}, returning=ReturnMethod.minimal).eq("name", "Flo").execute()
    deleted = table.delete().in_("name", ["Eve", "Flo"]).execute()

    assert [len(reply.data) for reply in (inserted, upserted, updated, silent, deleted)] == [2, 1, 1, 0, 2]
    assert [cast("dict[str, Any]", row)["age"] for row in deleted.data] == [3, 4]


def test_it_asks_for_one_row_or_maybe_one(rest: Rest) -> None:
    table = rest.client().table("parents")

    one = table.select("name").eq("id", 1).single().execute()
    maybe = table.select("name").eq("id", 1).maybe_single().execute()
    none = table.select("name").eq("id", 99).maybe_single().execute()

    assert (one.data, maybe.data if maybe else None, none) == ({"name": "Ada"}, {"name": "Ada"}, None)
    with pytest.raises(APIError, match="PGRST116"):
        table.select("name").single().execute()


def test_it_embeds_and_filters_what_is_embedded(rest: Rest) -> None:
    table = rest.client().table("parents")

    reply = table.select("name, children!inner(title)").eq("children.title", "third").execute()

    assert reply.data == [{"name": "Bob", "children": [{"title": "third"}]}]


def test_it_calls_functions(rest: Rest) -> None:
    client = rest.client()

    value = client.rpc("add_them", {"a": 1, "b": 2}).execute()  # type: ignore[dict-item] # any JSON is sent
    by_get = client.rpc("add_them", {"a": "1"}, get=True).execute()
    rows = client.rpc("older_than", {"p_age": "30"}).select("id").order("id").execute()
    nothing = client.rpc("nothing", {}).execute()

    assert (value.data, by_get.data, rows.data) == (3, 11, [{"id": 1}, {"id": 4}])
    assert nothing.data == []


def test_its_errors_carry_what_postgres_said(rest: Rest) -> None:
    with pytest.raises(APIError) as caught:
        rest.client().table("parents").insert({"name": "Ada"}).execute()

    assert caught.value.code == "23505"
    assert caught.value.details == "Key (name)=(Ada) already exists."


def test_a_member_sees_their_own_organization(rest: Rest) -> None:
    reply = rest.client("authenticated", org=2).table("parents").select("name").execute()

    assert reply.data == [{"name": "Dee"}]
