"""Who takes pushed requests: the receiver of an integration's row, or a decoy, whose secret no request has.

What keeps a row from being one is told to its admins, as is that it is one again. To senders that never try again what
was refused it is 503 where they can prove who they are; whoever can't learns nothing of it.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus

from pydantic import PrivateAttr

from shared.integrations.sealing import SealedIntegration, identify_row, open_provider, open_secrets
from shared.provider import (
    CallbackReceiver,
    Identity,
    Message,
    PushedRequest,
    Receiver,
    find_provider,
    make_provider,
    merge_config,
    require,
)
from shared.runtime.database.client import as_service
from shared.runtime.errors import InvalidConfig, Problem, Unauthenticated, VaultError
from shared.runtime.log import get_log
from shared.runtime.vault.ring import SealContext, Vault, load_vault

REFUSED = "Pushed messages are refused, because the config can't be used: "
FAILED = "receive.failed"
RECOVERED = "receive.recovered"
"""The kinds of activity that begin and end it: at the end the database takes the error away with it."""

Pushed = Receiver | CallbackReceiver
"""Whoever is sent something from outside."""

_DECOY = SealContext("", "", "")
_NOBODY = Identity("", "", "")


class ReceiverRow(SealedIntegration):
    """What `receiver_configs` answers of each integration that is active."""

    error_message: str | None
    wait_seconds: int
    """For how long it has used up its requests a minute; 0 where it has not."""


class Decoy(Receiver):
    """Stands for a receiver that is not there; nothing that is sent to it can be proven."""

    def parse(self, request: PushedRequest) -> list[Message]:
        """Never reached."""
        raise Unauthenticated(f"Nobody is at {request.path}.")


class Unusable(Problem):
    """The config can't be used, and its admins are told why; nothing was stored. Send it again later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "60"})


class StandIn(Receiver):
    """Stands for a receiver whose config can't be used, of which no more is left than how its senders prove it."""

    _left: Receiver = PrivateAttr()

    def verify(self, request: PushedRequest) -> None:
        """Unauthenticated as ever without the proof, else Unusable."""
        self._left.verify(request)
        raise Unusable

    def parse(self, request: PushedRequest) -> list[Message]:  # noqa: ARG002 - as of Receiver
        """Never reached."""
        raise Unusable


def open_receiver(row: ReceiverRow | None, integration_type: str | None) -> Pushed:
    """The provider of the row, or the decoy, whose secret no request has."""
    if row is not None:
        try:
            if takes_pushes(row["integration_type"], integration_type):
                provider = open_provider(row)
                return provider if isinstance(provider, CallbackReceiver) else require(provider, Receiver)
        except (VaultError, InvalidConfig) as problem:
            _tell_admin(row, problem)
            if stand_in := _open_stand_in(row, problem):
                return stand_in
    vault = load_vault()
    secrets = vault.open(_seal_decoy(vault), _DECOY)
    return require(make_provider(Decoy, secrets, _NOBODY), Receiver)


def _open_stand_in(row: ReceiverRow, problem: VaultError | InvalidConfig) -> StandIn | None:
    """None where the proof can't be checked either, and for senders that try again what is refused."""
    kind = find_provider(row["integration_type"])
    if not issubclass(kind, Receiver) or not kind.sole_proof:
        return None
    wrong = {error.field.partition(".")[0] for error in problem.errors}
    try:
        config = merge_config(row["settings"], open_secrets(row, "kept"))
        rest = {name: config[name] for name in kind.sole_proof - wrong if name in config}
        left = require(make_provider(kind, rest, identify_row(row)), Receiver)
    except (VaultError, InvalidConfig):
        return None
    stand_in = StandIn()
    stand_in._left = left  # noqa: SLF001 - set once, here, for the class this module defines
    return stand_in


def takes_pushes(of_row: str, wanted: str | None) -> bool:
    """Whether integrations of that type are pushed to; a type that nobody knows is of a row written past the API."""
    with suppress(InvalidConfig):
        return wanted in {None, of_row} and issubclass(find_provider(of_row), Receiver | CallbackReceiver)
    return False


@lru_cache(maxsize=1)
def _seal_decoy(vault: Vault) -> str:
    return vault.seal({"webhook_secret": randomness.token_urlsafe(32)}, _DECOY)


def _tell_admin(row: ReceiverRow, problem: VaultError | InvalidConfig) -> None:
    why = problem.explain("") or problem.detail
    message = f"{REFUSED}{why}"
    get_log().warning("receiver not usable", integration=row["id"], code=problem.code)
    if row["error_message"] != message:
        _record(row, FAILED, {"level": "error", "message": message, "alert": "config.invalid"})


def tell_recovered(row: ReceiverRow) -> None:
    """End what `open_receiver` told, now that a request is proven. What can't be told comes next time."""
    if not (row["error_message"] or "").startswith(REFUSED):
        return
    _record(
        row,
        RECOVERED,
        {"level": "info", "message": "Pushed messages are taken again.", "alert": "config.invalid"},
    )


def _record(row: ReceiverRow, kind: str, note: Mapping[str, str]) -> None:
    try:
        as_service().call("record_activity", p_integration_id=row["id"], p_kind=kind, p_notes=[note])
    except Problem as problem:
        told = {"integration": row["id"], "kind": kind, "code": problem.code, "detail": problem.detail}
        get_log().warning("what a receiver does could not be told", **told)
