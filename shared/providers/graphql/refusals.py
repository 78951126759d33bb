"""What GraphQL servers refuse, in words: `errors` of a result, and the codes by which they close a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

from shared.provider import (
    CredentialsRefused,
    Item,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    StreamEnded,
    TimedOut,
)

SHOWN, WORDS_LIMIT = 3, 300

_CREDENTIALS = frozenset(
    (
        *("UNAUTHENTICATED", "FORBIDDEN", "UNAUTHORIZED", "AUTH_NOT_AUTHENTICATED", "AUTH_NOT_AUTHORIZED"),
        *("ACCESS-DENIED", "INVALID-JWT", "INVALID-HEADERS", "JWT-INVALID-CLAIMS"),
        *("UNAUTHORIZEDEXCEPTION", "ACCESSDENIEDEXCEPTION"),
    )
)
_WRONG = frozenset(
    (
        *("GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_USER_INPUT", "BAD_REQUEST"),
        *("OPERATION_RESOLUTION_FAILURE", "PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_SUPPORTED"),
        *("VALIDATION-FAILED", "PARSE-FAILED", "CONSTRAINT-VIOLATION", "VALIDATIONERROR"),
    )
)
_LIMITED = frozenset(("RATE_LIMITED", "RATELIMITED", "TOO_MANY_REQUESTS", "THROTTLED"))

_CLOSED = {
    4400: "could not read what was sent to it",
    4401: "did not accept the credentials, or wants them in init_payload",
    4403: "refused the credentials",
    4406: "speaks another subprotocol",
    4408: "waited too long for the connection to begin",
    4409: "has a subscription of this id already",
    4429: "was asked to begin more than once",
    4499: "is restarting",
    4500: "failed",
    1001: "is going away",
    1008: "refused the connection by a policy of its own",
    1009: "was sent more than it takes",
    1011: "failed",
    1012: "is restarting",
    1013: "has too much to do; it is tried again later",
}
"""By the code of a close (graphql-transport-ws; RFC 6455): what the other side says of itself with it."""

_REFUSED = frozenset((4401, 4403))
_BROKEN = frozenset((4400, 4406, 4409, 4429))
Mask = Callable[[str], str]


def explain_errors(name: str, errors: object, mask: Mask) -> OutsideError:
    """The error that a result's `errors` are, where it has no data; `mask` hides secrets in what they say."""
    listed = list_errors(errors)
    words = f"{name} answered: {mask(describe_errors(listed))}"
    codes = {code for error in listed for code in _list_codes(error)}
    if codes & _CREDENTIALS:
        return CredentialsRefused(words)
    if codes & _LIMITED:
        return ProviderRefused(words, answered=HTTPStatus.TOO_MANY_REQUESTS)
    return ProviderRefused(
        words, answered=HTTPStatus.BAD_REQUEST if codes & _WRONG else HTTPStatus.BAD_GATEWAY
    )


def list_errors(errors: object) -> list[Item]:
    """The errors there are: some servers send one that is no list."""
    return [Item(each) for each in (errors if isinstance(errors, list) else [errors])]


def describe_errors(errors: Sequence[Item]) -> str:
    """Their messages, with where in the result each is."""
    told = [_describe(error) for error in errors[:SHOWN]]
    more = f" And {len(errors) - SHOWN:,} more." if len(errors) > SHOWN else ""
    return (" ".join(told) or "errors without a word.") + more


def explain_end(ended: StreamEnded, name: str) -> OutsideError:
    """What the end of a connection is, by the code that it was closed with."""
    said = f": {ended.reason}" if ended.reason else ""
    if ended.ended not in _CLOSED:
        return ended
    words = f"{name} {_CLOSED[ended.ended]} ({ended.ended}){said}."
    if ended.ended in _REFUSED:
        return CredentialsRefused(words)
    if ended.ended in _BROKEN:
        return ProtocolFailed(words)
    return TimedOut(words) if ended.ended == 4408 else StreamEnded(words, ended=ended.ended)  # noqa: PLR2004 - above


def _describe(error: Item) -> str:
    message = str(error.fields.get("message") or "an error without a message").strip()[:WORDS_LIMIT]
    path = error.fields.get("path")
    at = ".".join(str(step) for step in path[:20])[:100] if isinstance(path, list) else ""
    return f"{message.rstrip('.')}{f' (at {at})' if at else ''}."


def _list_codes(error: Item) -> list[str]:
    extensions: Any = Item(error.fields.get("extensions")).fields
    named = (extensions.get("code"), extensions.get("classification"), error.fields.get("errorType"))
    return [code.upper() for code in named if isinstance(code, str)]
