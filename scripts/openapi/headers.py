"""Headers of replies, each under its name."""

from __future__ import annotations

from typing import Any

Headers = dict[str, Any]

_TEXT = {"type": "string"}

REQUEST_ID: Headers = {
    "X-Request-Id": {"description": "Yours where you sent one.", "required": True, "schema": _TEXT},
}
CHALLENGE: Headers = {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer"}}}
RETRY: Headers = {
    "Retry-After": {
        "description": "Seconds to wait.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
}
LIMITS: Headers = {
    "RateLimit-Policy": {
        "description": "The limits: `q` calls in `w` seconds. Absent where there is no limit.",
        "schema": _TEXT,
        "example": '"write-user";q=600;w=60',
    },
    "RateLimit": {
        "description": "What is left: `r` calls; all of them again in `t` seconds.",
        "schema": _TEXT,
        "example": '"write-user";r=599;t=1',
    },
}
TAG: Headers = {
    "ETag": {
        "description": "The version shown: send it back as `If-Match` or `If-None-Match`.",
        "required": True,
        "schema": _TEXT,
    },
}
LOCATION: Headers = {
    "Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"}},
}
REPLAYED: Headers = {
    "Idempotent-Replayed": {
        "description": "There where this is the reply to an earlier request with the same key.",
        "schema": {"const": "true"},
    },
}
