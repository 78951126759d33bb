"""The one way in: routing, JSON, CORS, request ids, limits, logs, and errors as RFC 9457 problem documents."""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from http import HTTPStatus
from typing import Any, TypeVar

import flask
import orjson
from pydantic import BaseModel, ValidationError

from shared.runtime.errors import (
    BadRequest,
    FieldError,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    UnsupportedMediaType,
)
from shared.runtime.log import bind_log, clear_log, get_log
from shared.runtime.settings import load_settings
from shared.runtime.web.auth import User, authenticate_user

BODY_LIMIT = 1_048_576
"""Bytes of a request body that are read before anything is parsed."""

DRAIN_LIMIT = 8 * BODY_LIMIT
"""Bytes of an oversized body read and dropped, so that its sender gets to read our answer."""

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
ALLOWED_HEADERS = (
    "authorization, apikey, x-client-info, content-type, x-request-id, idempotency-key, if-match, "
    "if-none-match, x-region, x-supabase-api-version"
)
EXPOSED_HEADERS = (
    "X-Request-Id, Location, ETag, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy"
)
PROBLEM_TYPE = "application/problem+json"
Headers = list[tuple[str, str]]
_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers with: `body` is JSON, None for no body."""

    body: Any = None
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One request, as handlers see it: path parameters, query, and the body once it is asked for."""

    request: flask.Request
    parameters: Mapping[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with the answer, whatever it will be: a reply or a problem."""

    @cached_property
    def user(self) -> User:
        """The signed-in caller; Unauthenticated otherwise."""
        user = authenticate_user(self.request.headers)
        bind_log(user=user.id)
        return user

    @cached_property
    def body(self) -> bytes:
        """The body as it came, at most BODY_LIMIT bytes; TooLarge otherwise."""
        return read_body(self.request)

    def read_large(self, limit: int) -> bytes:
        """The body as it came, at most `limit` bytes, for those who may send more; TooLarge otherwise."""
        return read_body(self.request, limit)

    def query(self, name: str) -> str | None:
        """The query parameter `name`, None when absent or empty."""
        return self.request.args.get(name) or None

    def value(self) -> Any:
        """The body as any JSON value; UnsupportedMediaType, BadRequest otherwise."""
        media_type = self.request.mimetype
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise UnsupportedMediaType
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"The body is not valid JSON: {error.msg} at position {error.pos}.") from None

    def json(self, model: type[Model]) -> Model:
        """The body validated as `model`; BadRequest names each wrong field."""
        data = self.value()
        if not isinstance(data, dict):
            raise BadRequest("The body must be a JSON object.")
        return parse_model(model, data)


def parse_model(model: type[Model], data: Mapping[str, Any]) -> Model:
    """`data` validated as `model`; BadRequest names each wrong field and never echoes a value."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        errors = [
            FieldError(
                ".".join(str(part) for part in item["loc"]), str(item["msg"]).removeprefix("Value error, ")
            )
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise BadRequest("Some fields are missing or malformed.", errors=errors) from None


def parse_uuid(value: str | None, name: str) -> str:
    """`value` as a UUID in canonical form; BadRequest names the field."""
    try:
        return str(uuid.UUID(value or ""))
    except ValueError:
        problem = FieldError(name, "Expected a UUID.")
        raise BadRequest(f"{name} must be a UUID.", errors=[problem]) from None


def read_body(request: flask.Request, limit: int = BODY_LIMIT) -> bytes:
    """Read at most `limit` bytes; of a larger body drop what fits in DRAIN_LIMIT and raise TooLarge."""
    body = request.stream.read(limit + 1) if (request.content_length or 0) <= limit else None
    if body is not None and len(body) <= limit:
        return bytes(body)
    dropped = 0
    while dropped < DRAIN_LIMIT and (chunk := request.stream.read(65_536)):
        dropped += len(chunk)
    raise TooLarge(f"The body is larger than {limit} bytes.")


Handler = Callable[[Call], Reply]


class Router:
    """The routes of one function, and everything around a handler that is the same for all of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._routes: list[tuple[re.Pattern[str], str, Handler]] = []

    def route(self, method: str, path: str) -> Callable[[Handler], Handler]:
        """Answer `method` on `path`, in which `{name}` stands for one segment; literal routes come first."""
        pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)) + r"/?")

        def register(handler: Handler) -> Handler:
            self._routes.append((pattern, method, handler))
            return handler

        return register

    def answer(self, request: flask.Request) -> flask.Response:
        """Answer any request: never raises, always with a request id and CORS headers."""
        begun = time.perf_counter()
        clear_log()
        request_id = _choose_request_id(request)
        bind_log(function=self._name, request_id=request_id)
        headers = [("X-Request-Id", request_id), ("Cache-Control", "no-store"), *_list_cors(request)]
        try:
            response = _make_response(self._dispatch(request), headers)
        except Problem as problem:
            response = _make_problem_response(problem, request_id, headers)
        except Exception:  # noqa: BLE001 - the last resort: logged, and answered as a 500
            get_log().exception("unhandled error")
            response = _make_problem_response(Problem(), request_id, headers)
        milliseconds = round((time.perf_counter() - begun) * 1000, 1)
        get_log().info(
            "request", method=request.method, path=request.path, status=response.status_code, ms=milliseconds
        )
        return response

    def _dispatch(self, request: flask.Request) -> Reply:
        path = self._trim_path(request.path)
        # The first pattern that matches is the resource; a literal one stands before one with parameters.
        resource = next((pattern for pattern, _, _ in self._routes if pattern.fullmatch(path)), None)
        match = resource.fullmatch(path) if resource else None
        if match is None:
            raise NotFound(f"{self._name} has no such path.")
        handlers = {method: handler for pattern, method, handler in self._routes if pattern == resource}
        methods = ", ".join(sorted({*handlers, "OPTIONS"}))
        if request.method == "OPTIONS":
            return Reply(status=HTTPStatus.NO_CONTENT, headers={"Allow": methods})
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            raise MethodNotAllowed(headers={"Allow": methods})
        return _run_handler(handler, Call(request, match.groupdict()))

    def _trim_path(self, path: str) -> str:
        # Behind some gateways the function sees its whole public path, behind others only what follows its name.
        for prefix in (f"/functions/v1/{self._name}", f"/{self._name}"):
            if path == prefix or path.startswith(f"{prefix}/"):
                path = path[len(prefix) :]
                break
        return path or "/"


def _run_handler(handler: Handler, call: Call) -> Reply:
    try:
        reply = handler(call)
    except Problem as problem:
        problem.headers = call.headers | problem.headers
        raise
    return replace(reply, headers=call.headers | dict(reply.headers))


def _choose_request_id(request: flask.Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    # No secret, so not from the kernel: a call of it lets another thread go first.
    return given if _REQUEST_ID.match(given) else str(uuid.UUID(int=random.getrandbits(128), version=4))


def _make_response(reply: Reply, headers: Headers) -> flask.Response:
    body = b"" if reply.body is None else orjson.dumps(reply.body)
    # All headers at once: setting them one by one looks through those that are there, each time.
    response = flask.Response(body, reply.status, [*headers, _JSON_TYPE, *reply.headers.items()])
    if not body:
        response.headers.remove("Content-Type")
    return response


def _make_problem_response(problem: Problem, request_id: str, headers: Headers) -> flask.Response:
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.errors:
        document["errors"] = [{"field": error.field, "message": error.message} for error in problem.errors]
    body = orjson.dumps(document)
    # An iterator, because functions-framework reads the rest of the request before it sends what is not streamed.
    response = flask.Response(
        iter((body,)), problem.status, [*headers, *problem.headers.items()], content_type=PROBLEM_TYPE
    )
    response.content_length = len(body)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _list_cors(request: flask.Request) -> Headers:
    allowed = _split_origins(load_settings().allowed_origins)
    origin = request.headers.get("Origin", "")
    if "*" not in allowed and origin not in allowed:
        return [_VARY]
    shown = ("Access-Control-Allow-Origin", "*" if "*" in allowed else origin)
    return [shown, *(_CORS_PREFLIGHT if request.method == "OPTIONS" else _CORS)]


@cache
def _split_origins(text: str) -> frozenset[str]:
    return frozenset(origin.strip() for origin in text.split(","))


_JSON_TYPE = ("Content-Type", "application/json")
_VARY = ("Vary", "Origin")
_CORS = [("Access-Control-Expose-Headers", EXPOSED_HEADERS), _VARY]
_CORS_PREFLIGHT = [
    ("Access-Control-Allow-Headers", ALLOWED_HEADERS),
    ("Access-Control-Allow-Methods", ", ".join((*METHODS, "OPTIONS"))),
    ("Access-Control-Max-Age", "86400"),
    *_CORS,
]
