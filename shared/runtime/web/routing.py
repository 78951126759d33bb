"""The one way in: the route of a request, who calls, what came; and an answer to anything, with its request id.

A request comes through one of two doors: `Router.answer` is that of functions that are served by threads (WSGI), `asgi`
that of those with an event loop. What is behind them is the same, written for the one that can wait: where no handler
does, nothing waits.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from http import HTTPStatus
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import NotFound as NoRoute
from werkzeug.routing import Map, Rule
from werkzeug.sansio.request import Request

from shared.runtime.bodies import Query, parse_model, parse_query
from shared.runtime.errors import MethodNotAllowed, NotFound, Problem
from shared.runtime.log import bind_log, bind_trace, clear_log, get_log
from shared.runtime.telemetry import find_traceparent, observe, read_traceparent
from shared.runtime.web.call import Call, parse_uuid
from shared.runtime.web.etags import names_tag
from shared.runtime.web.events import EventStream, make_event_response
from shared.runtime.web.rate_limits import Budget, take_tokens
from shared.runtime.web.responses import (
    METHODS,
    Headers,
    Response,
    list_headers,
    make_problem_response,
    make_response,
    make_text_response,
    make_threaded_response,
)
from shared.runtime.web.routes import Route, Routes
from shared.runtime.web.text_reply import TextReply

if TYPE_CHECKING:
    import flask

    from shared.runtime.telemetry.sdk import Observed

Greet = Callable[[Call], Awaitable[Mapping[str, str]]]
"""What an OPTIONS of some path is answered beside CORS, by its parameters: headers, none for most."""

KNOWN_METHODS = frozenset({*METHODS, "HEAD", "OPTIONS"})
KNOWN_PATHS, KNOWN_LENGTH = 1_000, 200
"""How many paths that were found are remembered, and up to which length: senders push to the same ones."""

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")


class Router:
    """The routes of one function, and everything around a handler that is the same for all of them."""

    def __init__(self, name: str, *rooms: Routes, greet: Greet | None = None) -> None:
        self.name = name
        self._greet = greet
        self.routes = [route for room in rooms for route in room.declared]
        self._resources: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            self._resources.setdefault(route.path, {})[route.method] = route
        # Rules know no methods: else what /test does not answer would be looked for at /{id}.
        rules = [Rule(_write_rule(path), endpoint=path) for path in self._resources]
        self._match = Map(rules, strict_slashes=False, merge_slashes=False).bind("localhost").match
        self._match_known = lru_cache(KNOWN_PATHS)(self._match)

    def answer(self, request: flask.Request) -> flask.Response:
        """`respond` in a thread, without an event loop; only for routes whose handlers don't wait."""
        try:
            self.respond(request).send(None)
        except StopIteration as done:
            return make_threaded_response(done.value)
        raise RuntimeError(f"A handler of {self.name} waits, so it has to be served by ASGI.")

    async def respond(self, request: Request) -> Response:
        """Answer any request: never raises, always with a request id and CORS headers."""
        begun = time.perf_counter()
        clear_log()
        request_id = _choose_request_id(request)
        bind_log(function=self.name, request_id=request_id)
        method = request.method if request.method in KNOWN_METHODS else "_OTHER"
        brought = read_traceparent(request.headers.get("traceparent"))
        with observe("server", method, {"http.request.method": method}, parent=brought) as observed:
            trace = find_traceparent(observed, brought)
            bind_trace(trace or "")
            call = Call(request, {}, trace=trace)
            response = await self._answer_all(call, list_headers(request, request_id), request_id)
            if observed:
                _tell(observed, method, call.route, response.status)
            milliseconds = round((time.perf_counter() - begun) * 1000, 1)
            get_log().info(
                "request",
                method=request.method,
                path=request.path,
                route=call.route,
                status=int(response.status),
                ms=milliseconds,
            )
        return response

    async def _answer_all(self, call: Call, headers: Headers, request_id: str) -> Response:
        try:
            return await self._dispatch(call, headers)
        except Problem as problem:
            return make_problem_response(problem, request_id, headers)
        except Exception:  # noqa: BLE001 - the last resort: logged, and answered as a 500
            get_log().exception("unhandled error")
            return make_problem_response(Problem(), request_id, headers)

    async def _dispatch(self, call: Call, headers: Headers) -> Response:
        method = call.request.method
        try:
            resource, call.parameters = self._find(call.request.path)
        except NotFound:
            if method != "OPTIONS":
                raise
            # A refused preflight would hide from a browser's script that there is no such path.
            resource = {}
        route = resource.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = {"Allow": ", ".join(sorted({*resource, "OPTIONS"}))}
            if method == "OPTIONS":
                return await self._answer_options(call, headers, allowed)
            raise MethodNotAllowed(headers=allowed)
        call.route = f"/{self.name}{route.path.rstrip('/')}"
        try:
            body = _run(route, call)
            if isawaitable(body):
                body = await body
        except Problem as problem:
            problem.headers = call.headers | problem.headers
            raise
        finally:
            call.close()
        return _make_reply(route, call, body, headers)

    async def _answer_options(self, call: Call, headers: Headers, allowed: dict[str, str]) -> Response:
        """A browser's preflight, unless it is another sender's own question."""
        greeted = await self._greet(call) if self._greet else {}
        status = HTTPStatus.OK if greeted else HTTPStatus.NO_CONTENT
        return make_response(None, status, headers, {**allowed, **greeted})

    def _find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """The routes of the path by their methods, and what stands in the place of its parameters."""
        # Behind some gateways the function sees its whole public path, behind others only what follows its name.
        for prefix in (f"/functions/v1/{self.name}", f"/{self.name}"):
            if path == prefix or path.startswith(f"{prefix}/"):
                path = path[len(prefix) :]
                break
        absent = NotFound(f"{self.name} has no such path.")
        if path.startswith("//") and path.strip("/"):
            # werkzeug would take them for one.
            raise absent
        try:
            match = self._match_known if len(path) <= KNOWN_LENGTH else self._match
            resource, parameters = match(path or "/")
        except NoRoute:
            raise absent from None
        return self._resources[resource], dict(parameters)


