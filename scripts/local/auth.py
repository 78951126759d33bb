"""/auth/v1, compatible with Supabase Auth (GoTrue) for what supabase-js and supabase-py use with passwords.

Source: the repository supabase/auth, internal/api; errors are `{code, error_code, msg}` as there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from uuid import UUID
from wsgiref.types import StartResponse, WSGIEnvironment

from psycopg.errors import UniqueViolation
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from werkzeug.wrappers import Request, Response

from scripts.local import auth_admin as admin
from scripts.local import auth_format as form
from scripts.local import auth_links as links
from scripts.local import auth_store as store
from scripts.local.auth_format import AuthError, Row, reply_json
from scripts.local.auth_store import AuthConnection
from scripts.local.passwords import hash_password, password_fits
from scripts.local.tokens import InvalidToken, Tokens

Handler = Callable[[Request], Response]


class Auth:
    """The application: a handler for each method and path. It connects with the first request."""

    def __init__(self, database_url: str, tokens: Tokens, issuer: str, mail: Path) -> None:
        self._mail = mail
        self._database_url = database_url
        self._tokens = tokens
        self._issuer = issuer
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/token"): self._grant_token,
            ("POST", "/signup"): self._sign_up,
            ("POST", "/logout"): self._sign_out,
            ("GET", "/user"): self._show_user,
            ("PUT", "/user"): self._change_user,
            ("GET", "/.well-known/jwks.json"): self._show_keys,
            ("GET", "/health"): self._show_health,
            ("GET", "/settings"): self._show_settings,
            ("POST", "/recover"): self._recover,
            ("GET", "/verify"): self._follow_link,
            ("POST", "/verify"): self._verify_link,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request."""
        request = Request(environ)
        try:
            response = self._find_route(request)(request)
        except AuthError as error:
            response = reply_json(error.body, error.status)
        return response(environ, start_response)

    def _find_route(self, request: Request) -> Handler:
        act = admin.find_act(request)
        route = partial(self._administrate, act) if act else self._routes.get((request.method, request.path))
        if route is None:
            message = f"The local stack's /auth/v1 does not support {request.method} {request.path}"
            raise AuthError(404, "not_found", message)
        return route

    @cached_property
    def _pool(self) -> ConnectionPool[AuthConnection]:
        return ConnectionPool(
            self._database_url,
            connection_class=AuthConnection,
            kwargs={"row_factory": dict_row, "options": "-c search_path=auth"},
            min_size=0,
            max_size=8,
            open=True,
            check=ConnectionPool.check_connection,
        )

    def _grant_token(self, request: Request) -> Response:
        grant = request.args.get("grant_type")
        if grant == "password":
            return self._sign_in(form.read_body(request))
        if grant == "refresh_token":
            return self._refresh(form.read_body(request))
        raise AuthError(400, "validation_failed", "grant_type must be password or refresh_token")

    def _sign_in(self, body: Row) -> Response:
        email, password = form.read_text(body, "email"), form.read_text(body, "password")
        with self._pool.connection() as connection:
            user = store.find_user(connection, email)
            # An unknown address takes as long as a wrong password, so that nobody learns which it was.
            fits = password_fits(user["encrypted_password"] if user else None, password)
            if user is None or not fits:
                raise AuthError(400, "invalid_credentials", "Invalid login credentials")
            return self._start_session(connection, user)

    def _refresh(self, body: Row) -> Response:
        session_id, number = self._tokens.read_refresh_token(form.read_text(body, "refresh_token"))
        with self._pool.connection() as connection:
            found = store.refresh_session(connection, session_id, number) if session_id else None
            user = store.get_user(connection, found["user_id"]) if found else None
        if session_id is None or found is None or user is None:
            raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
        if found["number"] is None:
            raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        return self._reply_session(user, session_id, found["number"])

    def _sign_up(self, request: Request) -> Response:
        body = form.read_body(request)
        if not body.get("email"):
            raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        email, password = form.read_email(body), form.read_password(body)
        try:
            with self._pool.connection() as connection:
                user = store.insert_user(connection, email, hash_password(password), form.read_data(body))
                return self._start_session(connection, user)
        except UniqueViolation:
            raise AuthError(422, "user_already_exists", "User already registered") from None

    def _sign_out(self, request: Request) -> Response:
        claims = self._read_claims(request)
        scope = request.args.get("scope", "global")
        if scope not in {"global", "local", "others"}:
            raise AuthError(400, "validation_failed", f"Unsupported logout scope {scope!r}")
        with self._pool.connection() as connection:
            _require_session(connection, claims)
            store.end_sessions(connection, claims["sub"], claims["session_id"], scope)
        return Response(status=204)

    def _show_user(self, request: Request) -> Response:
        claims = self._read_claims(request)
        with self._pool.connection() as connection:
            return reply_json(form.describe_user(_require_session(connection, claims)))

    def _change_user(self, request: Request) -> Response:
        claims, body = self._read_claims(request), form.read_body(request)
        password_hash = hash_password(form.read_password(body)) if "password" in body else None
        email = form.read_email(body) if "email" in body else None
        changes = {"email": email, "password_hash": password_hash, "data": form.read_data(body)}
        with self._pool.connection() as connection:
            _require_session(connection, claims)
            if password_hash:
                store.end_sessions(connection, claims["sub"], claims["session_id"], "others")
            return reply_json(form.describe_user(admin.write_user(connection, claims["sub"], changes)))

    def _administrate(self, act: admin.Act, request: Request) -> Response:
        if self._read_token(request).get("role") != "service_role":
            raise AuthError(403, "not_admin", "User not allowed")
        with self._pool.connection() as connection:
            return act(connection, request)

    def _recover(self, request: Request) -> Response:
        """A link instead of a mail, in a file of the data folder; the answer does not tell whether there is a user."""
        body = form.read_body(request)
        links.refuse_pkce(body)
        with self._pool.connection() as connection:
            user = store.find_user(connection, form.read_email(body))
        if user is not None:
            token = self._tokens.sign_link(user, int(time.time()))
            links.write_mail(
                self._mail, user["email"], self._issuer, token, request.args.get("redirect_to", "")
            )
        return reply_json({})

    def _follow_link(self, request: Request) -> Response:
        redirect = links.choose_redirect(request.args.get("redirect_to", ""))
        try:
            session = self._start_by_link(request.args.get("token", ""), request.args.get("type", ""))
        except AuthError as error:
            return links.redirect_refused(redirect, error)
        return links.redirect_signed_in(redirect, session.get_json())

    def _verify_link(self, request: Request) -> Response:
        body = form.read_body(request)
        return self._start_by_link(form.read_text(body, "token_hash"), form.read_text(body, "type"))

    def _start_by_link(self, token: str, kind: str) -> Response:
        if kind != "recovery" or not token:
            raise AuthError(400, "validation_failed", "The local stack verifies links of type recovery only")
        with self._pool.connection() as connection:
            user = store.get_user(connection, links.read_user_id(token))
            if user is None or not self._tokens.link_fits(token, user):
                raise AuthError(403, "otp_expired", "Email link is invalid or has expired")
            return self._start_session(connection, user)

    def _show_keys(self, _request: Request) -> Response:
        return reply_json(self._tokens.publish_keys())

    def _show_health(self, _request: Request) -> Response:
        return reply_json(
            {"name": "GoTrue", "version": "local", "description": "A local stand-in for Supabase Auth"}
        )

    def _show_settings(self, _request: Request) -> Response:
        return reply_json({"external": {"email": True}, "disable_signup": False, "mailer_autoconfirm": True})

    def _read_claims(self, request: Request) -> Row:
        claims = self._read_token(request)
        if not claims.get("sub") or not claims.get("session_id"):
            raise AuthError(403, "bad_jwt", "invalid claim: missing sub claim")
        return claims

    def _read_token(self, request: Request) -> Row:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
        try:
            return self._tokens.verify_token(token.strip())
        except InvalidToken as error:
            raise AuthError(403, "bad_jwt", str(error)) from None

    def _start_session(self, connection: AuthConnection, user: Row) -> Response:
        session_id = store.start_session(connection, user["id"])
        fresh = store.get_user(connection, user["id"]) or user
        return self._reply_session(fresh, session_id, 0)

    def _reply_session(self, user: Row, session_id: UUID, number: int) -> Response:
        claims = form.describe_claims(user, str(session_id), self._issuer)
        return reply_json(
            {
                "access_token": self._tokens.sign_session(claims),
                "token_type": "bearer",
                "expires_in": form.SESSION_SECONDS,
                "expires_at": claims["exp"],
                "refresh_token": self._tokens.make_refresh_token(session_id, number),
                "user": form.describe_user(user),
            }
        )


def _require_session(connection: AuthConnection, claims: Row) -> Row:
    user = store.get_user(connection, claims["sub"])
    if user is None or not store.session_exists(connection, claims["session_id"]):
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return user
