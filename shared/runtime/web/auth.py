"""Authentication: session tokens verified here, with the project's keys; never trusted unverified.

ES256 and RS256 against the project's JWKS, HS256 only against the legacy secret. Checked: signature, exp, nbf, aud,
iss, role, with 10 s of leeway. Source: Supabase "JWT signing keys" guide.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from werkzeug.datastructures import Headers

from shared.runtime.database.project import FAILURES, Project
from shared.runtime.errors import Unauthenticated, Unavailable
from shared.runtime.log import get_log
from shared.runtime.settings import load_settings, require_setting

AUDIENCE = "authenticated"
JWKS_PATH = "/auth/v1/.well-known/jwks.json"
LEEWAY_SECONDS = 10
JWKS_SECONDS = 600
REFETCH_COOLDOWN_SECONDS = 30
FETCH_SECONDS = 5.0
WAIT_SECONDS = FETCH_SECONDS + 1
TRUST_SECONDS = 60
"""How long a verified token is believed without verifying it again, and so how long a retired key may still serve."""

TRUSTED_TOKENS = 1_000
REASON_LENGTH = 200
"""Characters of what a refused token says of itself that are logged."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ALGORITHM_OF_KEY = {"EC": "ES256", "RSA": "RS256"}


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in user: the id the policies see as auth.uid(), and the token that proves it."""

    id: str
    token: str = field(repr=False)


class TrustedTokens:
    """Who sent which token, verified a moment ago: verifying it each time took a quarter of a short request.

    Only what was accepted is kept: by hash, never past the token's own end, and all dropped when they are too many.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, str]] = {}

    def find(self, token: str) -> str | None:
        """The user id of a token that is still to be believed."""
        until, user_id = self._known.get(_hash_token(token), (0.0, ""))
        return user_id if time.time() < until else None

    def keep(self, token: str, user_id: str, expires_at: int) -> None:
        """Believe the token for `TRUST_SECONDS`, or until it ends."""
        if len(self._known) >= TRUSTED_TOKENS:
            self._known.clear()
        until = min(time.time() + TRUST_SECONDS, expires_at + LEEWAY_SECONDS)
        self._known[_hash_token(token)] = (until, user_id)


_trusted = TrustedTokens()


class KeySet:
    """The project's public keys: cached, refetched for an unknown kid with a cooldown, served stale when away.

    One caller at a time fetches them. Nobody waits for it whose key is known; others do for `WAIT_SECONDS` at most.
    """

    def __init__(self, url: str) -> None:
        self._project = Project(url, call_seconds=FETCH_SECONDS)
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._fetched = self._tried = float("-inf")
        self._fetching = threading.Lock()

    def find(self, kid: str) -> jwt.PyJWK:
        """The key named `kid`. Unauthenticated when the project has none, Unavailable when no keys could be had."""
        if self._wants(kid):
            self._renew(0 if kid in (self._keys or ()) else WAIT_SECONDS)
        keys = self._keys
        if keys is None:
            raise Unavailable("The project's signing keys can't be fetched just now.")
        if kid not in keys:
            raise Unauthenticated("The token is signed with a key this project does not have.")
        return keys[kid]

    def _wants(self, kid: str) -> bool:
        now = time.monotonic()
        if self._keys is None:
            return True
        if now - self._tried <= REFETCH_COOLDOWN_SECONDS:
            return False
        return kid not in self._keys or now - self._fetched > JWKS_SECONDS

    def _renew(self, patience: float) -> None:
        """Fetch them, or let who does so already come to its end."""
        begun = time.monotonic()
        if not self._fetching.acquire(timeout=patience):
            return
        try:
            if self._tried < begun:
                self._refetch()
        finally:
            self._fetching.release()

    def _refetch(self) -> None:
        try:
            self._keys = self._fetch()
            self._fetched = time.monotonic()
        except (*FAILURES, ValueError, jwt.PyJWKSetError):
            pass
        finally:
            self._tried = time.monotonic()

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        answer = self._project.send("GET", JWKS_PATH)
        if not answer.is_success:
            raise ValueError(f"the endpoint answered {answer.status}")
        document = json.loads(answer.body)
        # A project with the legacy secret alone has none, which PyJWKSet takes for an error.
        keys = jwt.PyJWKSet.from_dict(document).keys if document.get("keys") != [] else []
        return {key.key_id: key for key in keys if key.key_id}


