"""Reading tables through /rest/v1."""

from __future__ import annotations

import pytest

from tests.local.rest_server import Rest, make_token

EVERYBODY = ["Ada", "Bob", 'Cyd, "the" (x)', "Dee"]


def names(rest: Rest, query: str) -> list[str]:
    return [row["name"] for row in rest.read(f"/parents?select=name&order=id&{query}")]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", EVERYBODY),
        ("id=eq.1", ["Ada"]),
        ("id=neq.1", EVERYBODY[1:]),
        ("age=gt.36", ["Dee"]),
        ("age=gte.36", ["Ada", "Dee"]),
        ("age=lt.36", EVERYBODY[2:3]),
        ("age=lte.36", ["Ada", EVERYBODY[2]]),
        ("name=like.*d*", ["Ada", EVERYBODY[2]]),
        ("name=ilike.d%25", ["Dee"]),
        ("name=like(any).{A*,B*}", ["Ada", "Bob"]),
        ("name=match.^[AB]", ["Ada", "Bob"]),
        ("age=is.null", ["Bob"]),
        ("age=not.is.null", ["Ada", EVERYBODY[2], "Dee"]),
        ("id=in.(1,4)", ["Ada", "Dee"]),
        ("id=in.()", []),
        ("id=not.in.(1,4)", EVERYBODY[1:3]),
        ('name=in.("Cyd, \\"the\\" (x)",Ada)', ["Ada", EVERYBODY[2]]),
        ('name=eq.Cyd, "the" (x)', EVERYBODY[2:3]),
        ("tags=cs.{b}", ["Ada", "Bob"]),
        ("tags=cd.{a,b,c}", EVERYBODY),
        ("tags=ov.{a,c}", ["Ada", "Dee"]),
        ('data=cs.{"blood":"B"}', ["Bob"]),
        ("data->>blood=eq.A", ["Ada"]),
        ("data->size=gt.2", ["Ada"]),
        ("data->phones->1->>n=eq.2", ["Ada"]),
        ("shout=eq.ADA", ["Ada"]),
        ("age=isdistinct.36", EVERYBODY[1:]),
        ("or=(id.eq.1,id.eq.4)", ["Ada", "Dee"]),
        ("and=(id.gt.1,id.lt.4)", EVERYBODY[1:3]),
        ("not.or=(id.eq.1,id.eq.4)", EVERYBODY[1:3]),
        ("or=(age.is.null,and(age.gt.30,not.and(name.eq.Dee,org_id.eq.2)))", ["Ada", "Bob"]),
        ('or=(name.eq."Cyd, \\"the\\" (x)",name.in.(Ada,"Bob"),tags.cs.{c,c})', EVERYBODY),
        ("id=gt.1&id=lt.4", EVERYBODY[1:3]),
    ],
)
def test_a_filter_lets_through_what_it_says(rest: Rest, query: str, expected: list[str]) -> None:
    assert names(rest, query) == expected


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("id,label:name", {"id": 1, "label": "Ada"}),
        ("age::text", {"age": "36"}),
        ("years:age::text", {"years": "36"}),
        ("age::numeric(5,1)", {"age": 36.0}),
        ("data->blood,data->phones->0->>n", {"blood": "A", "n": "1"}),
        ("first:tags->0,blood:data->>blood", {"first": "a", "blood": "A"}),
        ("id,shout", {"id": 1, "shout": "ADA"}),
        ("count", {"count": 1}),
        ("all:count()", {"all": 1}),
    ],
)
def test_select_shapes_the_row(rest: Rest, select: str, expected: dict[str, object]) -> None:
    assert rest.read(f"/parents?id=eq.1&select={select}") == [expected]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("id.desc", [4, 3, 2, 1]),
        ("age", [3, 1, 4, 2]),
        ("age.desc", [2, 4, 1, 3]),
        ("age.desc.nullslast", [4, 1, 3, 2]),
        ("age.nullsfirst", [2, 3, 1, 4]),
        ("org_id.desc,name.asc", [4, 1, 2, 3]),
        ("data->>blood.desc.nullslast,id", [2, 1, 3, 4]),
    ],
)
def test_order_sorts_the_rows(rest: Rest, order: str, expected: list[int]) -> None:
    assert [row["id"] for row in rest.read(f"/parents?select=id&order={order}")] == expected


