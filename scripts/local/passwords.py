"""How the local stack hashes passwords."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# Many sign in side by side, so each takes little memory: OWASP's second choice of parameters for Argon2id.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def hash_password(password: str) -> str:
    """What is kept of a password."""
    return _HASHER.hash(password)


def password_fits(password_hash: str | None, password: str) -> bool:
    """Whether the password is the one hashed; takes as long where there is no hash."""
    try:
        return _HASHER.verify(password_hash or _HASH_OF_NOBODY, password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


_HASH_OF_NOBODY = hash_password("nobody")
