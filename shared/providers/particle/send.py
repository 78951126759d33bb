"""Commands as functions that are called on the device, whose answer is the outcome, or as events that it may hear.

A payload is the function's argument, as text or as compact JSON. 404 says that the device is unknown or not connected,
408 that it was not reached in time: both are tried again until the command expires. After 408 it may have run all the
same. What is answered without a return_value, or with no JSON, was called, and is not confirmed.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.provider import (
    AnswerUnreadable,
    Command,
    CommandRefused,
    Deadline,
    Item,
    Outcome,
    ProviderRefused,
    name_wrong,
    write_json,
)
from shared.providers.particle.api import Account, ParticleApi

CALL_SECONDS = 45.0
"""Shorter than the lease of a command, so that nobody else sends it meanwhile."""

ARGUMENT_BYTES = 1_024
"""Of the newest devices; others take less, and say so."""

AWAY = {
    HTTPStatus.NOT_FOUND: "The device is not connected, or Particle does not know it",
    HTTPStatus.REQUEST_TIMEOUT: "The device did not answer in time; it may have run all the same",
}
FORMS = (
    'A payload is the argument of the function that the command names; or {"function": "…", "arg": …}, or '
    '{"publish": "<event>", "data": …, "ttl": seconds}.'
)


class Envelope(BaseModel):
    """A payload that says more than the argument."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    function: str | None = Field(None, min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    arg: Any = None
    publish: str | None = Field(None, min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")
    data: Any = None
    ttl: int = Field(60, ge=0, le=16_777_215, strict=True)


def send_command(account: Account, command: Command) -> Outcome:
    """Call the function, or publish the event. Errors: CommandRefused for what is refused for good, OutsideErrors."""
    asked = read_envelope(command.payload)
    # Rate limits are of an address that many share, so they are not waited for in one command.
    with ParticleApi(account, Deadline(CALL_SECONDS), waits=False) as api:
        try:
            return _call_function(api, command, asked) if asked.publish is None else _publish(api, asked)
        except AnswerUnreadable:
            return Outcome(confirmed=False)


def read_envelope(payload: Any) -> Envelope:
    """What is asked for; CommandRefused for what is malformed."""
    is_envelope = isinstance(payload, dict) and bool({"function", "arg", "publish"} & payload.keys())
    try:
        asked = Envelope.model_validate(payload if is_envelope else {"arg": payload})
    except ValidationError as error:
        wrong = name_wrong(error, "payload")
        raise CommandRefused(f"Wrong in the payload: {wrong}. {FORMS}") from None
    if asked.publish is not None and (asked.function is not None or "arg" in asked.model_fields_set):
        raise CommandRefused(f"Send either function and arg, or publish and data. {FORMS}")
    return asked


def _publish(api: ParticleApi, asked: Envelope) -> Outcome:
    """To all of the product's devices that subscribe to it: nobody says who has heard it."""
    body = {"name": asked.publish, "data": _write_text(asked.data), "private": True, "ttl": asked.ttl}
    path = api.in_scope("events") if api.account.product_id else api.in_scope("devices", "events")
    api.call("POST", path, body, again=False)
    return Outcome(confirmed=False)


def _call_function(api: ParticleApi, command: Command, asked: Envelope) -> Outcome:
    path = api.in_scope("devices", command.device, asked.function or command.name)
    try:
        reply = api.call("POST", path, {"arg": _write_text(asked.arg)}, again=False)
    except ProviderRefused as refusal:
        if refusal.answered in AWAY:
            words = f"{AWAY[HTTPStatus(refusal.answered)]}: {refusal.detail}"
            raise ProviderRefused(words, answered=HTTPStatus.REQUEST_TIMEOUT) from None
        raise
    item = Item(reply)
    if item.fields.get("connected") is False:
        raise ProviderRefused("The device is not connected.", answered=HTTPStatus.REQUEST_TIMEOUT)
    value = item.fields.get("return_value")
    if not isinstance(value, int | float | str):
        # Called it is, and must not be again; only what came of it is not known.
        return Outcome(confirmed=False)
    return Outcome(confirmed=True, result={"return_value": value})


def _write_text(value: Any) -> str:
    """A text as it is, nothing as an empty one, anything else as compact JSON."""
    text = "" if value in (None, {}) else value if isinstance(value, str) else write_json(value).decode()
    if len(text.encode()) > ARGUMENT_BYTES:
        raise CommandRefused(f"The argument has at most {ARGUMENT_BYTES} bytes.")
    return text
