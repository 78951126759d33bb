"""Links that sign in, written to a file where Supabase would send a mail."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from werkzeug.wrappers import Response

from scripts.local.auth_format import AuthError, Row

SITE_URL = "http://127.0.0.1:3000"  # as in supabase/config.toml
LOCAL = {"localhost", "127.0.0.1", "::1"}
LINK_BYTES = 16 + 8 + 32  # user, time, signature


def write_mail(file: Path, email: str, issuer: str, token: str, redirect: str) -> None:
    """Adds the link to the file."""
    query = urlencode({"token": token, "type": "recovery", "redirect_to": choose_redirect(redirect)})
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"To {email}, who has forgotten the password: {issuer}/verify?{query}\n")


def choose_redirect(wanted: str) -> str:
    """Where the link leads in the end: an address of this machine, else the site's."""
    return wanted if urlsplit(wanted).hostname in LOCAL else SITE_URL


def redirect_signed_in(redirect: str, session: Row) -> Response:
    """To the page, with the session where supabase-js looks for it."""
    names = ("access_token", "expires_at", "expires_in", "refresh_token", "token_type")
    return _redirect(redirect, {name: session[name] for name in names} | {"type": "recovery"})


def redirect_refused(redirect: str, error: AuthError) -> Response:
    """To the page, with the reason where supabase-js looks for it."""
    reason = {"error_code": error.body["error_code"], "error_description": error.body["msg"]}
    return _redirect(redirect, {"error": "access_denied"} | reason)


def read_user_id(token: str) -> str:
    """The user a link is for, whether it fits or not."""
    try:
        content = base64.urlsafe_b64decode(token.encode())
    except ValueError:
        content = b""
    return str(UUID(bytes=content[:16] if len(content) == LINK_BYTES else bytes(16)))


def refuse_pkce(body: Row) -> None:
    """The flow of which a part stays with whoever asked is not built."""
    if body.get("code_challenge"):
        message = "The local stack's links do not support PKCE: create the client with flowType: 'implicit'"
        raise AuthError(400, "validation_failed", message)


def _redirect(address: str, fragment: Row) -> Response:
    return Response(status=303, headers={"Location": f"{address}#{urlencode(fragment)}"})
