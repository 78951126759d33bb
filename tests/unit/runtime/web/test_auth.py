"""Session tokens: which keys and claims are believed."""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from werkzeug.datastructures import Headers

from shared.runtime.errors import Unauthenticated, Unavailable
from shared.runtime.log import get_log
from shared.runtime.settings import load_settings
from shared.runtime.web.auth import (
    JWKS_SECONDS,
    LEEWAY_SECONDS,
    REFETCH_COOLDOWN_SECONDS,
    TRUST_SECONDS,
    TRUSTED_TOKENS,
    KeySet,
    TrustedTokens,
    authenticate_user,
    load_keys,
    verify_token,
)

SECRET = "a-legacy-secret-of-at-least-32-bytes"
USER = "0b5e5b7c-2f0a-4a52-8b9e-0c1d2e3f4a5b"


class Project:
    """A project's JWKS endpoint on a real socket, with keys that can be rotated."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"ec-1": ec.generate_private_key(ec.SECP256R1())}
        self.fetches = 0
        self.broken = False
        self.answers = threading.Event()
        self.answers.set()
        project = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                project.fetches += 1
                project.answers.wait(30)
                body = b"" if project.broken else json.dumps({"keys": project.public_keys()}).encode()
                self.send_response(500 if project.broken else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def public_keys(self) -> list[dict[str, Any]]:
        return [self.describe(kid, key) for kid, key in self.keys.items()]

    @staticmethod
    def describe(kid: str, key: Any) -> dict[str, Any]:
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        made: Any = jwt.get_algorithm_by_name(algorithm)
        described: dict[str, Any] = json.loads(made.to_jwk(key.public_key()))
        return described | {"kid": kid, "alg": algorithm}

    def sign(self, kid: str = "ec-1", **claims: Any) -> str:
        valid = {"sub": USER, "role": "authenticated", "aud": "authenticated", "iss": f"{self.url}/auth/v1"}
        key = self.keys[kid]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(
            valid | {"exp": time.time() + 60} | claims, key, algorithm=algorithm, headers={"kid": kid}
        )


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    started = Project()
    thread = threading.Thread(target=started.server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("SUPABASE_URL", started.url)
    monkeypatch.setenv("SUPABASE_JWT_SECRET", SECRET)
    load_settings.cache_clear()
    load_keys.cache_clear()
    yield started
    started.server.shutdown()
    thread.join()
    started.server.server_close()
    load_settings.cache_clear()
    load_keys.cache_clear()


def test_es256_and_rs256_tokens_of_the_project_are_believed(project: Project) -> None:
    project.keys["rsa-1"] = rsa.generate_private_key(65537, 2048)

    users = [
        authenticate_user(Headers({"Authorization": f"Bearer {project.sign(kid)}"})) for kid in project.keys
    ]

    assert [user.id for user in users] == [USER, USER]


def test_a_users_token_does_not_show_in_its_repr(project: Project) -> None:
    token = project.sign()

    assert token not in repr(authenticate_user(Headers({"Authorization": f"Bearer {token}"})))


def test_a_verified_token_is_believed_for_a_minute_and_never_past_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trusted, begun = TrustedTokens(), int(time.time())
    trusted.keep("long", "u", begun + 3600)
    trusted.keep("short", "u", begun + 5)

    def list_believed(seconds: int) -> list[str]:
        monkeypatch.setattr(time, "time", lambda: begun + seconds)
        return [token for token in ("long", "short", "other") if trusted.find(token)]

    assert list_believed(0) == ["long", "short"]
    assert list_believed(5 + LEEWAY_SECONDS) == ["long"]
    assert list_believed(TRUST_SECONDS + 1) == []


def test_tokens_that_are_believed_do_not_pile_up() -> None:
    trusted = TrustedTokens()

    for number in range(TRUSTED_TOKENS + 1):
        trusted.keep(str(number), "u", 4_000_000_000)

    assert [trusted.find(str(number)) for number in (0, TRUSTED_TOKENS)] == [None, "u"]


def test_only_the_very_token_that_was_verified_is_believed(project: Project) -> None:
    token = project.sign()
    authenticate_user(Headers({"Authorization": f"Bearer {token}"}))

    with pytest.raises(Unauthenticated):
        authenticate_user(Headers({"Authorization": f"Bearer {token[:-4]}AAAA"}))


def test_a_public_key_does_not_serve_as_an_hmac_secret(project: Project) -> None:
    claims = {"sub": "u", "role": "authenticated", "aud": "authenticated", "iss": f"{project.url}/auth/v1"}
    public = project.keys["ec-1"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = sign_hs256(public, {"alg": "HS256", "kid": "ec-1"}, claims | {"exp": time.time() + 60})

    with pytest.raises(Unauthenticated):
        verify_token(forged)


def sign_hs256(key: bytes, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """By hand: the library refuses to make such a token."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    signature = hmac.digest(key, b".".join(parts), "sha256")
    return b".".join([*parts, urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"aud": "other"},
        {"iss": "https://other.example/auth/v1"},
        {"exp": None},
        {"sub": None},
    ],
)
def test_a_wrong_or_missing_claim_is_refused(project: Project, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        verify_token(project.sign(**claims))


def test_expiry_has_the_stated_leeway(project: Project) -> None:
    assert verify_token(project.sign(exp=time.time() - 5))["sub"] == USER


def test_the_keys_are_fetched_once_for_many_tokens(project: Project) -> None:
    for _ in range(5):
        verify_token(project.sign())

    assert project.fetches == 1


def test_an_unknown_key_id_refetches_but_not_more_often_than_the_cooldown(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_token(project.sign())
    project.keys["ec-2"] = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Unauthenticated):
        verify_token(project.sign("ec-2"))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + REFETCH_COOLDOWN_SECONDS + 1)

    claims = verify_token(project.sign("ec-2"))

    assert claims["sub"] == USER
    assert project.fetches == 2


