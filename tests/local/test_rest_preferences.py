"""What clients prefer and what comes of it: counts, limits, one row or none, statuses, other formats."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.local.rest_server import Rest, make_token, serve_database

TOKEN = make_token("service_role")
OBJECT = {"Accept": "application/vnd.pgrst.object+json"}


@pytest.fixture
def limited(rest: Rest) -> Iterator[str]:
    """The same database behind a server that answers two rows at most."""
    with serve_database(rest.login_url, max_rows=2) as url:
        yield url


@pytest.mark.parametrize(
    ("path", "rows", "content_range"),
    [
        ("/parents?select=id", 2, "0-1/4"),
        ("/parents?select=id&limit=1", 1, "0-0/4"),
        ("/parents?select=id&limit=9&offset=1", 2, "1-2/4"),
        ("/rpc/numbers?n=5", 2, "0-1/5"),
        ("/rpc/older_than?p_age=1&select=id", 2, "0-1/3"),
    ],
)
def test_no_answer_has_more_rows_than_max_rows_and_the_total_tells(
    limited: str, path: str, rows: int, content_range: str
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Prefer": "count=exact"}

    reply = httpx.get(limited + path, headers=headers, timeout=60)

    assert reply.status_code == 206
    assert (len(reply.json()), reply.headers["Content-Range"]) == (rows, content_range)


def test_what_is_embedded_is_limited_too_and_what_was_written_is_not(limited: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Prefer": "return=representation"}

    embedded = httpx.get(f"{limited}/orgs?select=parents(id)&id=eq.1", headers=headers, timeout=60).json()
    written = httpx.patch(f"{limited}/parents?id=gt.0", json={"age": 1}, headers=headers, timeout=60).json()

    assert len(embedded[0]["parents"]) == 2
    assert len(written) == 4


@pytest.mark.parametrize(
    ("names", "resolution", "status"),
    [
        (["Ada", "Bob"], "merge-duplicates", 200),
        (["Ada", "New"], "merge-duplicates", 201),
        (["New"], "merge-duplicates", 201),
        (["Ada"], "ignore-duplicates", 201),
    ],
)
@pytest.mark.parametrize("returns", ["minimal", "representation"])
def test_an_upsert_is_201_when_it_made_a_row_and_200_when_it_only_changed_some(
    rest: Rest, names: list[str], resolution: str, status: int, returns: str
) -> None:
    reply = rest.call(
        "POST",
        "/parents?on_conflict=name",
        token=TOKEN,
        json=[{"name": name, "age": 7} for name in names],
        headers={"Prefer": f"resolution={resolution}, return={returns}"},
    )

    assert reply.status_code == status, reply.text


@pytest.mark.parametrize(
    ("path", "body", "content_range"),
    [
        ("/rpc/add_them", {"a": 1}, "0-0/1"),
        ("/rpc/numbers", {"n": 3}, "0-2/3"),
        ("/rpc/pair", {}, "0-1/2"),
        ("/rpc/nothing", {}, "0-0/1"),
    ],
)
def test_the_result_of_a_function_is_counted(
    rest: Rest, path: str, body: dict[str, int], content_range: str
) -> None:
    reply = rest.call("POST", path, token=TOKEN, json=body, headers={"Prefer": "count=exact"})

    assert reply.headers["Content-Range"] == content_range
    assert reply.headers["Preference-Applied"] == "count=exact"


@pytest.mark.parametrize(
    ("most", "path", "code"),
    [(1, "/rpc/write_two", "PGRST124"), (2, "/rpc/write_two", None), (5, "/rpc/echo_named", "PGRST128")],
)
def test_a_function_that_affects_more_rows_than_allowed_is_undone(
    rest: Rest, most: int, path: str, code: str | None
) -> None:
    rest.execute(
        "create or replace function public.write_two() returns setof public.orgs language sql volatile"
        " security definer as $$ insert into public.orgs values (8, 'x'), (9, 'y') returning * $$"
    )
    body = {"p_value": 1} if path == "/rpc/echo_named" else {}
    headers = {"Prefer": f"handling=strict, max-affected={most}"}

    reply = rest.call("POST", path, token=TOKEN, json=body, headers=headers)

    assert (reply.json()["code"] if reply.is_error else None) == code
    assert len(rest.read("/orgs?id=gt.7")) == (2 if code is None else 0)


def test_an_unknown_preference_with_strict_handling_is_refused_on_a_function_too(rest: Rest) -> None:
    headers = {"Prefer": "handling=strict, anything=goes"}

    reply = rest.call("POST", "/rpc/add_them", token=TOKEN, json={"a": 1}, headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST122")


@pytest.mark.parametrize("returns", ["minimal", "representation"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/orgs", [{"id": 8, "name": "x"}, {"id": 9, "name": "y"}]),
        ("PATCH", "/orgs?id=gt.0", {"name": "changed"}),
        ("DELETE", "/labels?id=gt.98", None),
    ],
)
def test_a_write_that_asks_for_one_row_and_gets_another_number_is_undone(
    rest: Rest, method: str, path: str, body: object, returns: str
) -> None:
    headers = OBJECT | {"Prefer": f"return={returns}"}

    reply = rest.call(method, path, token=TOKEN, json=body, headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (406, "PGRST116")
    assert [row["name"] for row in rest.read("/orgs?order=id")] == ["one", "two"]


def test_rows_come_as_csv(rest: Rest) -> None:
    headers = {"Accept": "text/csv"}

    reply = rest.call("GET", "/parents?select=id,name,age&order=id&id=gt.1", token=TOKEN, headers=headers)
    empty = rest.call("GET", "/parents?select=id&id=eq.99", token=TOKEN, headers=headers)
    called = rest.call("GET", "/rpc/pair", token=TOKEN, headers=headers)
    value = rest.call("GET", "/rpc/add_them?a=1", token=TOKEN, headers=headers)

    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert reply.text == 'id,name,age\n2,Bob,\n3,"Cyd, ""the"" (x)",20\n4,Dee,50'
    assert (empty.text, called.text) == ("\n", "a,b\n1,x\n2,y")
    assert (value.status_code, value.json()["code"]) == (400, "PGRST127")
