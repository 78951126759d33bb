"""Which pushed requests bring the token of a device, and whose it is: in one call for all that come together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def find_owners(requests: Sequence[tuple[str, PushedRequest]]) -> Owners:
    """Of requests to integrations those with a valid token; no call where none brings one. Errors: Unavailable."""
    brought = {
        (integration_id, hash_token(token))
        for integration_id, request in requests
        if (token := find_token(request.headers))
    }
    if not brought:
        return {}
    wanted = [{"integration_id": name, "token_hash": token_hash} for name, token_hash in sorted(brought)]
    call = partial(as_service().call, "find_device_tokens", p_tokens=wanted)
    rows: list[TokenRow] = keep_trying(call, Deadline(PATIENCE_SECONDS))
    return {(row["integration_id"], row["token_hash"]): row["external_id"] for row in rows}


def find_owner(owners: Owners, integration_id: str, request: PushedRequest) -> str | None:
    """The device whose token the request brings."""
    token = find_token(request.headers) if owners else None
    return owners.get((integration_id, hash_token(token))) if token else None
