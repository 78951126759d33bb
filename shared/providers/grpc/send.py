"""Commands as calls of one method: its request is the template, filled in; its answer is the result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from shared.provider import (
    Command,
    CommandRefused,
    ConnectionRefused,
    Deadline,
    Outcome,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    find_path,
)
from shared.providers.grpc.descriptors import Method
from shared.providers.grpc.failures import is_hopeless
from shared.providers.grpc.requests import make_command
from shared.providers.grpc.service import Service, forget_schemas, open_service
from shared.providers.grpc.values import BodyReader

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

CONNECT_SECONDS = 10.0
UNKNOWN = (
    "Whether the command was done is not known, and without command_idempotent it is not sent again: {words}"
)
_UNSURE = 500
"""What UNKNOWN, INTERNAL, CANCELLED and DATA_LOSS come to: the service may have done it."""


def tell_service(grpc: Grpc, command: Command) -> Outcome:
    """Call the method once. Errors: CommandRefused where it is final, other OutsideErrors."""
    plan = grpc.tell_plan
    deadline = Deadline(CONNECT_SECONDS + plan.seconds)
    with open_service(grpc.service_plan, deadline, [plan.method], may_remember=True) as service:
        method = service.find_method("command_method", plan.method)
        if method.is_streaming:
            raise CommandRefused(
                f"{plan.method} answers with a stream; a command needs a method that answers once."
            )
        values = {
            "id": command.id,
            "device": command.device,
            "name": command.name,
            "payload": command.payload,
        }
        body = make_command(method, plan.request, values)
        return _call(grpc, service, method, body, command)


def _call(grpc: Grpc, service: Service, method: Method, body: bytes, command: Command) -> Outcome:
    plan = grpc.tell_plan
    key = (("idempotency-key", command.id),)
    try:
        reply = service.channel.call(method.path, body, plan.seconds, key)
    except OutsideError as problem:
        raise _judge(problem, is_idempotent=plan.is_idempotent) from None
    try:
        document = BodyReader(service.schema.pool).read(method.reply, reply)
    except ValueError as error:
        # It has been done; what came back is only not known.
        forget_schemas()
        return Outcome(
            confirmed=plan.confirmed_path is None, result={"unread": f"The answer can't be read: {error}."}
        )
    confirmed = plan.confirmed_path is None or is_confirmed(find_path(document, plan.confirmed_path))
    return Outcome(confirmed=confirmed, result=document)


def is_confirmed(value: Any) -> bool:
    """Whether what the answer says is that the device has done it: neither nothing, false, 0 nor empty."""
    return bool(value) and not (isinstance(value, float) and math.isnan(value))


def _judge(problem: OutsideError, *, is_idempotent: bool) -> OutsideError:
    """Whether it may be sent again."""
    if is_hopeless(problem):
        return CommandRefused(problem.detail)
    # ProtocolFailed is an answer that is too large to be taken.
    is_unsure = isinstance(problem, TimedOut | ConnectionRefused | ProtocolFailed) or (
        isinstance(problem, ProviderRefused) and problem.answered == _UNSURE
    )
    if is_unsure and not is_idempotent:
        return CommandRefused(UNKNOWN.format(words=problem.detail))
    return problem
