"""Tokens as Supabase makes them: ES256 sessions with a published key, HS256 keys for the API roles."""

from __future__ import annotations

import base64
import hmac
import json
import time
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from scripts.local.data_folder import Credentials

API_KEY_ISSUED = 1_700_000_000  # fixed, so that a folder's keys stay the same from start to start
API_KEY_LIFETIME = 20 * 365 * 24 * 3600
AUDIENCE = "authenticated"
LINK_SECONDS = 3600
REFRESH_BYTES = 16 + 8 + 32  # session, number, signature
ROLES = frozenset({"anon", "authenticated", "service_role"})


class InvalidToken(ValueError):  # noqa: N818 - reads as a sentence, as those of shared/runtime/errors.py do
    """The token is malformed, forged, expired or not meant for this stack; the message says which."""


class Tokens:
    """Signs and verifies with the keys of one data folder."""

    def __init__(self, credentials: Credentials) -> None:
        key = serialization.load_pem_private_key(credentials.signing_key.encode(), password=None)
        self._signing_key = cast("ec.EllipticCurvePrivateKey", key)
        self._secret = credentials.jwt_secret
        self._key_id = _name_key(self._signing_key.public_key())
        # A token comes with every request of a session: its signature is checked once, its expiry every time.
        self._read_signed = lru_cache(maxsize=4096)(self._check_signature)

    def publish_keys(self) -> dict[str, Any]:
        """The JSON Web Key Set that verifies session tokens."""
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._signing_key.public_key()))
        return {"keys": [{**key, "kid": self._key_id, "alg": "ES256", "use": "sig", "key_ops": ["verify"]}]}

    def sign_session(self, claims: dict[str, Any]) -> str:
        """A session token with these claims."""
        return jwt.encode(claims, self._signing_key, algorithm="ES256", headers={"kid": self._key_id})

    def make_api_key(self, role: str) -> str:
        """The long-lived key of a role, as `supabase start` prints them."""
        expiry = API_KEY_ISSUED + API_KEY_LIFETIME
        claims = {"iss": "supabase", "ref": "local", "role": role, "iat": API_KEY_ISSUED, "exp": expiry}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify_token(self, token: str) -> dict[str, Any]:
        """The claims of a good token; InvalidToken for any other."""
        claims = self._read_signed(token)
        if claims["exp"] <= time.time():
            raise InvalidToken("JWT expired")
        return dict(claims)

    def make_refresh_token(self, session_id: UUID, number: int) -> str:
        """The refresh token of a session that is exchanged for the one with the next number."""
        content = session_id.bytes + number.to_bytes(8)
        return base64.urlsafe_b64encode(content + self._sign_refresh(content)).decode()

    def read_refresh_token(self, token: str) -> tuple[UUID | None, int]:
        """Session and number of a refresh token; no session where the token was not made here."""
        try:
            signed = base64.urlsafe_b64decode(token.encode())
        except ValueError:
            signed = b""
        content = signed[:24]
        if len(signed) != REFRESH_BYTES or not hmac.compare_digest(signed[24:], self._sign_refresh(content)):
            return None, 0
        return UUID(bytes=content[:16]), int.from_bytes(content[16:])

    def sign_link(self, user: dict[str, Any], issued: int) -> str:
        """The token of a link that signs a user in once: with the next sign-in or a new password it fits no more."""
        content = UUID(str(user["id"])).bytes + issued.to_bytes(8)
        state = f"link {user['last_sign_in_at']} {user['encrypted_password']}".encode()
        signature = hmac.digest(self._secret.encode(), content + state, "sha256")
        return base64.urlsafe_b64encode(content + signature).decode()

    def link_fits(self, token: str, user: dict[str, Any]) -> bool:
        """Whether the token is of this user, and not used or older than an hour."""
        issued = int.from_bytes(base64.urlsafe_b64decode(token)[16:24])
        is_young = time.time() - issued < LINK_SECONDS
        return is_young and hmac.compare_digest(token.encode(), self.sign_link(user, issued).encode())

    def _sign_refresh(self, content: bytes) -> bytes:
        return hmac.digest(self._secret.encode(), b"refresh token" + content, "sha256")

    def _check_signature(self, token: str) -> dict[str, Any]:
        try:
            key, algorithm = self._choose_key(jwt.get_unverified_header(token))
            claims: dict[str, Any] = jwt.decode(
                token, key, algorithms=[algorithm], options={"require": ["exp"], "verify_aud": False}
            )
        except jwt.ExpiredSignatureError:
            raise InvalidToken("JWT expired") from None
        except jwt.PyJWTError as error:
            raise InvalidToken(f"invalid JWT: {error}") from None
        return _check_claims(claims)

    def _choose_key(self, header: dict[str, Any]) -> tuple[Any, str]:
        """By key id and never by the token's own `alg`, which a forger chooses."""
        if "kid" not in header:
            return self._secret, "HS256"
        if header["kid"] != self._key_id:
            raise InvalidToken("invalid JWT: unknown key id")
        return self._signing_key.public_key(), "ES256"


def _check_claims(claims: dict[str, Any]) -> dict[str, Any]:
    role = claims.get("role")
    if role not in ROLES:
        raise InvalidToken("invalid JWT: the role must be anon, authenticated or service_role")
    audience = claims.get("aud", AUDIENCE if role != "authenticated" else None)
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise InvalidToken(f"invalid JWT: the audience must be {AUDIENCE}")
    return claims


def _name_key(key: ec.EllipticCurvePublicKey) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint))
    return digest.finalize().hex()[:32]
