"""/auth/v1 answers as Supabase Auth does: to raw HTTP, and to supabase-py as it is published."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from supabase_auth.errors import AuthApiError

from scripts.local.data_folder import DataFolder, database_url
from supabase import Client, ClientOptions, create_client
from tests.plain import PLAIN
from tests.stack import Stack

GOOD_PASSWORD = "correct horse battery"


def auth(stack: Stack, method: str, path: str, token: str = "", **options: Any) -> httpx.Response:
    headers = {"apikey": stack.anon_key, **({"Authorization": f"Bearer {token}"} if token else {})}
    return httpx.request(
        method, f"{stack.url}/auth/v1{path}", headers=headers, timeout=30, verify=PLAIN, **options
    )


def refresh(stack: Stack, refresh_token: str) -> httpx.Response:
    return auth(stack, "POST", "/token?grant_type=refresh_token", json={"refresh_token": refresh_token})


def sign_up(stack: Stack, **fields: Any) -> httpx.Response:
    body = {"email": f"{uuid4().hex}@new.test", "password": GOOD_PASSWORD, **fields}
    return auth(stack, "POST", "/signup", json=body)


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with httpx.Client(timeout=60) as http:
        yield create_client(
            stack.url, stack.anon_key, ClientOptions(auto_refresh_token=False, httpx_client=http)
        )


def test_a_seeded_user_signs_in_and_is_recognised(stack: Stack) -> None:
    admin = stack.user("admin")

    reply = auth(stack, "GET", "/user", stack.token(admin))

    assert reply.status_code == 200
    assert (reply.json()["id"], reply.json()["email"]) == (admin.id, admin.email)


def test_a_new_user_has_an_identity_as_one_who_had_signed_up_before_would_not(stack: Stack) -> None:
    user = sign_up(stack).json()["user"]

    (identity,) = user["identities"]
    assert (identity["provider"], identity["user_id"]) == ("email", user["id"])
    assert identity["identity_data"]["email"] == user["email"]


@pytest.mark.parametrize("email", ["admin@alpha.test", "nobody@alpha.test"])
def test_a_wrong_password_and_an_unknown_address_look_the_same(stack: Stack, email: str) -> None:
    reply = auth(stack, "POST", "/token?grant_type=password", json={"email": email, "password": "wrong"})

    assert reply.status_code == 400
    assert reply.json() == {
        "code": 400,
        "error_code": "invalid_credentials",
        "msg": "Invalid login credentials",
    }


def test_a_session_token_verifies_with_the_published_keys(stack: Stack) -> None:
    token = stack.token(stack.user("viewer"))
    keys = jwt.PyJWKSet.from_dict(auth(stack, "GET", "/.well-known/jwks.json").json())

    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="authenticated")

    assert claims["sub"] == stack.user("viewer").id
    assert (claims["role"], claims["iss"]) == ("authenticated", f"{stack.url}/auth/v1")


def test_a_refresh_token_is_exchanged_for_a_new_session_token_and_a_new_refresh_token(stack: Stack) -> None:
    session = stack.sign_in(stack.user("member"))

    reply = refresh(stack, session["refresh_token"])

    assert reply.status_code == 200
    assert reply.json()["refresh_token"] != session["refresh_token"]
    assert auth(stack, "GET", "/user", reply.json()["access_token"]).status_code == 200


def test_two_tabs_that_refresh_at_once_both_keep_the_session(stack: Stack) -> None:
    session = stack.sign_in(stack.user("member"))

    with ThreadPoolExecutor(8) as tabs:
        replies = list(tabs.map(lambda _: refresh(stack, session["refresh_token"]), range(8)))

    assert [reply.status_code for reply in replies] == [200] * 8
    assert len({reply.json()["refresh_token"] for reply in replies}) == 1
    for reply in replies:
        assert auth(stack, "GET", "/user", reply.json()["access_token"]).status_code == 200


def test_within_ten_seconds_even_an_older_refresh_token_gets_the_newest(stack: Stack) -> None:
    session = stack.sign_in(stack.user("member"))
    second = refresh(stack, session["refresh_token"]).json()
    third = refresh(stack, second["refresh_token"]).json()

    reused = refresh(stack, session["refresh_token"])

    assert (reused.status_code, reused.json()["refresh_token"]) == (200, third["refresh_token"])


def test_the_last_but_one_is_good_at_any_time_as_its_answer_may_not_have_arrived(stack: Stack) -> None:
    session = stack.sign_in(stack.user("member"))
    renewed = refresh(stack, session["refresh_token"]).json()
    let_time_pass(stack, renewed)

    reused = refresh(stack, session["refresh_token"])

    assert (reused.status_code, reused.json()["refresh_token"]) == (200, renewed["refresh_token"])


def test_an_older_refresh_token_is_refused_later_and_ends_its_session(stack: Stack) -> None:
    session = stack.sign_in(stack.user("member"))
    second = refresh(stack, session["refresh_token"]).json()
    third = refresh(stack, second["refresh_token"]).json()
    let_time_pass(stack, third)

    reused = refresh(stack, session["refresh_token"])

    assert (reused.status_code, reused.json()["error_code"]) == (400, "refresh_token_already_used")
    assert refresh(stack, third["refresh_token"]).json()["error_code"] == "refresh_token_not_found"
    assert auth(stack, "GET", "/user", third["access_token"]).json()["error_code"] == "session_not_found"


def let_time_pass(stack: Stack, session: dict[str, Any]) -> None:
    """What eleven seconds do to a session."""
    claims = jwt.decode(session["access_token"], options={"verify_signature": False})
    with psycopg.connect(superuser_url(stack)) as connection:
        connection.execute(
            "update auth.sessions set refreshed_at = refreshed_at - interval '11 seconds' where id = %s",
            (claims["session_id"],),
        )


def superuser_url(stack: Stack) -> str:
    port = urlsplit(stack.db_url).port
    return database_url(DataFolder(stack.data).load_credentials(), port or 0, "supabase_admin")


@pytest.mark.parametrize("token", ["made-up", "", "ä", "A" * 76, "A" * 75 + "="])
def test_an_unknown_refresh_token_is_refused(stack: Stack, token: str) -> None:
    reply = refresh(stack, token)

    assert (reply.status_code, reply.json()["error_code"]) == (400, "refresh_token_not_found")


def test_signing_up_gives_a_session_at_once(stack: Stack) -> None:
    reply = sign_up(stack, data={"nickname": "Kim"})

    assert reply.status_code == 200
    assert reply.json()["user"]["user_metadata"] == {"nickname": "Kim"}
    assert auth(stack, "GET", "/user", reply.json()["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"email": "ADMIN@alpha.test"}, 422, "user_already_exists"),
        ({"password": "short"}, 422, "weak_password"),
        ({"email": "no address"}, 400, "validation_failed"),
        ({"email": ""}, 422, "anonymous_provider_disabled"),
        ({"password": ["a", "list"]}, 400, "validation_failed"),
        ({"data": "text"}, 400, "validation_failed"),
    ],
)
def test_signing_up_with_bad_fields_is_refused(
    stack: Stack, fields: dict[str, Any], status: int, code: str
) -> None:
    reply = sign_up(stack, **fields)

    assert (reply.status_code, reply.json()["error_code"]) == (status, code)


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(stack: Stack, body: bytes) -> None:
    reply = auth(stack, "POST", "/token?grant_type=password", content=body)

    assert (reply.status_code, reply.json()["error_code"]) == (400, "bad_json")


def test_a_token_of_nobody_is_refused(stack: Stack) -> None:
    assert auth(stack, "GET", "/user", stack.anon_key).json()["error_code"] == "bad_jwt"
    assert auth(stack, "GET", "/user", "a.b.c").json()["error_code"] == "bad_jwt"


def test_a_changed_password_works_and_ends_the_other_sessions(stack: Stack) -> None:
    session = sign_up(stack).json()
    login = {"email": session["user"]["email"], "password": "another good one"}
    other = auth(
        stack, "POST", "/token?grant_type=password", json={**login, "password": GOOD_PASSWORD}
    ).json()

    changed = auth(stack, "PUT", "/user", session["access_token"], json={"password": login["password"]})

    assert changed.status_code == 200
    assert auth(stack, "POST", "/token?grant_type=password", json=login).status_code == 200
    assert auth(stack, "GET", "/user", session["access_token"]).status_code == 200
    assert auth(stack, "GET", "/user", other["access_token"]).json()["error_code"] == "session_not_found"


def test_an_unsupported_path_says_so(stack: Stack) -> None:
    reply = auth(stack, "POST", "/otp", json={})

    assert reply.status_code == 404
    assert "does not support POST /otp" in reply.json()["msg"]


def test_browsers_of_any_origin_may_sign_in(stack: Stack) -> None:
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"}
    asked["Access-Control-Request-Headers"] = "apikey,authorization,x-client-info"

    preflight = httpx.options(f"{stack.url}/auth/v1/token", headers=asked, timeout=60)

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-headers"] == asked["Access-Control-Request-Headers"]
    assert auth(stack, "GET", "/health").headers["access-control-allow-origin"] == "*"


def test_supabase_py_signs_in_refreshes_and_signs_out(stack: Stack, client: Client) -> None:
    owner = stack.user("owner", 1)

    signed_in = client.auth.sign_in_with_password({"email": owner.email, "password": owner.password})
    assert signed_in.user is not None
    assert signed_in.user.id == owner.id

    renewed = client.auth.refresh_session()
    assert renewed.session is not None
    seen = client.auth.get_user()
    assert seen is not None
    assert seen.user.email == owner.email

    client.auth.sign_out()
    assert client.auth.get_session() is None
    assert (
        auth(stack, "GET", "/user", renewed.session.access_token).json()["error_code"] == "session_not_found"
    )


def test_supabase_py_signs_up_and_reports_a_wrong_password(client: Client) -> None:
    email = f"{uuid4().hex}@new.test"

    signed_up = client.auth.sign_up({"email": email, "password": GOOD_PASSWORD})

    assert signed_up.session is not None
    with pytest.raises(AuthApiError, match="Invalid login credentials") as refusal:
        client.auth.sign_in_with_password({"email": email, "password": "wrong password"})
    assert refusal.value.code == "invalid_credentials"