@pytest.mark.parametrize(
    ("query", "headers", "answer"),
    [
        ("", {}, (200, "0-3/*", 4)),
        ("&limit=2", {}, (200, "0-1/*", 2)),
        ("&limit=0", {}, (200, "*/*", 0)),
        ("&limit=2&offset=1", {"Prefer": "count=exact"}, (206, "1-2/4", 2)),
        ("&limit=9", {"Prefer": "count=exact"}, (200, "0-3/4", 4)),
        ("&id=gt.99", {"Prefer": "count=exact"}, (200, "*/0", 0)),
        ("", {"Prefer": "count=planned"}, (200, "0-3/4", 4)),
        ("", {"Range": "1-2"}, (200, "1-2/*", 2)),
        ("", {"Range": "2-"}, (200, "2-3/*", 2)),
        ("&limit=1", {"Range": "2-3"}, (200, "*/*", 0)),
        ("&offset=4", {"Prefer": "count=exact"}, (206, "*/4", 0)),
    ],
)
def test_ranges_answer_with_their_status_and_content_range(
    rest: Rest, query: str, headers: dict[str, str], answer: tuple[int, str, int]
) -> None:
    reply = rest.call("GET", f"/parents?order=id{query}", token=make_token("service_role"), headers=headers)

    assert (reply.status_code, reply.headers["Content-Range"], len(reply.json())) == answer


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?offset=5", {"Prefer": "count=exact"}), ("?limit=-1", {}), ("", {"Range": "5-2"})],
)
def test_a_range_that_can_not_be_had_is_416(rest: Rest, query: str, headers: dict[str, str]) -> None:
    reply = rest.call("GET", f"/parents{query}", token=make_token("service_role"), headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (416, "PGRST103")


def test_head_answers_the_count_without_a_body(rest: Rest) -> None:
    reply = rest.call("HEAD", "/parents", token=make_token("service_role"), headers={"Prefer": "count=exact"})

    assert (reply.status_code, reply.headers["Content-Range"], reply.content) == (200, "0-3/4", b"")


@pytest.mark.parametrize("accept", ["application/vnd.pgrst.object+json", "application/vnd.pgrst.object"])
def test_a_single_object_is_answered_when_there_is_exactly_one(rest: Rest, accept: str) -> None:
    reply = rest.call(
        "GET", "/parents?id=eq.1&select=id", token=make_token("service_role"), headers={"Accept": accept}
    )

    assert reply.json() == {"id": 1}
    assert reply.headers["Content-Type"] == "application/vnd.pgrst.object+json; charset=utf-8"


@pytest.mark.parametrize(("query", "count"), [("?id=eq.99", 0), ("", 4)])
def test_none_or_several_rows_are_no_single_object(rest: Rest, query: str, count: int) -> None:
    accept = {"Accept": "application/vnd.pgrst.object+json"}

    reply = rest.call("GET", f"/parents{query}", token=make_token("service_role"), headers=accept)

    assert (reply.status_code, reply.json()["code"]) == (406, "PGRST116")
    assert reply.json()["details"] == f"The result contains {count} rows"


def test_nulls_are_left_out_when_asked(rest: Rest) -> None:
    accept = {"Accept": "application/vnd.pgrst.array+json;nulls=stripped"}

    reply = rest.call(
        "GET", "/parents?select=id,age&id=eq.2", token=make_token("service_role"), headers=accept
    )

    assert reply.json() == [{"id": 2}]


def test_views_are_read_like_tables(rest: Rest) -> None:
    assert rest.read("/parent_names?id=eq.4") == [{"id": 4, "name": "Dee"}]


def test_row_level_security_shows_a_member_their_organization_only(rest: Rest) -> None:
    reply = rest.call("GET", "/parents?select=name", token=make_token("authenticated", org=2))

    assert reply.json() == [{"name": "Dee"}]


def test_a_new_table_and_a_new_column_are_found_without_a_restart(rest: Rest) -> None:
    rest.read("/orgs")
    rest.execute("create table if not exists public.late (id int)")

    assert rest.read("/late") == []

    rest.execute("drop table public.late")