def test_a_key_that_the_project_has_taken_out_is_believed_for_ten_minutes_at_most(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = project.sign(exp=time.time() + 3600)
    verify_token(old)
    project.keys = {"ec-2": ec.generate_private_key(ec.SECP256R1())}
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + JWKS_SECONDS + 1)

    with pytest.raises(Unauthenticated):
        verify_token(old)

    assert JWKS_SECONDS <= 600


def test_known_keys_still_serve_while_the_endpoint_is_broken(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_token(project.sign())
    project.broken = True
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600)

    assert verify_token(project.sign())["sub"] == USER


def test_while_one_caller_fetches_keys_nobody_waits_whose_key_is_known(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = load_keys()
    keys.find("ec-1")
    project.keys["ec-2"] = ec.generate_private_key(ec.SECP256R1())
    project.answers.clear()
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + JWKS_SECONDS + 1)

    with ThreadPoolExecutor(5) as threads:
        unknown = [threads.submit(keys.find, "ec-2") for _ in range(4)]
        wait_until(lambda: project.fetches == 2)
        known = threads.submit(keys.find, "ec-1").result(3)
        project.answers.set()
        found = {future.result(30).key_id for future in unknown}

    assert (known.key_id, found, project.fetches) == ("ec-1", {"ec-2"}, 2)


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("It never came to be.")


def test_callers_that_wait_for_keys_in_vain_do_not_ask_again_one_after_another(project: Project) -> None:
    keys = load_keys()
    project.broken = True
    project.answers.clear()

    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(keys.find, "ec-1") for _ in range(4)]
        wait_until(lambda: project.fetches == 1)
        threading.Event().wait(0.3)
        project.answers.set()
        failures = [future.exception(30) for future in waiting]

    assert ([type(failure) for failure in failures], project.fetches) == ([Unavailable] * 4, 1)


@pytest.mark.parametrize(
    "subject",
    [
        "u",
        "1",
        f"{USER} ",
        f"{{{USER}}}",
        f"urn:uuid:{USER}",
        USER.replace("-", ""),
        f"{USER}\n",
        "\u0660" * 36,
    ],
)
def test_a_subject_that_is_no_uuid_is_no_user(project: Project, subject: str) -> None:
    token = project.sign(sub=subject)

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            authenticate_user(Headers({"Authorization": f"Bearer {token}"}))


def test_a_project_without_signing_keys_is_asked_for_them_once_whoever_names_one(project: Project) -> None:
    forged = [project.sign() for _ in range(5)]
    project.keys = {}

    for token in forged:
        with pytest.raises(Unauthenticated):
            verify_token(token)

    assert project.fetches == 1


def test_without_any_keys_the_answer_is_unavailable_not_a_verdict(project: Project) -> None:
    project.broken = True

    with pytest.raises(Unavailable):
        KeySet(project.url).find("ec-1")


@pytest.mark.parametrize("key", ["sb_publishable_a", "sb_secret_a", "the-legacy-anon-key"])
def test_a_caller_without_a_session_is_told_so(
    project: Project, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("SUPABASE_ANON_KEY", "the-legacy-anon-key")
    load_settings.cache_clear()

    with pytest.raises(Unauthenticated, match="You are not signed in"):
        authenticate_user(Headers({"Authorization": f"Bearer {key}", "apikey": key}))

    assert project.fetches == 0


def test_sessions_of_a_custom_domain_are_believed_once_their_issuer_is_set(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = project.sign(iss="https://id.example.com/auth/v1")
    with pytest.raises(Unauthenticated):
        verify_token(token)

    monkeypatch.setenv("SUPABASE_JWT_ISSUER", "https://id.example.com/auth/v1")
    load_settings.cache_clear()

    assert verify_token(token)["sub"] == USER
    with pytest.raises(Unauthenticated):
        verify_token(project.sign())


@pytest.mark.parametrize(
    ("claims", "check", "told"),
    [
        ({"iss": "https://id.example.com"}, "InvalidIssuer", "https://id.example.com"),
        ({"aud": "others"}, "InvalidAudience", "Audience"),
        ({"nbf": 4_000_000_000}, "ImmatureSignature", "nbf"),
        ({"sub": None}, "MissingRequiredClaim", "sub"),
    ],
)
def test_the_check_that_refused_a_token_is_in_the_log_and_the_token_is_not(
    project: Project, caplog_lines: list[dict[str, Any]], claims: dict[str, Any], check: str, told: str
) -> None:
    token = project.sign(**claims)

    with pytest.raises(Unauthenticated):
        verify_token(token)

    (line,) = caplog_lines
    assert (line["event"], line["check"]) == ("a session token was refused", check)
    assert told in str(line)
    assert token.split(".")[2] not in str(line)


@pytest.mark.usefixtures("project")
def test_a_legacy_session_where_its_secret_is_not_set_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog_lines: list[dict[str, Any]]
) -> None:
    monkeypatch.delenv("SUPABASE_JWT_SECRET")
    load_settings.cache_clear()

    with pytest.raises(Unauthenticated, match="legacy secret"):
        verify_token(sign_hs256(SECRET.encode(), {"alg": "HS256"}, {"sub": "u"}))

    assert [line["check"] for line in caplog_lines] == ["Key"]


@pytest.fixture
def caplog_lines() -> Iterator[list[dict[str, Any]]]:
    """What is logged while the test runs, each line with the event's words as `event`."""
    get_log()
    with structlog.testing.capture_logs() as lines:
        yield lines  # type: ignore[misc] # mutable mappings, as dicts are
