"""Calling functions through /rest/v1."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.local.rest_server import Rest, make_token


def post(rest: Rest, name: str, body: Any = None, **headers: str) -> httpx.Response:
    return rest.call("POST", f"/rpc/{name}", token=make_token("service_role"), json=body, headers=headers)


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("add_them", {"a": 1, "b": 2}, 3),
        ("add_them", {"a": 1}, 11),
        ("no_value", {}, None),
        ("numbers", {"n": 3}, [1, 2, 3]),
        ("numbers", {"n": 0}, []),
        ("pair", {}, [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]),
        ("one_pair", {}, {"a": 7, "b": "seven"}),
        ("sum_all", {"v": [1, 2, 3]}, 6),
        ("echo_json", {"any": ["thing"]}, {"any": ["thing"]}),
        ("echo_json", [1, {"two": 3}], [1, {"two": 3}]),
        ("echo_named", {"p_value": {"a": [1]}}, {"value": {"a": [1]}, "times": 1}),
        ("echo_named", {"p_times": 2, "p_value": "x"}, {"value": "x", "times": 2}),
        ("one_parent?select=name,shout", {"p_id": 1}, {"name": "Ada", "shout": "ADA"}),
        ("older_than?select=id&order=id.desc&limit=2", {"p_age": 1}, [{"id": 4}, {"id": 3}]),
        ("older_than?select=children(id)&id=eq.2", {"p_age": 1}, []),
        ("older_than?select=children(id)&id=eq.1&children.id=eq.2", {"p_age": 1}, [{"children": [{"id": 2}]}]),
        ("numbers?limit=1&offset=1", {"n": 3}, [2]),
    ],
)  # fmt: skip
def test_a_posted_call_answers_what_the_function_returns(
    rest: Rest, name: str, body: object, expected: object
) -> None:
    reply = post(rest, name, body)

    assert (reply.status_code, reply.json()) == (200, expected)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("add_them?a=1&b=2", 3),
        ("sum_all?v=1&v=2", 3),
        ("numbers?n=2", [1, 2]),
        ("older_than?p_age=30&id=lt.4&select=id", [{"id": 1}]),
        ('echo_named?p_value={"a":1}', None),
    ],
)
def test_a_call_by_get_takes_its_arguments_from_the_query_string(
    rest: Rest, path: str, expected: object
) -> None:
    reply = rest.call("GET", f"/rpc/{path}", token=make_token("service_role"))

    assert reply.json() == (expected or {"value": {"a": 1}, "times": 1})


def test_a_function_that_returns_nothing_answers_204(rest: Rest) -> None:
    reply = post(rest, "nothing")

    assert (reply.status_code, reply.content) == (204, b"")
    assert "Content-Type" not in reply.headers


def test_the_rows_of_a_function_are_counted_with_one_call_of_it(rest: Rest) -> None:
    reply = post(rest, "write_org?select=name&limit=0", {"p_id": 9, "p_name": "nine"}, Prefer="count=exact")

    assert (reply.status_code, reply.headers["Content-Range"], reply.json()) == (206, "*/1", [])
    assert rest.read("/orgs?id=eq.9") == [{"id": 9, "name": "nine"}]


def test_a_text_body_goes_to_the_unnamed_text_argument(rest: Rest) -> None:
    headers = {"Content-Type": "text/plain"}

    reply = rest.call("POST", "/rpc/echo_text", token=make_token("anon"), content="häi", headers=headers)

    assert reply.json() == "got häi"


@pytest.mark.parametrize("body", [{}, {"a": 1, "b": [1, None, "ü"]}, [1, 2], [{"given": {}}]])
def test_a_json_body_goes_to_the_one_unnamed_argument_whatever_its_keys_are(rest: Rest, body: object) -> None:
    replies = [post(rest, "take_whole", body) for _ in range(2)]

    assert [(reply.status_code, reply.json()) for reply in replies] == [(200, {"given": body})] * 2


@pytest.mark.parametrize(
    ("content", "answer"),
    [("{", (400, "PGRST102")), ("", (400, "22P02")), ('"\\u0000"', (400, "22P05"))],
)
def test_a_body_that_is_not_json_is_refused_as_to_any_function(
    rest: Rest, content: str, answer: tuple[int, str]
) -> None:
    headers = {"Content-Type": "application/json"}

    reply = rest.call(
        "POST", "/rpc/take_whole", token=make_token("service_role"), content=content, headers=headers
    )

    assert (reply.status_code, reply.json()["code"]) == answer


def test_a_call_by_get_can_not_write(rest: Rest) -> None:
    reply = rest.call("GET", "/rpc/write_org?p_id=9&p_name=x", token=make_token("service_role"))

    assert (reply.status_code, reply.json()["code"]) == (405, "25006")
    assert rest.read("/orgs?id=eq.9") == []


@pytest.mark.parametrize(
    ("name", "body"),
    [("nope", {}), ("add_them", {"a": 1, "misspelt": 2}), ("add_them", {"b": 1}), ("numbers", {})],
)
def test_an_unknown_function_or_argument_is_404(rest: Rest, name: str, body: dict[str, int]) -> None:
    posted = post(rest, name, body)
    got = rest.call("GET", f"/rpc/{name}", token=make_token("service_role"), params=body)

    assert [(reply.status_code, reply.json()["code"]) for reply in (posted, got)] == [(404, "PGRST202")] * 2


def test_an_unknown_function_is_named_with_all_arguments_given(rest: Rest) -> None:
    reply = rest.call("GET", "/rpc/add_them?a=1&misspelt=2", token=make_token("service_role"))

    assert "add_them(a, misspelt)" in reply.json()["message"]


def test_functions_that_differ_in_types_only_are_ambiguous(rest: Rest) -> None:
    reply = post(rest, "twice", {"a": 1})

    assert (reply.status_code, reply.json()["code"]) == (300, "PGRST203")


def test_other_keys_than_last_time_choose_the_arguments_anew(rest: Rest) -> None:
    bodies = [
        {"p_value": 1},
        {"p_value": 1, "p_times": 5},
        {"p_times": 6, "p_value": 1},
        {"p_value": {"p_times": 7}},
    ]

    times = [post(rest, "echo_named", body).json()["times"] for body in bodies * 3]

    assert times == [1, 5, 6, 1] * 3
    assert post(rest, "echo_named", {"p_value": 1, "more": 1}).status_code == 404
    assert post(rest, "echo_named", {"p_times": 1}).status_code == 404


def test_a_changed_function_is_found_without_a_restart(rest: Rest) -> None:
    rest.execute("create function public.moving(a int) returns int language sql as 'select a'")
    before = post(rest, "moving", {"a": 1})
    rest.execute("drop function public.moving")
    rest.execute("create function public.moving(a int, b int) returns int language sql as 'select a + b'")

    after = post(rest, "moving", {"a": 1, "b": 2})

    assert (before.json(), after.json()) == (1, 3)
    rest.execute("drop function public.moving")


def test_a_call_knows_who_asks_and_how(rest: Rest) -> None:
    token = make_token("authenticated", sub="u1", org=2)

    reply = rest.call("POST", "/rpc/who", token=token, headers={"X-Client-Info": "tests"})

    assert reply.json() == {
        "role": "authenticated",
        "claims": {"role": "authenticated", "sub": "u1", "org": 2},
        "method": "POST",
        "path": "/rpc/who",
        "header": "tests",
    }


def test_nothing_of_one_request_is_left_for_the_next(rest: Rest) -> None:
    post(rest, "set_reply")
    rest.call("POST", "/rpc/who", token=make_token("authenticated", sub="u1"))

    reply = rest.call("POST", "/rpc/who")

    assert (reply.status_code, reply.json()["role"], reply.json()["claims"]) == (200, "anon", {})
    assert "X-Answer" not in reply.headers


def test_a_function_may_set_status_and_headers_of_the_response(rest: Rest) -> None:
    reply = post(rest, "set_reply")

    assert (reply.status_code, reply.headers["X-Answer"], reply.json()) == (202, "42", {"ok": True})


def test_a_large_batch_arrives_whole(rest: Rest) -> None:
    rows = [{"parent_id": 1, "title": f"née {number} " + "x" * 400} for number in range(500)]

    reply = post(rest, "ingest_rows", {"p_rows": rows})

    assert reply.json() == 500
    titles = rest.read("/children?id=gt.100&select=title&order=id")
    assert [row["title"] for row in titles] == [row["title"] for row in rows]


def test_the_body_reaches_a_json_argument_as_it_was_written(rest: Rest) -> None:
    rest.execute(
        "create or replace function public.raw(p json) returns text language sql immutable as 'select p::text'"
    )
    body = '{"p":{"b":1,  "a":1e5, "b":2}}'

    reply = rest.call(
        "POST",
        "/rpc/raw",
        token=make_token("service_role"),
        content=body,
        headers={"Content-Type": "application/json"},
    )

    assert json.loads(reply.content) == '{"b":1,  "a":1e5, "b":2}'
