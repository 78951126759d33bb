"""Refusals, from the error tree: one response for each status, with the codes it may carry."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from itertools import groupby
from typing import Any

from scripts.openapi.headers import LIMITS, pick_headers
from shared.runtime.errors import Problem

Kind = type[Problem]

_HEADERS = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After", *LIMITS),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}


def describe_problems(kinds: Iterable[Kind]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By their status, the responses of an operation that may raise these errors, each with its name."""
    distinct = sorted(set(kinds), key=lambda kind: (kind.status, kind.code))
    groups = [[*same] for _, same in groupby(distinct, key=lambda kind: kind.status)]
    return {
        str(same[0].status.value): ("Or".join(kind.__name__ for kind in same), _describe(same))
        for same in groups
    }


def _describe(kinds: list[Kind]) -> dict[str, Any]:
    own = {"status": {"const": kinds[0].status.value}, "code": {"enum": [kind.code for kind in kinds]}}
    schema = {"allOf": [{"$ref": "#/components/schemas/ProblemDocument"}, {"properties": own}]}
    return {
        "description": "\n\n".join(f"`{kind.code}`: {(kind.__doc__ or '').strip()}" for kind in kinds),
        "headers": pick_headers(*_HEADERS.get(kinds[0].status, ())),
        "content": {"application/problem+json": {"schema": schema}},
    }
