"""Which pushed requests bring the token of a device, and whose it is: in one call for all that come together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TypedDict

from shared.messages.receive_store import PATIENCE_SECONDS
from shared.messages.store import keep_trying
from shared.provider import PushedRequest, find_token, hash_token
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline

Owners = Mapping[tuple[str, str], str]
"""The devices, by integration and the hash of the token."""


class TokenRow(TypedDict):
    """What `find_device_tokens` answers of a token that is valid."""

    integration_id: str
    token_hash: str
    external_id: str


def read_token(request: PushedRequest) -> str | None:
    """The hash of the token that a request brings, if any."""
    token = find_token(request.headers)
    return hash_token(token) if token else None


def find_owners(brought: Iterable[tuple[str, str | None]]) -> Owners:
    """Of (integration, hash) pairs those that are valid; no call where there is none. Errors: Unavailable."""
    wanted = [
        {"integration_id": integration_id, "token_hash": token_hash}
        for integration_id, token_hash in {*brought}
        if token_hash
    ]
    if not wanted:
        return {}
    call = partial(as_service().call, "find_device_tokens", p_tokens=wanted)
    rows: list[TokenRow] = keep_trying(call, Deadline(PATIENCE_SECONDS))
    return {(row["integration_id"], row["token_hash"]): row["external_id"] for row in rows}
