"""What the calls share that reach an integration's other side on behalf of an admin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Literal, TypeVar

from typing_extensions import TypedDict

from shared.integrations.codecs.sources import lend_own_codecs
from shared.integrations.records import read_sealed
from shared.integrations.scope import read_part
from shared.integrations.sealing import open_provider
from shared.provider import Capability, require
from shared.runtime.errors import (
    BadRequest,
    CommandRefused,
    Conflict,
    InvalidConfig,
    NotFound,
    NotSupported,
    OutsideError,
    Problem,
    ProviderRefused,
    VaultError,
)
from shared.runtime.exact_json import write_json
from shared.runtime.portable import LEVELS, measure_json
from shared.runtime.web.call import Call

RECORDED_BYTES = 1_000
"""What of a value written to the other side is kept in the audit log: all or, above that, its size."""

USING = (InvalidConfig, NotSupported, VaultError)
"""What a call may answer that uses an integration's stored config."""

REACHING = (
    *USING,
    *(kind for kind in OutsideError.__subclasses__() if kind is not CommandRefused),
)
"""What a call may answer that reaches the other side."""

_RELAYED: dict[int, type[Problem]] = {
    HTTPStatus.BAD_REQUEST: BadRequest,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
}


Mixin = TypeVar("Mixin", bound=Capability)


class _ExternalId(TypedDict):
    external_id: str


def reach_provider(call: Call, mixin: type[Mixin]) -> Mixin:
    """The provider of the integration in the path, with its credentials: Forbidden below admin, NotSupported without
    the capability."""
    provider = open_provider(read_sealed(call))
    lend_own_codecs(provider, call.database)
    return require(provider, mixin)


def find_external_id(call: Call, device_id: str) -> str:
    """What the other side calls one of the integration's devices; NotFound where it has no such device."""
    missing = "This integration has no such device."
    return read_part(call, _ExternalId, "devices", device_id, missing)["external_id"]


def record_write(
    call: Call, what: str, action: Literal["insert", "update", "delete"], values: Mapping[str, object]
) -> None:
    """Write down in the audit log what the caller is about to write at the other side; what is None is left out.

    Before it is sent, so that nothing is written unrecorded. Of a large value, or a deep one, only the size is kept.
    """
    call.database.call(
        "record_remote_write",
        p_integration_id=call.integration_id,
        p_what=what,
        p_action=action,
        p_values={name: _shorten(value) for name, value in values.items() if value is not None},
    )


def _shorten(value: object) -> object:
    size, levels = measure_json(value, RECORDED_BYTES)
    return value if size <= RECORDED_BYTES and levels < LEVELS else {"bytes": len(write_json(value))}


@contextmanager
def relay_refusals() -> Iterator[None]:
    """What the other side says of the caller's own words (400, 404, 409) is answered as such, in its words."""
    try:
        yield
    except ProviderRefused as refusal:
        problem = _RELAYED.get(refusal.answered)
        if problem is None:
            raise
        raise problem(refusal.detail) from None
