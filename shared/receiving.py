"""What `/receive` and the receivers by name do: prove the request, then store what it says, in two database calls.

Each call serves all requests that came while the one before was under way. Whoever can't prove a request learns
nothing: an id that is unknown, inactive, of a type that is not pushed to or with a config that does not open takes the
same way, with a secret nobody knows, to the same 401.
"""

from __future__ import annotations

import secrets as randomness
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from shared.batching import Batcher
from shared.database import as_service
from shared.errors import (
    InvalidConfig,
    NotFound,
    RateLimited,
    Unauthenticated,
    VaultError,
)
from shared.http import Call, Reply
from shared.log import bind_log, get_log
from shared.messages import Identity, Message
from shared.posts import PACE_SECONDS, Post, call_patiently, store_post
from shared.provider import Provider, PushedRequest, make_provider
from shared.providers import find_provider
from shared.receiver import Receiver
from shared.sealing import open_provider
from shared.settings import load_settings
from shared.vault import SealContext, load_vault

REFUSAL = "The address or the proof that goes with it is wrong; nothing was stored. See docs/api.md, Pushed messages."
_DECOY = SealContext("", "", "")
_NOBODY = Identity("", "", "")

Row = Mapping[str, Any]


def receive_messages(call: Call, integration_type: str | None = None) -> Reply:
    """Store what the request of a POST to `/{id}` says; only for integrations of that type, where one is given.

    Errors: TooLarge, Unauthenticated, RateLimited, Unavailable; nothing is stored then.
    """
    body = call.body
    row = _find_row(call.parameters["id"])
    request = PushedRequest(
        {name.lower(): value for name, value in call.request.headers.items()}, body, call.request.path
    )
    messages = _read_messages(row, integration_type, request)
    if row is None:
        raise Unauthenticated(REFUSAL)
    if row["wait_seconds"]:
        raise _refuse_more(row["wait_seconds"])
    try:
        return Reply(store_post(Post(row["id"], messages, len(body))), HTTPStatus.ACCEPTED)
    except NotFound:
        raise Unauthenticated(REFUSAL) from None


def _find_row(integration_id: str) -> Row | None:
    try:
        return _rows.submit(str(uuid.UUID(integration_id)))
    except ValueError:
        return None


def _read_rows(integration_ids: Sequence[str]) -> list[Row | None]:
    arguments = {
        "p_integration_ids": sorted(set(integration_ids)),
        "p_limit": load_settings().rate_limit_receive,
    }
    rows = call_patiently("receiver_configs", arguments)
    known = {row["id"]: row for row in rows}
    return [known.get(integration_id) for integration_id in integration_ids]


def _read_messages(row: Row | None, integration_type: str | None, request: PushedRequest) -> list[Message]:
    provider = _open_receiver(row, integration_type)
    try:
        return provider.receive(request)
    except Unauthenticated as refusal:
        get_log().info("refused", reason=refusal.detail)
        raise Unauthenticated(REFUSAL) from None


def _open_receiver(row: Row | None, integration_type: str | None) -> Provider:
    """The provider of the row, or the decoy, whose secret no request has."""
    if row is not None:
        bind_log(integration=row["id"], organization=row["organization_id"])
        try:
            if _takes_pushes(row["integration_type"], integration_type):
                return open_provider(row)
        except (VaultError, InvalidConfig) as problem:
            _tell_admin(row, problem)
    sealed = load_vault().open(_seal_decoy(), _DECOY)
    return make_provider(Receiver, sealed, _NOBODY)


def _takes_pushes(of_row: str, wanted: str | None) -> bool:
    return wanted in {None, of_row} and "parse" in find_provider(of_row).capabilities()


@cache
def _seal_decoy() -> str:
    return load_vault().seal({"webhook_secret": randomness.token_urlsafe(32)}, _DECOY)


def _tell_admin(row: Row, problem: VaultError | InvalidConfig) -> None:
    wrong = "; ".join(f"{error.field}: {error.message}" for error in problem.errors) or problem.detail
    message = f"Pushed messages are refused, because the config can't be used: {wrong}"
    get_log().warning("receiver not usable", code=problem.code)
    if row["error_message"] != message:
        note = {"level": "error", "message": message}
        as_service().call(
            "record_activity", p_integration_id=row["id"], p_kind="receive.failed", p_notes=[note]
        )


def _refuse_more(seconds: int) -> RateLimited:
    limit = load_settings().rate_limit_receive
    return RateLimited(
        f"More than {limit} requests a minute to this integration; try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


_rows: Batcher[str, Row | None] = Batcher(_read_rows, 1_000, PACE_SECONDS)
