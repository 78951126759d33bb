"""Embedding as PostgREST does it: many to many, the same table, views; ordering and filters by what is embedded."""

from __future__ import annotations

import pytest

from tests.local.rest_server import Rest, make_token


def test_tables_with_a_junction_between_them_embed_each_other(rest: Rest) -> None:
    labels = rest.read("/parents?select=name,labels(word)&id=lte.3&order=id&labels.order=word")
    parents = rest.read("/labels?select=word,parents(name)&order=id&parents.order=name")

    assert [[label["word"] for label in row["labels"]] for row in labels] == [["blue", "red"], ["blue"], []]
    assert [[parent["name"] for parent in row["parents"]] for row in parents] == [["Ada"], ["Ada", "Bob"]]


def test_a_junction_may_be_named_and_filtered_through(rest: Rest) -> None:
    rows = rest.read("/parents?select=name,labels!parent_labels!inner(word)&labels.word=eq.red")

    assert rows == [{"name": "Ada", "labels": [{"word": "red"}]}]


def test_a_table_that_refers_to_itself_shows_either_side(rest: Rest) -> None:
    below = rest.read("/folders?select=title,folders(title)&id=eq.1&folders.order=id")
    hinted = rest.read("/folders?select=title,below:folders!inside(title)&id=eq.1&below.order=id")
    above = rest.read("/folders?select=title,inside(title)&id=eq.2")

    assert below == [{"title": "root", "folders": [{"title": "left"}, {"title": "right"}]}]
    assert hinted == [{"title": "root", "below": [{"title": "left"}, {"title": "right"}]}]
    assert above == [{"title": "left", "inside": {"title": "root"}}]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/parent_cards?select=shouted,orgs(name)&card=eq.4", [{"shouted": "DEE", "orgs": {"name": "two"}}]),
        (
            "/parent_cards?select=shouted,details(note)&card=eq.1",
            [{"shouted": "ADA", "details": {"note": "a note"}}],
        ),
        (
            "/orgs?select=name,parent_cards(shouted)&id=eq.2",
            [{"name": "two", "parent_cards": [{"shouted": "DEE"}]}],
        ),
        (
            "/details?select=note,card_titles(shouted)",
            [{"note": "a note", "card_titles": {"shouted": "ADA"}}],
        ),
        ("/parent_names?select=name,details(note)&id=eq.1", [{"name": "Ada", "details": {"note": "a note"}}]),
    ],
)
def test_views_embed_by_the_columns_they_show(rest: Rest, path: str, expected: object) -> None:
    assert rest.read(path) == expected


def test_a_view_has_no_key_of_which_it_shows_a_part_only(rest: Rest) -> None:
    reply = rest.call("GET", "/parent_names?select=children(title)", token=make_token("service_role"))

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST200")


def test_rows_are_ordered_by_a_column_of_what_they_refer_to_shown_or_not(rest: Rest) -> None:
    query = "/parents?select=name,orgs(id)&order=orgs(name).desc,name.desc&limit=2"
    aliased = "/parents?select=name,of:orgs(id)&order=of(name).desc,name.asc&limit=2"

    assert [row["name"] for row in rest.read(query)] == ["Dee", 'Cyd, "the" (x)']
    assert [row["name"] for row in rest.read(aliased)] == ["Dee", "Ada"]


def test_rows_are_kept_by_whether_they_have_something_embedded(rest: Rest) -> None:
    without = rest.read("/parents?select=name,children()&children=is.null&order=id")
    having = rest.read("/parents?select=name,children()&children=not.is.null&order=id")
    either = rest.read(
        "/parents?select=id,children(),details()&or=(details.not.is.null,children.is.null)&order=id"
    )

    assert [row["name"] for row in without] == ['Cyd, "the" (x)', "Dee"]
    assert [row["name"] for row in having] == ["Ada", "Bob"]
    assert [row["id"] for row in either] == [1, 3, 4]


def test_the_total_counts_what_such_a_filter_keeps(rest: Rest) -> None:
    reply = rest.call(
        "GET",
        "/parents?select=name,children()&children=is.null&limit=1",
        token=make_token("service_role"),
        headers={"Prefer": "count=exact"},
    )

    assert reply.headers["Content-Range"] == "0-0/2"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/children?select=title,patron(name)&id=eq.1", [{"title": "first", "patron": {"name": "one"}}]),
        ("/children?select=id,patron(name)&id=eq.3", [{"id": 3, "patron": None}]),
        ("/children?select=id,patron!inner(name)&id=in.(1,3)", [{"id": 1, "patron": {"name": "one"}}]),
        (
            "/children?select=id,by:patron(name)&by.name=eq.two&id=eq.1",
            [{"id": 1, "by": None}],
        ),
        (
            "/orgs?select=name,sponsored(title)&id=eq.1&sponsored.order=id&sponsored.limit=1",
            [{"name": "one", "sponsored": [{"title": "first"}]}],
        ),
        ("/children?select=patron(name,sponsored(id))&id=eq.3", [{"patron": None}]),
    ],
)
def test_functions_of_a_row_embed_the_rows_they_return(rest: Rest, path: str, expected: object) -> None:
    assert rest.read(path) == expected


def test_rows_are_ordered_by_what_a_function_of_them_returns(rest: Rest) -> None:
    rows = rest.read("/children?select=id,patron(name)&order=patron(name).desc.nullslast,id.desc&limit=1")

    assert [row["patron"] for row in rows] == [{"name": "two"}]


def test_what_a_write_returns_embeds_nothing_by_a_function(rest: Rest) -> None:
    reply = rest.call(
        "PATCH",
        "/children?select=id,patron(name)&id=eq.1",
        json={"title": "first"},
        headers={"Prefer": "return=representation"},
        token=make_token("service_role"),
    )

    assert reply.status_code == 400
    assert "embedding by a function into what a write returns" in reply.text
