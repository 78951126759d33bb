"""Refusals, from the error tree: one response for each status, with the codes it may carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import groupby
from typing import Any

from scripts.openapi import headers
from shared.runtime.errors import (
    AddressBlocked,
    BadRequest,
    ConnectionRefused,
    CredentialsRefused,
    Forbidden,
    NameNotResolved,
    NotFound,
    Problem,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    TlsFailed,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

Kind = type[Problem]

ALWAYS: tuple[Kind, ...] = (Unauthenticated, Problem, Unavailable)
"""What every call may answer; Unavailable also where the project's signing keys can't be fetched."""

READING_BODY: tuple[Kind, ...] = (BadRequest, TooLarge, UnsupportedMediaType)
NAMING_ONE: tuple[Kind, ...] = (BadRequest, NotFound)
ADMINS_ONLY: tuple[Kind, ...] = (Forbidden, NotFound)
OUTSIDE: tuple[Kind, ...] = (
    AddressBlocked,
    NameNotResolved,
    ConnectionRefused,
    TlsFailed,
    TimedOut,
    ProtocolFailed,
    CredentialsRefused,
    ProviderRefused,
)

_HEADERS: dict[HTTPStatus, dict[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: headers.CHALLENGE,
    HTTPStatus.TOO_MANY_REQUESTS: headers.RETRY | headers.LIMITS,
    HTTPStatus.SERVICE_UNAVAILABLE: headers.RETRY,
}


def refer_problems(kinds: Iterable[Kind]) -> dict[str, Any]:
    """The `responses` of an operation that may raise these errors."""
    return {
        str(status.value): {"$ref": f"#/components/responses/{_name_response(same)}"}
        for status, same in _group_kinds(kinds)
    }


def describe_problems(kinds: Iterable[Kind]) -> dict[str, Any]:
    """`components.responses` for an operation that may raise these errors."""
    return {_name_response(same): _describe_status(status, same) for status, same in _group_kinds(kinds)}


def _group_kinds(kinds: Iterable[Kind]) -> Iterator[tuple[HTTPStatus, list[Kind]]]:
    distinct = sorted(set(kinds), key=lambda kind: (kind.status, kind.code))
    for status, same in groupby(distinct, key=lambda kind: kind.status):
        yield status, list(same)


def _name_response(kinds: list[Kind]) -> str:
    return "Or".join(kind.__name__ for kind in kinds)


def _describe_status(status: HTTPStatus, kinds: list[Kind]) -> dict[str, Any]:
    codes = [kind.code for kind in kinds]
    schema = {
        "allOf": [
            {"$ref": "#/components/schemas/ProblemDocument"},
            {"properties": {"status": {"const": status.value}, "code": {"enum": codes}}},
        ]
    }
    return {
        "description": "\n\n".join(f"`{kind.code}`: {(kind.__doc__ or '').strip()}" for kind in kinds),
        "headers": headers.REQUEST_ID | _HEADERS.get(status, {}),
        "content": {"application/problem+json": {"schema": schema}},
    }
