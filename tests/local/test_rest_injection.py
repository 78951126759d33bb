"""Whatever a client sends as a name, an operator or a value stays a name, an operator or a value."""

from __future__ import annotations

import pytest

from tests.local.rest_server import Rest, make_token, quote_name

HOSTILE = [
    "x'; drop table public.children; --",
    'x"; drop table public.children; --',
    'x" = 1); drop table public.children; --',
    "$1); delete from public.children; --",
    "%s %(x)s %% {0} {}",
    "$$; drop table public.children; $$",
    "\\'; drop table public.children; --",
    "x/*", "x)--", "pg_sleep(9)", "(select secret from parents limit 1)", "*", "", "ü\u2028\U0001f600", "a" * 5000,
]  # fmt: skip
PLACES = [
    ("GET", "/children?select={}"),
    ("GET", "/children?select=a:{}"),
    ("GET", "/children?select={}:id"),
    ("GET", "/children?select=id::{}"),
    ("GET", "/children?select=title->{}"),
    ("GET", "/children?select=title->>{}"),
    ("GET", "/children?select={}(id)"),
    ("GET", "/children?select=parents!{}(id)"),
    ("GET", "/children?select={}:parents(id)"),
    ("GET", "/children?{}=eq.1"),
    ("GET", "/children?title->>{}=eq.1"),
    ("GET", "/children?{}.id=eq.1"),
    ("GET", "/children?id={}"),
    ("GET", "/children?id={}.1"),
    ("GET", "/children?id=eq.{}"),
    ("GET", "/children?title=eq.{}"),
    ("GET", "/children?title=like({}).x"),
    ("GET", "/children?title=in.({})"),
    ("GET", "/children?id=is.{}"),
    ("GET", "/children?or=({}.eq.1)"),
    ("GET", "/children?or=(id.{}.1)"),
    ("GET", "/children?or=(title.eq.{})"),
    ("GET", "/children?order={}"),
    ("GET", "/children?order=id.{}"),
    ("GET", "/children?limit={}"),
    ("GET", "/children?offset={}"),
    ("GET", "/{}"),
    ("GET", "/rpc/{}"),
    ("GET", "/rpc/add_them?a=1&{}=2"),
    ("GET", "/rpc/add_them?a={}"),
    ("POST", "/children?columns={}"),
    ("POST", "/children?on_conflict={}"),
    ("POST", "/children?select={}"),
    ("PATCH", "/children?id=eq.99&{}=eq.1"),
    ("DELETE", "/children?title=eq.{}"),
    ("POST", "/rpc/{}"),
]


@pytest.mark.parametrize(("method", "place"), PLACES, ids=[f"{method} {place}" for method, place in PLACES])
def test_hostile_text_in_a_url_does_nothing(rest: Rest, method: str, place: str) -> None:
    for hostile in [*HOSTILE, *map(quote_name, HOSTILE)]:
        path, _, query = place.partition("?")
        headers = {"Prefer": "return=representation,resolution=merge-duplicates"}
        body = {"parent_id": 1, "title": "harmless"} if method != "GET" else None
        params = [part.partition("=")[::2] for part in query.split("&")] if query else []
        filled = [(key.replace("{}", hostile), value.replace("{}", hostile)) for key, value in params]
        url = path.replace("{}", hostile.replace("/", "%2F").replace("?", "%3F").replace("%", "%25"))

        reply = rest.call(
            method, url, token=make_token("service_role"), params=filled, json=body, headers=headers
        )

        assert reply.status_code < 500, (hostile, reply.text)
        assert "permission denied" not in reply.text
    assert [row["id"] for row in rest.read("/children?id=lt.100&order=id")] == [1, 2, 3]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_keys_and_values_in_a_body_do_nothing(rest: Rest, hostile: str) -> None:
    token = make_token("service_role")

    stored = rest.call(
        "POST",
        "/children?select=title",
        token=token,
        json={"parent_id": 1, "title": hostile},
        headers={"Prefer": "return=representation"},
    )
    column = rest.call("POST", "/children", token=token, json={hostile: 1})
    argument = rest.call("POST", "/rpc/add_them", token=token, json={"a": 1, hostile: 1})
    single = rest.call("POST", "/rpc/echo_json", token=token, json={hostile: hostile})

    assert stored.json() == [{"title": hostile}]
    assert (column.status_code, column.json()["code"]) == (400, "PGRST204")
    assert (argument.status_code, argument.json()["code"]) == (404, "PGRST202")
    assert single.json() == {hostile: hostile}


@pytest.mark.parametrize("hostile", [text for text in HOSTILE if text])
def test_hostile_claims_and_headers_are_data(rest: Rest, hostile: str) -> None:
    role = rest.call("GET", "/orgs", token=make_token(hostile))
    claim = rest.call("POST", "/rpc/who", token=make_token("anon", sub=hostile))

    assert role.status_code in {400, 403}
    assert claim.json()["claims"]["sub"] == hostile


def test_odd_names_of_tables_and_columns_work(rest: Rest) -> None:
    table, column, other = 'odd "name%s', 'sel"ect%(x)s', "drop table"
    token = make_token("service_role")
    select = f"{quote_name(column)},{quote_name(other)}"
    params = {"select": select, quote_name(column): "eq.1", "order": quote_name(column)}
    changed = {"select": select, "on_conflict": quote_name(column), "columns": select}
    headers = {"Prefer": "return=representation,resolution=merge-duplicates"}
    url = "/" + table.replace("%", "%25")

    read = rest.call("GET", url, token=token, params=params)
    written = rest.call(
        "POST", url, token=token, params=changed, json=[{column: 1, other: "new"}], headers=headers
    )

    assert read.json() == [{column: 1, other: "kept"}]
    assert written.json() == [{column: 1, other: "new"}]
