"""What the service key may do with users, and the link that stands for a mail; to raw HTTP and to supabase-py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from supabase_auth.errors import AuthApiError

from supabase import Client, ClientOptions, create_client
from tests.plain import PLAIN
from tests.stack import Stack

PASSWORD = "correct horse battery"


def auth(stack: Stack, method: str, path: str, token: str = "", **options: Any) -> httpx.Response:
    headers = {"apikey": stack.anon_key, **({"Authorization": f"Bearer {token}"} if token else {})}
    return httpx.request(
        method, f"{stack.url}/auth/v1{path}", headers=headers, timeout=30, verify=PLAIN, **options
    )


@pytest.fixture
def service(stack: Stack) -> Iterator[Client]:
    """supabase-py with the service key."""
    with httpx.Client(timeout=60) as http:
        options = ClientOptions(
            auto_refresh_token=False, persist_session=False, httpx_client=http, flow_type="implicit"
        )
        yield create_client(stack.url, stack.service_role_key, options)


def make_user(service: Client, **fields: Any) -> Any:
    email = f"{uuid4().hex}@made.test"
    return service.auth.admin.create_user({"email": email, "password": PASSWORD, **fields}).user  # type: ignore[typeddict-item] # fields are checked by the server


def read_mail(stack: Stack, email: str) -> str:
    """The newest link to that address."""
    lines = (stack.data / "logs" / "mail.log").read_text().splitlines()
    return next(line for line in reversed(lines) if line.startswith(f"To {email},")).split()[-1]


def test_supabase_py_makes_reads_changes_lists_and_deletes_users(service: Client) -> None:
    admin = service.auth.admin
    user = make_user(service, user_metadata={"name": "Kim"}, app_metadata={"plan": "pro"})

    changed = admin.update_user_by_id(
        user.id, {"user_metadata": {"team": "north"}, "app_metadata": {"plan": "x"}}
    ).user
    listed = admin.list_users(page=1, per_page=1000)
    admin.delete_user(user.id)

    assert (user.user_metadata, user.app_metadata["plan"]) == ({"name": "Kim"}, "pro")
    assert changed.user_metadata == {"name": "Kim", "team": "north"}
    assert changed.app_metadata == {"provider": "email", "providers": ["email"], "plan": "x"}
    assert user.email in [each.email for each in listed]
    with pytest.raises(AuthApiError, match="User not found"):
        admin.get_user_by_id(user.id)


def test_who_was_made_may_sign_in_and_whose_password_was_changed_with_the_new_one(
    stack: Stack, service: Client
) -> None:
    user = make_user(service)
    login = {"email": user.email, "password": PASSWORD}

    first = auth(stack, "POST", "/token?grant_type=password", json=login)
    service.auth.admin.update_user_by_id(user.id, {"password": "another good one"})
    old = auth(stack, "POST", "/token?grant_type=password", json=login)
    new = auth(stack, "POST", "/token?grant_type=password", json=login | {"password": "another good one"})

    assert [reply.status_code for reply in (first, old, new)] == [200, 400, 200]


def test_pages_of_users_say_where_the_next_is(stack: Stack) -> None:
    reply = auth(stack, "GET", "/admin/users?page=1&per_page=2", stack.service_role_key)

    total = int(reply.headers["X-Total-Count"])
    assert len(reply.json()["users"]) == 2
    assert total >= 9
    last = -(-total // 2)
    assert [f"page={page}&per_page=2" in reply.headers["Link"] for page in (2, last)] == [True, True]


@pytest.mark.parametrize(
    ("request_line", "body", "answer"),
    [
        ("POST /admin/users", {"email": "admin@alpha.test", "password": PASSWORD}, (422, "email_exists")),
        ("POST /admin/users", {"email": "no address"}, (400, "validation_failed")),
        ("POST /admin/users", {"email": "a@b.test", "password": "short"}, (422, "weak_password")),
        ("GET /admin/users/none", None, (404, "validation_failed")),
        ("GET /admin/users/00000000-0000-0000-0000-000000000000", None, (404, "user_not_found")),
        ("POST /admin/generate_link", {}, (404, "not_found")),
        ("PATCH /admin/users", {}, (404, "not_found")),
    ],
)
def test_what_can_not_be_done_with_users_is_refused(
    stack: Stack, request_line: str, body: object, answer: tuple[int, str]
) -> None:
    method, path = request_line.split()

    reply = auth(stack, method, path, stack.service_role_key, json=body)

    assert (reply.status_code, reply.json()["error_code"]) == answer


def test_users_and_the_anon_key_may_not_administrate(stack: Stack) -> None:
    for token in (stack.token(stack.user("owner")), stack.anon_key):
        reply = auth(stack, "GET", "/admin/users", token)

        assert (reply.status_code, reply.json()["error_code"]) == (403, "not_admin")


def test_a_forgotten_password_is_replaced_by_the_link_in_the_mail_log(stack: Stack, service: Client) -> None:
    user = make_user(service)
    page = "http://localhost:5173/reset"

    asked = auth(stack, "POST", f"/recover?redirect_to={page}", json={"email": user.email})
    followed = httpx.get(read_mail(stack, user.email), timeout=60)

    assert (asked.status_code, asked.json(), followed.status_code) == (200, {}, 303)
    place = urlsplit(followed.headers["Location"])
    session = {name: values[0] for name, values in parse_qs(place.fragment).items()}
    assert place._replace(fragment="").geturl() == page
    assert session["type"] == "recovery"
    changed = auth(stack, "PUT", "/user", session["access_token"], json={"password": "another good one"})
    assert changed.status_code == 200


def test_the_link_is_good_once_and_says_so_where_the_frontend_looks(stack: Stack, service: Client) -> None:
    user = make_user(service)
    auth(stack, "POST", "/recover", json={"email": user.email})
    link = read_mail(stack, user.email)
    httpx.get(link, timeout=60)

    again = urlsplit(httpx.get(link, timeout=60).headers["Location"])

    assert again._replace(fragment="").geturl() == "http://127.0.0.1:3000"
    assert parse_qs(again.fragment)["error_code"] == ["otp_expired"]


def test_supabase_py_verifies_the_token_of_a_link(stack: Stack, service: Client) -> None:
    user = make_user(service)
    service.auth.reset_password_for_email(user.email)
    token = parse_qs(urlsplit(read_mail(stack, user.email)).query)["token"][0]

    verified = service.auth.verify_otp({"token_hash": token, "type": "recovery"})

    assert verified.user is not None
    assert verified.user.email == user.email


@pytest.mark.parametrize("token", ["made-up", "", "ä", "A" * 76])
def test_a_made_up_link_signs_nobody_in(stack: Stack, token: str) -> None:
    reply = auth(stack, "POST", "/verify", json={"token_hash": token, "type": "recovery"})

    assert reply.status_code == (403 if token else 400)


def test_a_link_leads_nowhere_but_to_this_machine_or_the_site(stack: Stack) -> None:
    reply = httpx.get(
        f"{stack.url}/auth/v1/verify?token=x&type=recovery&redirect_to=https://evil.example.com", timeout=60
    )

    assert reply.headers["Location"].startswith("http://127.0.0.1:3000#")


def test_nobody_learns_whether_an_address_is_known_and_pkce_is_refused_by_name(stack: Stack) -> None:
    unknown = auth(stack, "POST", "/recover", json={"email": "nobody@nowhere.test"})
    pkce = auth(stack, "POST", "/recover", json={"email": "admin@alpha.test", "code_challenge": "x"})

    assert (unknown.status_code, unknown.json()) == (200, {})
    assert (pkce.status_code, "PKCE" in pkce.json()["msg"]) == (400, True)
