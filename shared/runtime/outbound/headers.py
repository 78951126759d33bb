"""Which request headers may be sent: what admins may configure, and what no caller may ever set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from shared.runtime.errors import BadRequest

VALUE_LIMIT = 4096
"""Bytes of one configured header's value."""

FRAMING_HEADERS = frozenset(
    {
        *("host", "connection", "keep-alive", "te", "trailer", "trailers", "transfer-encoding"),
        *("upgrade", "content-length", "expect"),
    }
)
"""Headers the client writes itself: a second opinion on them is how requests are smuggled."""

FORBIDDEN_HEADERS = FRAMING_HEADERS | {"content-encoding", "content-type", "user-agent", "cookie", "date"}
"""Headers an admin may not configure, in lower case (union of Svix, Outpost and Grafana)."""

FORBIDDEN_PREFIXES = (
    *("proxy-", "webhook-", "x-amz-", "x-amzn-", "x-goog-", "x-google", "x-gfe", "x-azure-", "x-fd-"),
    "x-device-integrations-",
)
"""Beginnings of header names that belong to proxies, clouds and to us."""

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def find_forbidden_headers(headers: Mapping[str, str]) -> list[str]:
    """What is wrong with configured `headers`: one sentence each, beginning with the name, never the value."""
    seen = Counter(name.lower() for name in headers)
    found = []
    for name, value in headers.items():
        if problem := _find_problem(name, value) or _find_policy_problem(name.lower(), value):
            found.append(f"{name!r} {problem}.")
        elif seen[name.lower()] > 1:
            found.append(f"{name!r} is given more than once; letter case makes no difference.")
    return found


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise BadRequest, naming the header, for one that would break out of its line or change the framing."""
    if _are_sound(tuple(headers)) and _find_value_problem("".join(headers.values())) is None:
        return
    for name, value in headers.items():
        if problem := _find_problem(name, value) or _find_framing_problem(name):
            raise BadRequest(f"The header {name!r} {problem}.")


@lru_cache(maxsize=1024)
def _are_sound(names: tuple[str, ...]) -> bool:
    return not any(_find_name_problem(name) or _find_framing_problem(name) for name in names)


def _find_problem(name: str, value: str) -> str | None:
    return _find_name_problem(name) or _find_value_problem(value)


@lru_cache(maxsize=1024)
def _find_name_problem(name: str) -> str | None:
    if _NAME.match(name):
        return None
    return "is not a header name: letters, digits and ! # $ % & ' * + - . ^ _ ` | ~ only"


@lru_cache(maxsize=1024)
def _find_framing_problem(name: str) -> str | None:
    lowered = name.lower()
    if lowered in FRAMING_HEADERS or lowered.startswith("proxy-"):
        return "is written by the client itself; leave it out"
    return None


def _find_value_problem(value: str) -> str | None:
    if value.isascii() and value.isprintable():
        return None
    if _CONTROL.search(value):
        return "has a line break or another control character in its value"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "has a character in its value that can't be sent"
    return None


def _find_policy_problem(name: str, value: str) -> str | None:
    if name in FORBIDDEN_HEADERS or name.startswith(FORBIDDEN_PREFIXES):
        return "is set by the sender or reserved; leave it out"
    if len(value.encode()) > VALUE_LIMIT:
        return f"has a value over {VALUE_LIMIT} bytes"
    return None