@cache
def load_keys() -> KeySet:
    """The key set of SUPABASE_URL, one per process."""
    return KeySet(require_setting("supabase_url"))


def authenticate_user(headers: Headers) -> User:
    """The user whose session token the `Authorization` header carries; Unauthenticated says what is wrong with it."""
    token = _read_bearer(headers)
    if not token:
        raise Unauthenticated
    if token.startswith("sb_") or token == load_settings().supabase_anon_key:
        # What supabase-js sends while nobody is signed in.
        raise Unauthenticated("You are not signed in: this came with the project's API key and no session.")
    return User(_trusted.find(token) or _verify_user(token), token)


def _read_bearer(headers: Headers) -> str:
    """The bearer token, empty where there is none; the scheme's letter case makes no difference (RFC 9110, 11.1)."""
    scheme, _, token = headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _verify_user(token: str) -> str:
    claims = verify_token(token)
    if claims.get("role") != "authenticated" or not claims.get("sub"):
        raise Unauthenticated("This call needs the session token of a signed-in user, not an API key.")
    user_id = str(claims["sub"])
    if not _UUID.fullmatch(user_id):
        raise Unauthenticated("The token's subject is no user of this project: a user's id is a UUID.")
    _trusted.keep(token, user_id, int(claims["exp"]))
    return user_id


def _hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def verify_token(token: str) -> dict[str, Any]:
    """The claims of `token`, verified; Unauthenticated otherwise."""
    try:
        header = jwt.get_unverified_header(token)
        key, algorithm = _choose_key(header)
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=AUDIENCE,
            issuer=load_settings().jwt_issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "aud", "iss", "sub"]},
        )
    except Unauthenticated as error:
        get_log().warning("a session token was refused", check="Key", reason=error.detail)
        raise
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("The session has expired; sign in again.") from None
    except jwt.PyJWTError as error:
        _log_refusal(token, error)
        raise Unauthenticated("The token is not a valid session of this project.") from None


def _log_refusal(token: str, error: jwt.PyJWTError) -> None:
    """Which check refused it: a wrong SUPABASE_JWT_ISSUER looks to users like a session that is never valid."""
    told = {"check": type(error).__name__.removesuffix("Error"), "reason": str(error)[:REASON_LENGTH]}
    if isinstance(error, jwt.InvalidIssuerError):
        claims = jwt.decode(token, options={"verify_signature": False})
        told |= {"issuer": str(claims.get("iss"))[:REASON_LENGTH], "accepted": load_settings().jwt_issuer}
    get_log().warning("a session token was refused", **told)


def _choose_key(header: Mapping[str, Any]) -> tuple[Any, str]:
    # The key decides the algorithm, never the token: a public key must not serve as an HMAC secret.
    secret = load_settings().supabase_jwt_secret
    if header.get("alg") == "HS256" and secret:
        return secret, "HS256"
    if header.get("alg") == "HS256":
        raise Unauthenticated(
            "The token is signed with the legacy secret, which is not accepted here any more."
        )
    key = load_keys().find(str(header.get("kid", "")))
    algorithm = _ALGORITHM_OF_KEY.get(key.key_type or "")
    if algorithm is None:
        raise Unauthenticated("The token is signed with a kind of key that is not accepted.")
    return key.key, algorithm


def authenticate_scheduler(headers: Headers) -> None:
    """Let only the scheduler in: by its own secret in `X-Scheduler-Secret`, or by the service key in `apikey`.

    Either may be the bearer token, which is all that some cron services can send.
    """
    settings = load_settings()
    bearer = _read_bearer(headers)
    proofs = (
        (bearer, settings.supabase_service_role_key),
        (bearer, settings.scheduler_secret),
        (headers.get("apikey", ""), settings.supabase_service_role_key),
        (headers.get("X-Scheduler-Secret", ""), settings.scheduler_secret),
    )
    if not any(wanted and hmac.compare_digest(given.encode(), wanted.encode()) for given, wanted in proofs):
        raise Unauthenticated(
            "Send the scheduler's secret in X-Scheduler-Secret or as bearer token, or the service key as bearer token."
        )
