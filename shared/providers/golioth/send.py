"""Commands as Golioth's remote procedure calls: the name is the method, the payload its parameters.

The reply is `{"statusCode": 0, "detail": …}`, with the codes of gRPC. Golioth's own `timeout` is left out, for its unit
is nowhere told: our deadline ends the call. What was answered with what can't be read, or without a code, was called,
and is not confirmed.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.provider import (
    AnswerUnreadable,
    Command,
    CommandRefused,
    Deadline,
    Outcome,
    ProviderRefused,
    name_wrong,
    replace_nul,
    write_json,
)
from shared.providers.golioth.api import Account, GoliothApi

ANSWER_SECONDS = 15.0
LONGEST_SECONDS = 45.0
"""Shorter than the lease of a command, so that nobody else sends it meanwhile."""

STATUS_NAMES = (
    *("ok", "canceled", "unknown", "invalid argument", "deadline exceeded", "not found", "already exists"),
    *("permission denied", "resource exhausted", "failed precondition", "aborted", "out of range"),
    *("unimplemented", "internal", "unavailable", "data loss", "unauthenticated"),
)
"""By gRPC's code, from 0."""

PASSING_CODES = frozenset((4, 14))
"""Deadline exceeded and unavailable: the device is away or slow just now."""

EXCERPT = 500


class Arguments(BaseModel):
    """The payload of a command, where it is an object."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    params: list[Any] = Field(default_factory=list)
    timeout_seconds: float = Field(ANSWER_SECONDS, ge=1, le=LONGEST_SECONDS, strict=True)
    """How long the device may take to answer."""


def call_device(account: Account, command: Command) -> Outcome:
    """Call the method on the device; confirmed, with what it answered.

    Errors: CommandRefused for what the device or we refuse for good, other OutsideErrors.
    """
    arguments = read_arguments(command.payload)
    with GoliothApi(account, Deadline(arguments.timeout_seconds)) as api:
        path = api.in_project("devices", command.device, "rpc")
        body = {"method": command.name, "params": arguments.params}
        try:
            return read_outcome(api.call("POST", path, body, again=False))
        except AnswerUnreadable:
            return Outcome(confirmed=False)


def read_arguments(payload: Any) -> Arguments:
    """A list is the parameters, `{}` says that there are none; CommandRefused for what is neither nor Arguments."""
    try:
        return Arguments.model_validate({"params": payload} if isinstance(payload, list) else payload)
    except ValidationError as error:
        wrong = name_wrong(error, "payload")
        raise CommandRefused(
            f'Wrong in the payload: {wrong}. Golioth takes a list of parameters, or {{"params": […], '
            f'"timeout_seconds": {ANSWER_SECONDS:g}}} with at most {LONGEST_SECONDS:g} seconds.'
        ) from None


def read_outcome(reply: Any) -> Outcome:
    """What the device answered. CommandRefused for its own refusal, ProviderRefused where it is only away."""
    code = reply.get("statusCode") if isinstance(reply, dict) else None
    if not isinstance(code, int):
        # Called it is, and must not be again; only what came of it is not known.
        return Outcome(confirmed=False)
    detail = reply.get("detail")
    if code == 0:
        return Outcome(confirmed=True, result=detail)
    words = f"The device answered {describe_code(code)}{_quote(detail)}."
    raise ProviderRefused(words) if code in PASSING_CODES else CommandRefused(words)


def describe_code(code: int) -> str:
    """`not found (5)`."""
    return f"{STATUS_NAMES[code] if 0 <= code < len(STATUS_NAMES) else 'an unknown status'} ({code})"


def _quote(detail: Any) -> str:
    if detail in (None, "", {}, []):
        return ""
    text = detail if isinstance(detail, str) else write_json(detail).decode()
    return ": " + replace_nul(text[:EXCERPT])
