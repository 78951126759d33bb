"""Tokens by which devices prove themselves to a receiver: their form, and where a request brings one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

TOKEN_PREFIX = "dvt_"  # noqa: S105 - how all of them begin
TOKEN_HEADER = "x-device-token"  # noqa: S105 - the name of a header

_TOKEN = re.compile(r"dvt_[A-Za-z0-9_-]{43}")


def find_token(headers: Mapping[str, str]) -> str | None:
    """What a request brings in `Authorization: Bearer` or `X-Device-Token`, where it has the form of one."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    for text in (headers.get(TOKEN_HEADER, ""), given.strip() if scheme.lower() == "bearer" else ""):
        if _TOKEN.fullmatch(text):
            return text
    return None


def hash_token(token: str) -> str:
    """What is kept of it: it is random, so that a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()
