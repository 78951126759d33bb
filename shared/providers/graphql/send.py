"""Commands as a mutation, whose variables are filled in with the command."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from shared.provider import (
    Command,
    CommandRefused,
    Deadline,
    Expressions,
    Found,
    Outcome,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    TooLarge,
    Unavailable,
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
UNREAD = "It was sent, and whether the API took it can't be told from its answer; it is not sent again."
_NOT_BEGUN = frozenset((HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.SERVICE_UNAVAILABLE))
"""Of 5xx those by which a server says that nothing was done. With all others, those of gateways too (520, 524), it or
a gateway before it does not know itself what came of it."""


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
        except (TimedOut, ProtocolFailed, ProviderRefused, Unavailable) as error:
            raise _judge(error, may_repeat=graphql.may_repeat) from None
    return _read_outcome(graphql, result.data, result.errors)


def _judge(error: OutsideError | Unavailable, *, may_repeat: bool) -> OutsideError | Unavailable:
    """`error`, which is final where the mutation may have been carried out and must not be twice.

    Unavailable is among them: memory is waited for where the answer comes.
    """
    is_known = isinstance(error, ProviderRefused) and not _is_unanswered(error.answered)
    return error if may_repeat or is_known else CommandRefused(f"{error.detail} {UNKNOWN}")


def _is_unanswered(status: int) -> bool:
    is_failure = status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NOT_BEGUN
    return is_failure or status == HTTPStatus.REQUEST_TIMEOUT


def _read_outcome(graphql: CommandFields, data: Any, errors: str | None) -> Outcome:
    found = _find(graphql, data)
    is_whole = graphql.mutation_result is None or found.error is not None
    result = data if is_whole else found.values.get("result")
    if graphql.mutation_ok is None:
        return Outcome(result=result)
    if found.error:
        raise CommandRefused(f"{UNREAD} {graphql.mask_words(found.error)}")
    if found.values.get("ok") is not True:
        answer = errors or write_json(result).decode()[:EXCERPT]
        raise CommandRefused(f"The API did not take it: {graphql.mask_words(answer)}")
    return Outcome(confirmed=True, result=result)


def _find(graphql: CommandFields, data: Any) -> Found:
    """What the answer says. The mutation was carried out: that its answer can't be read does not send it again."""
    given = {"result": graphql.mutation_result, "ok": graphql.mutation_ok}
    expressions = {name: text for name, text in given.items() if text}
    try:
        (found,) = Expressions(graphql.identity.organization_id, expressions).find([data])
    except Unavailable as busy:
        if graphql.may_repeat:
            raise
        return Found({}, busy.detail)
    return found
