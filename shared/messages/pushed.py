"""A pushed request as it came: who sends it, to whom, and what its receiver is given of it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from shared.provider import PushedRequest
from shared.runtime.errors import Unauthenticated


def read_request(environ: Mapping[str, str], parameters: Mapping[str, str], body: bytes) -> PushedRequest:
    """What its receiver is given of a request."""
    rest = parameters.get("rest", "")
    return PushedRequest(read_headers(environ), body, rest.strip("/"), environ.get("QUERY_STRING", ""))


def read_address(environ: Mapping[str, str]) -> str:
    """Who sends, as far as the nearest proxy says: good enough to count by, as nobody is kept out by it."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    return (forwarded or environ.get("REMOTE_ADDR", ""))[:64]


def read_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """The headers by their names in lower case; through Flask's own view of them it takes ten times as long."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return headers | {"content-type": environ.get("CONTENT_TYPE", "")}


def read_id(text: str) -> str:
    """The id of an integration in canonical form; Unauthenticated for what is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise Unauthenticated("The id is not a UUID.") from None
