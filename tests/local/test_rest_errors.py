"""What /rest/v1 answers when something is wrong."""

from __future__ import annotations

import socket

import httpx
import psycopg
import pytest

from scripts.local.rest import call
from tests.local.rest_server import Rest, make_token, serve_database


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("P0001", 400),
        ("22023", 400),
        ("PT402", 402),
        ("PT000", 400),
        ("40001", 500),
        ("53000", 503),
        ("54000", 500),
        ("23505", 409),
        ("23503", 409),
        ("42P01", 404),
        ("XX000", 500),
        ("HV000", 500),
        ("0P000", 403),
    ],
)
def test_an_sqlstate_decides_the_status(rest: Rest, state: str, status: int) -> None:
    body = {"p_state": state, "p_message": "no"}

    reply = rest.call("POST", "/rpc/fail_with", token=make_token("service_role"), json=body)

    assert reply.status_code == status
    assert reply.json() == {"code": state, "message": "no", "details": "the detail", "hint": "the hint"}


def test_a_refusal_is_401_for_nobody_and_403_for_somebody(rest: Rest) -> None:
    nobody = rest.call("POST", "/rpc/locked", json={})
    somebody = rest.call("POST", "/rpc/locked", json={}, token=make_token("authenticated"))

    assert (nobody.status_code, nobody.json()["code"], nobody.headers["WWW-Authenticate"]) == (
        401,
        "42501",
        "Bearer",
    )
    assert (somebody.status_code, somebody.json()["code"]) == (403, "42501")


def test_a_raised_json_error_decides_everything(rest: Rest) -> None:
    reply = rest.call("POST", "/rpc/teapot", token=make_token("service_role"))

    assert (reply.status_code, reply.headers["X-Kind"]) == (418, "tea")
    assert reply.json() == {"code": "T1", "message": "short and stout", "details": None, "hint": None}


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("nonsense", "PGRST301"),
        (make_token("anon", exp=1), "PGRST303"),
        (make_token("anon")[:-2], "PGRST301"),
    ],
)
def test_a_token_that_does_not_verify_is_401(rest: Rest, token: str, code: str) -> None:
    reply = rest.call("GET", "/orgs", token=token)

    assert (reply.status_code, reply.json()["code"]) == (401, code)
    assert reply.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


def test_the_apikey_is_the_token_when_there_is_no_other(rest: Rest) -> None:
    reply = rest.call("POST", "/rpc/who", headers={"apikey": make_token("service_role")})

    assert reply.json()["role"] == "service_role"


def test_a_role_the_login_may_not_take_is_refused(rest: Rest) -> None:
    reply = rest.call("GET", "/orgs", token=make_token("postgres"))

    assert (reply.status_code, reply.json()["code"]) == (403, "42501")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "PGRST205"),
        ("GET", "/pg_class", 404, "PGRST205"),
        ("GET", "/a/b/c", 404, "PGRST125"),
        ("GET", "/", 400, "PGRST127"),
        ("PUT", "/orgs?id=eq.1", 400, "PGRST127"),
        ("PATCH", "/rpc/add_them", 405, "PGRST101"),
        ("TRACE", "/orgs", 405, "PGRST117"),
        ("GET", "/orgs?id=nope.1", 400, "PGRST100"),
        ("GET", "/orgs?id=1", 400, "PGRST100"),
        ("GET", "/orgs?select=id,", 400, "PGRST100"),
        ("GET", "/orgs?select=id)", 400, "PGRST100"),
        ("GET", "/orgs?or=(id.eq.1", 400, "PGRST100"),
        ("GET", "/orgs?order=id.up", 400, "PGRST100"),
        ("GET", "/orgs?limit=ten", 400, "PGRST100"),
        ("GET", "/orgs?id=in.1", 400, "PGRST100"),
        ("GET", "/orgs?id=is.maybe", 400, "PGRST100"),
        ("GET", "/orgs?name=eq.%00", 400, "PGRST100"),
        ("GET", "/orgs?or=" + "and(" * 30, 400, "PGRST100"),
        ("GET", "/orgs?name=fts.cat", 400, "PGRST127"),
        ("GET", "/orgs?select=...parents(id)", 400, "PGRST127"),
        ("GET", "/orgs?select=id.sum()", 400, "PGRST127"),
        ("GET", "/orgs?select=id,count()", 400, "PGRST127"),
        ("GET", "/parents?order=orgs(name)", 400, "PGRST108"),
        ("GET", "/orgs?select=id,parents(id)&order=parents(name)", 400, "PGRST118"),
        ("GET", "/orgs?select=id,parents(id)&parents=eq.1", 400, "PGRST127"),
        ("GET", "/labels?select=word,labels(word)", 400, "PGRST200"),
        ("GET", "/folders?select=title,folders!folders_inside(title)", 400, "PGRST200"),
        ("DELETE", "/orgs?id=eq.1&limit=1", 400, "PGRST127"),
        ("GET", "/orgs?missing=eq.1", 400, "42703"),
        ("GET", "/orgs?id=eq.x", 400, "22P02"),
        ("GET", "/orgs?select=id::nothing", 400, "42704"),
    ],
)
def test_what_can_not_be_done_is_named(rest: Rest, method: str, path: str, status: int, code: str) -> None:
    reply = rest.call(method, path, token=make_token("service_role"))

    assert (reply.status_code, reply.json()["code"]) == (status, code), reply.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "PGRST102"),
        (b"", "PGRST102"),
        (b"3", "PGRST102"),
        (b"[1]", "PGRST102"),
        (b'{"id":1}\x00', "PGRST102"),
        (b'[{"id":1},{"name":"x"}]', "PGRST102"),
        (b"\xff", "PGRST102"),
        (b'{"nope":1}', "PGRST204"),
    ],
)
def test_a_body_that_can_not_be_inserted_is_400(rest: Rest, body: bytes, code: str) -> None:
    reply = rest.call("POST", "/orgs", token=make_token("service_role"), content=body)

    assert (reply.status_code, reply.json()["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/orgs", "/rpc/write_org"])
