"""AWS AppSync's real-time endpoint: the older protocol, with who asks in the address and in each subscription.

Its address is made of the API's, and the headers that prove who asks go into it as base64 of JSON, with the API's host.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.provider import write_json

API, REALTIME = ".appsync-api.", ".appsync-realtime-api."


def make_url(endpoint: str, ws_endpoint: str | None, headers: Mapping[str, str]) -> str:
    """The address to connect to; `headers` are those that prove who asks."""
    base = ws_endpoint or endpoint.replace(API, REALTIME, 1)
    proof = base64.b64encode(write_json(make_authorization(endpoint, headers))).decode()
    return f"{base}?header={proof.replace('+', '%2B').replace('/', '%2F')}&payload=e30="


def make_authorization(endpoint: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What proves who asks."""
    return {"host": urlsplit(endpoint).hostname or "", **headers}


def wrap_operation(endpoint: str, operation: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """The payload of a subscription."""
    return {
        "data": write_json(operation).decode(),
        "extensions": {"authorization": make_authorization(endpoint, headers)},
    }
