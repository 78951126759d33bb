"""What servers refuse, in words and by kind."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import CredentialsRefused, OutsideError, ProviderRefused, StreamEnded
from shared.providers.graphql.refusals import explain_end, explain_errors


def explain(errors: Any) -> OutsideError:
    return explain_errors("The API", errors, lambda words: words)


@pytest.mark.parametrize(
    ("extensions", "kind", "is_final"),
    [
        ({"code": "UNAUTHENTICATED"}, CredentialsRefused, False),
        ({"code": "access-denied"}, CredentialsRefused, False),
        ({"code": "GRAPHQL_VALIDATION_FAILED"}, ProviderRefused, True),
        ({"classification": "ValidationError"}, ProviderRefused, True),
        ({"code": "RATE_LIMITED"}, ProviderRefused, False),
        ({"code": "INTERNAL_SERVER_ERROR"}, ProviderRefused, False),
        ({"code": ["odd"]}, ProviderRefused, False),
        ("odd", ProviderRefused, False),
        (None, ProviderRefused, False),
    ],
)
def test_codes_say_what_kind_of_error_it_is(
    extensions: Any, kind: type[OutsideError], is_final: object
) -> None:
    error = explain([{"message": "no", "extensions": extensions}])

    assert isinstance(error, kind)
    assert error.is_final is is_final


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ([{"message": "a"}, {"message": "b.", "path": ["x", 0, "y"]}], "a. b (at x.0.y)."),
        ([{"message": f"e{n}"} for n in range(9)], "e0. e1. e2. And 6 more."),
        ([], "errors without a word."),
        ("oops", "an error without a message."),
        ([None, {}, {"message": 7}], "an error without a message. an error without a message. 7."),
        ([{"message": "x" * 5_000}], "x" * 300 + "."),
        ({"message": "one that is no list"}, "one that is no list."),
    ],
)
def test_errors_are_told_in_their_own_words(errors: Any, words: str) -> None:
    assert explain(errors).detail == f"The API answered: {words}"


def test_an_end_without_a_code_of_the_protocol_stays_what_it_is() -> None:
    ended = StreamEnded("gone", ended=1006)

    assert explain_end(ended, "The API") is ended
