"""A token is taken by its key, never by what it says of itself."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from scripts.local.data_folder import Credentials
from scripts.local.tokens import InvalidToken, Tokens

CREDENTIALS = Credentials()
TOKENS = Tokens(CREDENTIALS)
KEY_ID = TOKENS.publish_keys()["keys"][0]["kid"]


def session_claims(**changes: Any) -> dict[str, Any]:
    claims = {"sub": "someone", "role": "authenticated", "aud": "authenticated", "exp": int(time.time()) + 60}
    return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def public_key_text() -> bytes:
    key = serialization.load_pem_private_key(CREDENTIALS.signing_key.encode(), None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_session_token_gives_its_claims_back() -> None:
    claims = session_claims()

    assert TOKENS.verify_token(TOKENS.sign_session(claims)) == claims


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_an_api_key_gives_its_role_and_stays_the_same(role: str) -> None:
    assert TOKENS.verify_token(TOKENS.make_api_key(role))["role"] == role
    assert TOKENS.make_api_key(role) == Tokens(CREDENTIALS).make_api_key(role)


def test_a_session_token_signed_with_the_legacy_secret_is_good_too() -> None:
    token = jwt.encode(session_claims(), CREDENTIALS.jwt_secret, algorithm="HS256")

    assert TOKENS.verify_token(token)["sub"] == "someone"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": int(time.time()) - 1}, "expired"),
        ({"exp": None}, "exp"),
        ({"role": "postgres"}, "role"),
        ({"role": None}, "role"),
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "audience"),
    ],
)
def test_claims_that_are_not_meant_for_us_are_refused(changes: dict[str, Any], reason: str) -> None:
    token = TOKENS.sign_session(session_claims(**changes))

    with pytest.raises(InvalidToken, match=reason):
        TOKENS.verify_token(token)


def test_a_token_accepted_once_is_refused_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    token = TOKENS.sign_session(session_claims())
    TOKENS.verify_token(token)

    monkeypatch.setattr(time, "time", lambda: 9_999_999_999.0)

    with pytest.raises(InvalidToken, match="expired"):
        TOKENS.verify_token(token)


def forgeries() -> dict[str, str]:
    other = Tokens(Credentials())
    good = TOKENS.sign_session(session_claims())
    head, body, signature = good.split(".")
    claims = session_claims(role="service_role")
    return {
        "another stack's key": other.sign_session(claims),
        "another secret": jwt.encode(claims, "x" * 40, algorithm="HS256"),
        "no signature": jwt.encode(claims, "", algorithm="none"),
        "our key id with the legacy algorithm": jwt.encode(
            claims, CREDENTIALS.jwt_secret, algorithm="HS256", headers={"kid": KEY_ID}
        ),
        "a changed body": ".".join([head, jwt.encode(claims, "x" * 40).split(".")[1], signature]),
        "a cut signature": good[:-8],
        "no token": "anything",
        "nothing": "",
        "only dots": "..",
        "not latin": "é.é.é",
        "body only": body,
    }


@pytest.mark.parametrize("name", list(forgeries()))
def test_a_forged_or_malformed_token_is_refused(name: str) -> None:
    with pytest.raises(InvalidToken):
        TOKENS.verify_token(forgeries()[name])


def test_the_public_key_does_not_work_as_a_secret() -> None:
    """The classic confusion: HS256 with the published key as its secret, under that key's id."""
    forged = _sign_by_hand(public_key_text())

    with pytest.raises(InvalidToken):
        TOKENS.verify_token(forged)


def _sign_by_hand(secret: bytes) -> str:
    # PyJWT refuses to sign like this; a forger does not.
    header = jwt.utils.base64url_encode(f'{{"alg":"HS256","kid":"{KEY_ID}"}}'.encode())
    claims = jwt.encode(session_claims(role="service_role"), "x" * 40).split(".")[1].encode()
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = algorithm.sign(header + b"." + claims, secret)
    return b".".join([header, claims, jwt.utils.base64url_encode(signature)]).decode()
