"""The life of an organization as a frontend leads it, over /rest/v1: started, joined, left, ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from scripts.local.seed import User
from tests.stack import Stack


@pytest.fixture
def founder(stack: Stack) -> Iterator[User]:
    """Somebody in no organization, afterwards too."""
    user = stack.user("stranger")
    yield user
    with stack.connect() as connection:
        connection.execute(
            "delete from organizations where id in"
            " (select organization_id from organization_members where user_id = %s)",
            (user.id,),
        )


def rest(stack: Stack, user: User, method: str, path: str, body: Any = None) -> httpx.Response:
    headers = {"apikey": stack.anon_key, "Authorization": f"Bearer {stack.token(user)}"}
    return httpx.request(method, f"{stack.url}/rest/v1/{path}", json=body, headers=headers, timeout=30)


def test_an_organization_is_started_joined_left_and_ended(stack: Stack, founder: User) -> None:
    guest = stack.user("viewer", 1)
    organization = rest(stack, founder, "POST", "rpc/create_organization", {"name": "Acme"}).json()["id"]
    invited = rest(
        stack,
        founder,
        "POST",
        "rpc/invite_member",
        {"organization_id": organization, "email": guest.email.upper(), "role": "admin"},
    )
    listed = rest(stack, guest, "POST", "rpc/list_invitations", {}).json()

    joined = rest(stack, guest, "POST", "rpc/accept_invitation", {"id": invited.json()["id"]})
    again = rest(stack, guest, "POST", "rpc/accept_invitation", {"id": invited.json()["id"]})
    left = rest(stack, guest, "POST", "rpc/leave_organization", {"organization_id": organization})
    ended = rest(stack, founder, "POST", "rpc/delete_organization", {"organization_id": organization})

    assert [(each["organization_name"], each["role"]) for each in listed] == [("Acme", "admin")]
    assert (joined.status_code, joined.json()["role"]) == (200, "admin")
    assert (again.status_code, again.json()["code"]) == (404, "PT404")
    assert (left.status_code, ended.status_code) == (204, 204)
    assert rest(stack, founder, "GET", "organizations?select=*").json() == []


def test_the_last_owner_is_told_why_they_stay_whichever_way_they_go(stack: Stack, founder: User) -> None:
    organization = rest(stack, founder, "POST", "rpc/create_organization", {"name": "Acme"}).json()["id"]
    row = f"organization_members?organization_id=eq.{organization}&user_id=eq.{founder.id}"

    replies = [
        rest(stack, founder, "POST", "rpc/leave_organization", {"organization_id": organization}),
        rest(stack, founder, "DELETE", row),
        rest(stack, founder, "PATCH", row, {"role": "admin"}),
    ]

    assert [(reply.status_code, reply.json()["code"]) for reply in replies] == [(400, "23514")] * 3
    assert all("make somebody else owner first" in reply.json()["message"] for reply in replies)
