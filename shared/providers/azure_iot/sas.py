"""Shared access signatures (SAS) of a hub's policy, and the connection string that has its key.

Source: Microsoft's documentation and its SDK for Python, whose vectors the tests have.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from urllib.parse import quote

PARTS = {
    "hostname": "host_name",
    "sharedaccesskeyname": "policy_name",
    "sharedaccesskey": "shared_access_key",
}
"""What a connection string says, and what fields of ours that is."""

FORM = "HostName=<hub>.azure-devices.net;SharedAccessKeyName=<policy>;SharedAccessKey=<key>"


def sign_resource(resource: str, key: str, expiry: int, policy: str) -> str:
    """What `Authorization` says for `resource` (a host, and what is below it) until `expiry`, in seconds since 1970."""
    address = quote(resource, safe="")
    digest = hmac.digest(base64.b64decode(key), f"{address}\n{expiry}".encode(), "sha256")
    signature = quote(base64.b64encode(digest).decode(), safe="")
    return f"SharedAccessSignature sr={address}&sig={signature}&se={expiry}&skn={quote(policy, safe='')}"


def is_connection_string(text: str) -> bool:
    """Whether it is one, or is meant to be."""
    return ";" in text or text.lower().startswith("hostname=")


def read_connection_string(text: str) -> dict[str, str]:
    """Our fields that a connection string fills in; ValueError, without what it says, where it is no policy's."""
    pairs = [part.partition("=") for part in text.strip().strip(";").split(";")]
    told = {
        PARTS[name.strip().lower()]: value.strip()
        for name, _, value in pairs
        if name.strip().lower() in PARTS
    }
    if set(told) != set(PARTS.values()) or not all(told.values()):
        raise ValueError(f"expected the connection string of one of the hub's policies: {FORM}")
    return told


def check_key(key: str) -> str:
    """`key` where it is one; ValueError otherwise."""
    try:
        is_key = bool(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        is_key = False
    if not is_key:
        raise ValueError(
            "expected the key of a policy as the portal shows it (base64), or its whole connection string"
        )
    return key