def _run(route: Route, call: Call) -> Any:
    """Know the caller, parse what came, charge the budget, hand on to the handler: in this order."""
    if route.public:
        return route.handler(call)
    _ = call.user
    call.parameters = {name: _parse_parameter(route, name, value) for name, value in call.parameters.items()}
    query = parse_query(route.query or Query, dict(call.request.args.lists()))
    given: dict[str, object] = {"query": query} if route.query else {}
    if route.body:
        given["body"] = call.json(route.body) if route.needs_body or call.body.strip() else None
    if route.budget:
        _charge(route.budget, call, given.get("body"))
    return route.handler(call, **given)


def _make_reply(route: Route, call: Call, body: Any, headers: Headers) -> Response:
    if isinstance(body, EventStream):
        return make_event_response(body, [*headers, *call.headers.items()])
    if isinstance(body, TextReply):
        return _make_text(body, headers, call.headers)
    if route.method == "GET" and _is_known(call.request, call.headers.get("ETag")):
        return make_response(None, HTTPStatus.NOT_MODIFIED, headers, call.headers)
    status = call.status or route.status
    if route.media:
        return make_text_response(body, status, headers, call.headers | {"Content-Type": route.media})
    return make_response(body, status, headers, call.headers)


def _charge(budget: Budget, call: Call, body: Any) -> None:
    whose = {"p_integration_id": call.integration_id} if "id" in call.parameters else {}
    take_tokens(call, budget, **whose or {"p_organization_id": str(body.organization_id)})


def _parse_parameter(route: Route, name: str, value: str) -> str:
    if route.words and name in route.words.model_fields:
        return str(getattr(parse_model(route.words, {name: value}), name))
    return parse_uuid(value, name)


def _tell(observed: Observed, method: str, route: str, status: int) -> None:
    if route:
        observed.rename(f"{method} {route}")
        observed.add("http.route", route)
    observed.add("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        observed.fail(str(status))


def _is_known(request: Request, tag: str | None) -> bool:
    return tag is not None and names_tag(request.headers.get("If-None-Match"), tag)


def _make_text(reply: TextReply, headers: Headers, own: dict[str, str]) -> Response:
    if reply.text == "":
        return make_response(None, reply.status or HTTPStatus.NO_CONTENT, headers, own)
    media = {"Content-Type": reply.media}
    return make_text_response(reply.text, reply.status or HTTPStatus.OK, headers, own | media)


def _write_rule(path: str) -> str:
    return path.replace("{rest}", "<path:rest>").translate(str.maketrans("{}", "<>"))


def _choose_request_id(request: Request) -> str:
    given = request.headers.get("X-Request-Id", "")
    # No secret, so not from the kernel: a call of it lets another thread go first.
    return given if _REQUEST_ID.match(given) else str(uuid.UUID(int=random.getrandbits(128), version=4))
