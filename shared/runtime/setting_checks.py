"""What the values of settings have to look like. ValueError says what is expected, never what was found."""

from __future__ import annotations

import base64
import binascii
import json
import re
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

MOST_DAYS = 36_500
LEAST_SECONDS, MOST_SECONDS = 0.1, 3_600
LEAST_MEGABYTES = 128
SECRET_LENGTH = 16
"""Shorter than this a text can be found by trying."""

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@*]+")  # apps have schemes of their own


def read_seconds(value: Any) -> float:
    """A number of seconds."""
    if not _NUMBER.fullmatch(str(value)) or not LEAST_SECONDS <= float(value) <= MOST_SECONDS:
        raise ValueError(f"must be a number of seconds, from {LEAST_SECONDS} to {MOST_SECONDS}")
    return float(value)


def read_days(value: Any) -> int:
    """A whole number of days, zero for never."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > MOST_DAYS:
        raise ValueError(f"must be a whole number of days, from 1 to {MOST_DAYS}, or 0 for never")
    return int(text)


def read_megabytes(value: Any) -> int:
    """A whole number of megabytes."""
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) < LEAST_MEGABYTES:
        raise ValueError(f"must be a whole number of megabytes, from {LEAST_MEGABYTES} on")
    return int(text)


def check_text(value: str) -> str:
    """Printable text in one line, without quotes around it: those are the shell's, and somebody's reader left them."""
    if not value.isprintable() or value[0] in "'\"" or value[-1] in "'\"":
        raise ValueError("must be one line of text, without quotes around it")
    return value


def check_secret(value: str) -> str:
    """A text that is too long to be guessed."""
    if len(check_text(value)) < SECRET_LENGTH:
        raise ValueError(f"must have at least {SECRET_LENGTH} characters")
    return value


def check_url(value: str) -> str:
    """An http(s) address; gives it without slashes at its end."""
    try:
        url = urlsplit(value)
        fits = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:
        fits = False
    if not fits or re.search(r"[\s@?#{}]", value):
        raise ValueError("must be an address such as https://abcdefghijklmnopqrst.supabase.co")
    return value.rstrip("/")


def check_ping_url(value: str) -> str:
    """An http(s) address with whatever its service puts behind it, the query too."""
    check_url(value.partition("?")[0])
    if re.search(r"[\s@#{}]", value):
        raise ValueError("must be an address such as https://ping.example.com/5b1f?status=up")
    return value


def check_anon_key(value: str) -> str:
    """The key that frontends have. With any other everybody could do what the service may, so others are refused."""
    if value.startswith("sb_secret_") or _read_role(value) == "service_role":
        raise ValueError("holds a key of the service; it must be the publishable key, or the legacy anon key")
    return check_text(value)


def check_service_key(value: str) -> str:
    """A key that passes row-level security."""
    if value.startswith("sb_publishable_") or _read_role(value) in {"anon", "authenticated"}:
        raise ValueError("holds a key of frontends; it must be a secret key, or the legacy service role key")
    return check_text(value)


def check_networks(value: str) -> str:
    """Networks, separated by commas."""
    for position, entry in enumerate(value.split(","), 1):
        if not _is_network(entry.strip()):
            raise ValueError(
                f"must hold networks such as 10.0.0.0/8 or fd00:1::/32, with no address bits set behind the prefix and "
                f"no zone: entry {position} is none"
            )
    return value


def check_origins(value: str) -> str:
    """`*`, or origins separated by commas."""
    origins = [entry.strip() for entry in value.split(",")]
    if origins != ["*"] and not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be * or origins such as https://app.example.com, with nothing behind the host")
    return value


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return "%" not in text  # a zone, which no address is ever compared with


def _read_role(key: str) -> str:
    """The role a legacy key was made for; not verified, nothing is granted by it."""
    try:
        payload = key.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims.get("role", ""))
    except (IndexError, ValueError, AttributeError, binascii.Error):
        return ""
