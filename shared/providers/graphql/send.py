"""Commands as a mutation, whose variables are filled in with the command."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.provider import (
    Command,
    CommandRefused,
    Deadline,
    Expressions,
    Outcome,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    TooLarge,
    write_json,
)
from shared.providers.graphql.api import GraphqlApi

if TYPE_CHECKING:
    from shared.providers.graphql.command_fields import CommandFields

ANSWER_SECONDS = 25.0
"""Shorter than the lease of a command, so that nobody else sends it meanwhile."""

EXCERPT = 500
UNKNOWN = (
    "Whether it was carried out is not known, and it was not sent again, for the mutation has nothing to know it by: "
    "give it {{command_id}} among mutation_variables, and let the API do the same id once."
)
_UNANSWERED = frozenset(
    (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
)
"""By which a server or a gateway says that it does not know itself what came of it."""


def send_command(graphql: CommandFields, command: Command) -> Outcome:
    """Run the mutation; confirmed where `mutation_ok` says so. Errors: CommandRefused, OutsideErrors."""
    if graphql.mutation is None:
        raise CommandRefused("This integration sends no commands: set mutation.")
    values = {
        "device": command.device,
        "name": command.name,
        "payload": command.payload,
        "command_id": command.id,
    }
    try:
        variables = graphql.fill_mutation(values)
    except TooLarge as large:
        raise CommandRefused(large.detail) from None
    with GraphqlApi(graphql.access, Deadline(ANSWER_SECONDS), waits=False) as api:
        try:
            result = api.run(graphql.mutation, variables, again=graphql.may_repeat)
        except (TimedOut, ProtocolFailed, ProviderRefused) as error:
            raise _judge(error, may_repeat=graphql.may_repeat) from None
    return _read_outcome(graphql, result.data, result.errors)


def _judge(error: OutsideError, *, may_repeat: bool) -> OutsideError:
    """`error`, which is final where the mutation may have been carried out and must not be twice."""
    is_known = isinstance(error, ProviderRefused) and error.answered not in _UNANSWERED
    return error if may_repeat or is_known else CommandRefused(f"{error.detail} {UNKNOWN}")


def _read_outcome(graphql: CommandFields, data: Any, errors: str | None) -> Outcome:
    given = {"result": graphql.mutation_result, "ok": graphql.mutation_ok}
    expressions = {name: text for name, text in given.items() if text}
    (found,) = Expressions(graphql.identity.organization_id, expressions).find([data])
    result = data if graphql.mutation_result is None else found.values.get("result")
    if graphql.mutation_ok is None:
        return Outcome(result=result)
    if found.values.get("ok") is not True:
        answer = errors or write_json(result).decode()[:EXCERPT]
        raise CommandRefused(f"The API did not take it: {graphql.mask_words(answer)}")
    return Outcome(confirmed=True, result=result)
