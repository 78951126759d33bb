"""Replies and problems (RFC 9457) as HTTP responses, with CORS for the origins that the operator allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Annotated, Literal, NotRequired

import flask
from pydantic import Field
from typing_extensions import TypedDict
from werkzeug.sansio.request import Request

from shared.runtime.errors import FieldError, Problem
from shared.runtime.exact_json import write_json
from shared.runtime.settings import load_settings

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
ALLOWED_HEADERS = (
    "authorization, apikey, x-client-info, content-type, x-request-id, idempotency-key, if-match, "
    "if-none-match, x-region, x-supabase-api-version, traceparent, tracestate, baggage, sentry-trace, x-retry-count"
)
"""What we read, what supabase-js sends, what the usual tracing adds; whatever else a browser asks for is allowed."""
EXPOSED_HEADERS = (
    "X-Request-Id, Location, ETag, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy"
)
PROBLEM_TYPE = "application/problem+json"
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered, whichever server sends it."""

    status: HTTPStatus
    headers: Headers
    body: bytes | Iterator[bytes]
    """Pieces are sent as they come."""
    is_refusal: bool = False
    """Sent at once, without waiting for what is still to come of the request."""


class ProblemDocument(TypedDict):
    """RFC 9457. `code` is for programs, `detail` for people; `request_id` finds the call in the log."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: NotRequired[Annotated[list[FieldError], Field(min_length=1)]]


def list_headers(request: Request, request_id: str) -> Headers:
    """The headers of every answer."""
    return [("X-Request-Id", request_id), ("Cache-Control", "no-store"), *_list_cors(request)]


def make_response(body: object, status: HTTPStatus, headers: Headers, own: Mapping[str, str]) -> Response:
    """A reply: `body` as JSON, None for none."""
    if body is None:
        return Response(status, [*headers, *own.items()], b"")
    return Response(status, [*headers, _JSON_TYPE, *own.items()], write_json(body))


def make_text_response(
    text: str | bytes, status: HTTPStatus, headers: Headers, own: Mapping[str, str]
) -> Response:
    """A reply that is no JSON, or has it as text; `own` has its Content-Type."""
    content = text.encode() if isinstance(text, str) else text
    return Response(status, [*headers, *own.items()], content)


def describe_problem(problem: Problem, request_id: str) -> ProblemDocument:
    """The problem document."""
    document: ProblemDocument = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.errors:
        document["errors"] = problem.errors
    return document


def make_problem_response(problem: Problem, request_id: str, headers: Headers) -> Response:
    """The answer of a refusal."""
    own = [("Content-Type", PROBLEM_TYPE), *problem.headers.items()]
    if problem.status == HTTPStatus.UNAUTHORIZED:
        own.append(("WWW-Authenticate", "Bearer"))
    body = write_json(describe_problem(problem, request_id))
    return Response(problem.status, [*headers, *own], body, is_refusal=True)


def make_threaded_response(response: Response) -> flask.Response:
    """The response as functions send it that are served by threads."""
    body = response.body
    if response.is_refusal and isinstance(body, bytes):
        # An iterator, because functions-framework reads the rest of the request before it sends what is not streamed.
        size = ("Content-Length", str(len(body)))
        return flask.Response(iter((body,)), response.status, [*response.headers, size])
    # All headers at once: setting them one by one looks through those that are there, each time.
    made = flask.Response(body, response.status, response.headers)
    if not body and not any(name == "Content-Type" for name, _ in response.headers):
        made.headers.remove("Content-Type")
    return made


def _list_cors(request: Request) -> Headers:
    allowed = _split_origins(load_settings().allowed_origins)
    origin = request.headers.get("Origin", "")
    if "*" not in allowed and origin not in allowed:
        return [_VARY]
    shown = ("Access-Control-Allow-Origin", "*" if "*" in allowed else origin)
    if request.method != "OPTIONS":
        return [shown, *_CORS]
    asked = request.headers.get("Access-Control-Request-Headers", "")
    return [shown, ("Access-Control-Allow-Headers", _allow_headers(asked)), *_CORS_PREFLIGHT]


def _allow_headers(asked: str) -> str:
    # Tools that watch a page add headers of their own to its calls. None can do what its script could not.
    others = dict.fromkeys(asked.lower().replace(" ", "").split(",")) if _NAMES.fullmatch(asked) else {}
    return ", ".join((ALLOWED_HEADERS, *(name for name in others if name and name not in _ALLOWED)))


@cache
def _split_origins(text: str) -> frozenset[str]:
    return frozenset(origin.strip() for origin in text.split(","))


_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,4096}")
_ALLOWED = frozenset(ALLOWED_HEADERS.split(", "))
_JSON_TYPE = ("Content-Type", "application/json")
_VARY = ("Vary", "Origin")
_CORS = [("Access-Control-Expose-Headers", EXPOSED_HEADERS), _VARY]
_CORS_PREFLIGHT = [
    ("Access-Control-Allow-Methods", ", ".join((*METHODS, "OPTIONS"))),
    ("Access-Control-Max-Age", "86400"),
    *_CORS,
]
