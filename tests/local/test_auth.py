"""/auth/v1 answers as Supabase Auth does, to raw HTTP and to supabase-py."""

from __future__ import annotations

import httpx

from tests.stack import Stack


def test_a_seeded_user_signs_in_and_is_recognised(stack: Stack) -> None:
    admin = stack.user("admin")

    reply = httpx.get(f"{stack.url}/auth/v1/user", headers={"Authorization": f"Bearer {stack.token(admin)}"})

    assert reply.status_code == 200
    assert reply.json()["id"] == admin.id