@pytest.mark.parametrize("content_type", ["text/csv", "application/x-www-form-urlencoded"])
def test_a_body_in_another_format_is_refused_by_its_name(rest: Rest, path: str, content_type: str) -> None:
    body = b'{"id": 9, "name": "JSON all the same"}'

    reply = rest.call(
        "POST",
        path,
        token=make_token("service_role"),
        content=body,
        headers={"Content-Type": content_type},
    )

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST127")
    assert content_type in reply.json()["details"]
    assert rest.read("/orgs?id=eq.9") == []


def test_a_body_that_does_not_say_it_is_json_is_refused(rest: Rest) -> None:
    headers = {"Content-Type": "text/plain"}

    reply = rest.call(
        "PATCH", "/orgs?id=eq.1", token=make_token("service_role"), content=b"{}", headers=headers
    )

    assert (reply.status_code, reply.json()["code"]) == (400, "PGRST102")


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[1]", b'{"p_value": 1}\x00', b'{"p_value": 1'])
def test_a_call_with_a_body_that_is_no_json_object_is_400(rest: Rest, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    good = rest.call("POST", "/rpc/echo_named", token=make_token("service_role"), json={"p_value": 1})

    reply = rest.call(
        "POST", "/rpc/echo_named", token=make_token("service_role"), content=body, headers=headers
    )

    assert (good.status_code, reply.status_code, reply.json()["code"]) == (200, 400, "PGRST102")


def test_a_nul_character_in_json_is_refused_by_jsonb(rest: Rest) -> None:
    reply = rest.call("POST", "/rpc/echo_named", token=make_token("service_role"), json={"p_value": "\0"})

    assert (reply.status_code, reply.json()["code"]) == (400, "22P05")


def test_a_body_past_the_limit_is_413(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call.RestRequest, "max_content_length", 1000)

    reply = rest.call("POST", "/orgs", token=make_token("service_role"), content=b" " * 2000)

    assert reply.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Accept": "application/geo+json"}, 406, "PGRST107"),
        ({"Accept": "application/vnd.pgrst.plan+json"}, 406, "PGRST107"),
        ({"Accept-Profile": "auth"}, 406, "PGRST106"),
        ({"Prefer": "handling=strict, anything"}, 400, "PGRST122"),
    ],
)
def test_headers_that_can_not_be_honoured_are_refused(
    rest: Rest, headers: dict[str, str], status: int, code: str
) -> None:
    reply = rest.call("GET", "/orgs", token=make_token("service_role"), headers=headers)

    assert (reply.status_code, reply.json()["code"]) == (status, code)


def test_a_statement_that_takes_too_long_is_cancelled(rest: Rest) -> None:
    rest.execute("create or replace function public.nap() returns void language sql as 'select pg_sleep(20)'")

    reply = rest.call("POST", "/rpc/nap", token=make_token("anon"))

    assert (reply.status_code, reply.json()["code"]) == (500, "57014")


def test_connections_ended_by_the_server_are_replaced(rest: Rest) -> None:
    rest.read("/orgs")
    ended = (
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rest_tests_authenticator'"
    )
    with psycopg.connect(rest.owner_url) as connection:
        connection.execute("grant rest_tests_authenticator to postgres")
        connection.execute(ended)

    assert len(rest.read("/orgs")) == 2


def test_a_database_that_is_away_is_503() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"postgresql://x@127.0.0.1:{nobody.getsockname()[1]}/x"
        with serve_database(away) as url:
            reply = httpx.get(f"{url}/orgs", timeout=60)

    assert (reply.status_code, reply.json()["code"]) == (503, "PGRST000")
    assert reply.headers["Retry-After"] == "1"
