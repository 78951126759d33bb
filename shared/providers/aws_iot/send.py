"""Commands: a message to the thing's own connection, which its device confirms, or one published to a topic.

A thing connects under its own name as client id. `SendDirectMessage` waits for the device's PUBACK: 404 where it is not
connected, 504 where it does not confirm in time. An account that has no such call yet refuses it in another way. What
was taken and answered with what can't be read is not sent again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from shared.provider import (
    AnswerUnreadable,
    Command,
    CredentialsRefused,
    Deadline,
    Item,
    Outcome,
    ProviderRefused,
    load_client,
)
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.api import AwsApi, open_api

if TYPE_CHECKING:
    from shared.providers.aws_iot import AwsIot

CALL_SECONDS = 15.0
"""For all but waiting for the device; with that less than the lease of a command."""

NOT_CONNECTED = "ResourceNotFoundException"
"""What is said of a device that is not connected; 404 with another name is a call that AWS does not know."""

DENIED = frozenset(("AccessDeniedException", "ForbiddenException", "UnauthorizedException"))
"""What is said to a key that AWS knows."""

UNKNOWN = frozenset(
    (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.BAD_REQUEST)
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes where, and in which way."""

    topic: str
    body: bytes
    way: Literal["auto", "direct", "publish"]
    timeout_seconds: int


def send_command(aws: AwsIot, command: Command, topic: str) -> Outcome:
    """Confirmed where the device itself has it; else AWS has taken it, and the reference is the topic.

    Without a key or a role it is published by MQTT, with the certificate that messages are read with.
    Errors: ProviderRefused, which passes where the device is only away, other OutsideErrors.
    """
    body = aws.encode_command(command, topic)
    if aws.has_account or not aws.client_certificate:
        delivery = Delivery(topic, body, aws.command_delivery, aws.command_timeout_seconds)
        return _send_signed(aws.account, command, delivery)
    from shared.providers.aws_iot.session import explain_refusals, make_plan

    plan = make_plan(aws, Deadline(CALL_SECONDS))
    with explain_refusals(aws, plan):
        load_client().publish_once(plan, topic, body)
    return Outcome(topic)


def _send_signed(account: Account, command: Command, delivery: Delivery) -> Outcome:
    # What is too much for AWS is for all of the integration, so it is not waited for in one command; what was taken and
    # answered with what can't be read may be with the device, or not.
    deadline = Deadline(CALL_SECONDS + delivery.timeout_seconds)
    with open_api(account, "data", deadline, waits=False) as api, suppress(AnswerUnreadable):
        if delivery.way != "publish" and (outcome := _send_directly(api, command, delivery)):
            return outcome
        api.run("iot:Publish", delivery.topic, body=delivery.body, query={"qos": 1}, again=False)
    return Outcome(delivery.topic)


def _send_directly(api: AwsApi, command: Command, delivery: Delivery) -> Outcome | None:
    """None where the account has no such call, and another way may be taken."""
    query = {"topic": delivery.topic, "confirmation": "true", "timeout": delivery.timeout_seconds}
    try:
        reply = api.run("iot:SendDirectMessage", command.device, body=delivery.body, query=query, again=False)
    except ProviderRefused as refusal:
        if refusal.answered == HTTPStatus.NOT_FOUND and api.error == NOT_CONNECTED:
            # Not final: it may be connected again before the command expires.
            raise ProviderRefused(
                "The device is not connected.", answered=HTTPStatus.GATEWAY_TIMEOUT
            ) from None
        if refusal.answered == HTTPStatus.GATEWAY_TIMEOUT:
            words = f"The device has not confirmed it within {delivery.timeout_seconds} s."
            raise ProviderRefused(words, answered=HTTPStatus.GATEWAY_TIMEOUT) from None
        if delivery.way == "auto" and _is_unknown(refusal, api.error):
            return None
        raise
    except CredentialsRefused:
        # The right to publish may be there without that to send directly.
        if delivery.way == "auto" and api.error in DENIED:
            return None
        raise
    return Outcome(Item(reply).text("traceId") or delivery.topic, confirmed=True)


def _is_unknown(refusal: ProviderRefused, error: str) -> bool:
    return refusal.answered in UNKNOWN and error in {
        "",
        "UnknownOperationException",
        "MethodNotAllowedException",
    }
