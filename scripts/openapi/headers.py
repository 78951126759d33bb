"""Headers of requests and replies, each under its name."""

from __future__ import annotations

from typing import Any

from shared.runtime.web.idempotency import KEY

Headers = dict[str, Any]

_TEXT = {"type": "string"}


def _always(schema: Headers, description: str = "") -> Headers:
    return ({"description": description} if description else {}) | {"required": True, "schema": schema}


REPLIES: Headers = {
    "X-Request-Id": _always(_TEXT, "Yours where you sent one."),
    "WWW-Authenticate": _always({"const": "Bearer"}),
    "Retry-After": _always({"type": "integer", "minimum": 0}, "Seconds to wait."),
    "ETag": _always(_TEXT, "The version shown: send it back as `If-Match` or `If-None-Match`."),
    "Content-Disposition": _always(_TEXT, "The name of the file."),
    "Location": _always({"type": "string", "format": "uri-reference"}),
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
    "Idempotent-Replayed": {
        "description": "There where this is the reply to an earlier request with the same key.",
        "schema": {"const": "true"},
    },
}
LIMITS = ("RateLimit-Policy", "RateLimit")


def pick_headers(*names: str) -> Headers:
    """The headers of a reply: these, and what every reply has."""
    return {name: REPLIES[name] for name in ("X-Request-Id", *names)}


def _send(name: str, description: str, **schema: str) -> Headers:
    return {"name": name, "in": "header", "description": description, "schema": _TEXT | schema}


_KEPT = (
    "Send the same key when you send the same request again, and it is carried out once. Kept for 24 hours."
)
IF_MATCH = _send("If-Match", "The ETag you read: 412 where somebody has changed it since.")
IF_NONE_MATCH = _send("If-None-Match", "The ETag you have: 304 where nothing has changed since.")
IDEMPOTENCY_KEY = _send("Idempotency-Key", _KEPT, pattern=f"^{KEY.pattern}$")
