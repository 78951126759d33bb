"""A PostgREST-compatible `/rest/v1` for the local stack: what postgrest-py and supabase-js use of it."""

from __future__ import annotations

from scripts.local.rest.app import RestApp
from scripts.local.rest.call import Verify

__all__ = ["RestApp", "build_rest"]


def build_rest(database_url: str, verify_token: Verify, max_rows: int | None = None) -> RestApp:
    """The WSGI application over `public` of the database.

    `database_url` connects as `authenticator`; `verify_token` returns the claims of a token, with `role` among them, or
    raises a ValueError for one that does not verify. `max_rows` is the most that one reading answers. No connection is
    made before the first request.
    """
    return RestApp(database_url, verify_token, max_rows)
