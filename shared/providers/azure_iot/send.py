"""Commands as direct methods, whose answer is the outcome, or as desired properties, for a device that sleeps.

A payload is the method's own. A device that is not online is tried again until the command expires; so is one that did
not answer, which may have run it all the same. What was done and answered with what can't be read is not confirmed.
Messages from cloud to device are not sent: services may do so by AMQP alone.
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
    is_final_status,
    name_wrong,
    replace_nul,
    write_json,
)
from shared.providers.azure_iot.api import MARGIN_SECONDS, METHOD_SECONDS, Account, AzureApi

ANSWER_SECONDS, CONNECT_SECONDS = 20, 5
EXCERPT = 500
FORMS = (
    'A payload is the method\'s own; or {"method": "…", "payload": …, "response_timeout_seconds": 5 to 40, '
    '"connect_timeout_seconds": 0 to 40}, or {"desired": {…}}.'
)
_NAMES = frozenset(("method", "response_timeout_seconds", "connect_timeout_seconds", "desired"))


class Envelope(BaseModel):
    """A payload that says more than the method's own."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    method: str | None = Field(None, min_length=1, max_length=100)
    payload: Any = None
    response_timeout_seconds: int = Field(ANSWER_SECONDS, ge=5, le=METHOD_SECONDS, strict=True)
    connect_timeout_seconds: int = Field(CONNECT_SECONDS, ge=0, le=METHOD_SECONDS, strict=True)
    desired: dict[str, Any] | None = None


def send_command(account: Account, command: Command) -> Outcome:
    """Call the method, or write what is desired. Errors: CommandRefused for what is refused for good, OutsideErrors."""
    asked = read_envelope(command.payload)
    seconds = asked.response_timeout_seconds + asked.connect_timeout_seconds + MARGIN_SECONDS
    # Its throttles are of the whole hub, so they are not waited for in one command.
    with AzureApi(account, Deadline(seconds), waits=False) as api:
        path = api.join_path("twins", command.device)
        try:
            if asked.desired is not None:
                return _write_desired(api, path, asked.desired)
            return _call_method(api, f"{path}/methods", asked, asked.method or command.name)
        except AnswerUnreadable:
            return Outcome(confirmed=False)


def read_envelope(payload: Any) -> Envelope:
    """What is asked for; CommandRefused for what is malformed."""
    is_envelope = isinstance(payload, dict) and bool(_NAMES & payload.keys())
    try:
        asked = Envelope.model_validate(payload if is_envelope else {"payload": payload})
    except ValidationError as error:
        wrong = name_wrong(error, "payload")
        raise CommandRefused(f"Wrong in the payload: {wrong}. {FORMS}") from None
    if asked.desired is not None and asked.model_fields_set != {"desired"}:
        raise CommandRefused(f"Send either a method or desired. {FORMS}")
    if asked.response_timeout_seconds + asked.connect_timeout_seconds > METHOD_SECONDS:
        raise CommandRefused(f"Both timeouts together are {METHOD_SECONDS} seconds at most. {FORMS}")
    return asked


def _write_desired(api: AzureApi, path: str, desired: dict[str, Any]) -> Outcome:
    """Merged into what is there: twice is once. The device has it when it says so, or comes to ask."""
    reply = api.call("PATCH", path, {"properties": {"desired": desired}})
    version = Item(reply).item("properties").item("desired").count("$version")
    return Outcome(None if version is None else f"desired:{version}", result={"desired_version": version})


def _call_method(api: AzureApi, path: str, asked: Envelope, name: str) -> Outcome:
    body = {
        "methodName": name,
        "payload": asked.payload,
        "responseTimeoutInSeconds": asked.response_timeout_seconds,
        "connectTimeoutInSeconds": asked.connect_timeout_seconds,
    }
    reply = api.call("POST", path, body, again=False)
    status = Item(reply).fields.get("status")
    if not isinstance(status, int):
        # Called it is, and must not be again; only what came of it is not known.
        return Outcome(confirmed=False)
    answer = Item(reply).fields.get("payload")
    if status < HTTPStatus.BAD_REQUEST:
        result: Any = {"status": status, "payload": answer}
        return Outcome(confirmed=True, result=result)
    told = replace_nul(write_json(answer).decode()[:EXCERPT])
    words = f"The device answered {status}: {told}"
    # Without its status, which is the device's own and says nothing of the hub.
    raise CommandRefused(words) if is_final_status(status) else ProviderRefused(words)
