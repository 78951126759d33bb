"""Routes, as rooms declare them: who may call, on which budget, with which body, and what is answered.

    @routes.post("/{id}/jobs", status=HTTPStatus.ACCEPTED, budget=WRITES, problems=(Conflict,))
    def begin_job(call: Call, body: NewJob) -> OneJob:
        '''Begin a job, done from the next tick on.'''

Signed-in users may call, and nobody else, unless a route is `public`. The signature says the rest: `query` and `body`
are parsed once it is known who calls and before the handler runs (`body` is None where it may be and nothing came), and
the TypedDict that is returned is the reply. scripts/openapi writes docs/openapi.json from all of this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel

from shared.runtime.bodies import Query
from shared.runtime.errors import Problem
from shared.runtime.web.rate_limits import Budget

ANY_TYPE = "*/*"
Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Route:
    """One call of the API; in `path`, which begins below the function's own, `{rest}` takes all that follows."""

    method: str
    path: str
    words: type[BaseModel] | None
    """Those parameters of paths that are not ids of ours; all others are UUIDs."""
    handler: Callable[..., Any]
    body: type[BaseModel] | None
    needs_body: bool
    query: type[Query] | None
    reply: Any
    """The TypedDict that is answered, a union of several, or NoneType for no body."""
    status: HTTPStatus = HTTPStatus.OK
    also: HTTPStatus | None = None
    """Another status of the same reply; or 304, where the ETag that the handler sets is heeded."""
    public: bool = False
    """Whether calls need no session, for the handler asks for another proof; `proofs` are OpenAPI's names of it."""
    proofs: tuple[str, ...] = ("session",)
    budget: Budget | None = None
    """Charged for the integration of the path, or the organization of the body, before the handler runs."""
    settles: Budget | None = None
    """The budget, where the SQL function that makes the change charges it and the handler settles that."""
    reads: tuple[type[BaseModel] | str, ...] = ()
    """The bodies, as models or media types, of which the handler itself reads one; with `ANY_TYPE` it refuses none."""
    media: str | None = None
    """The media type of a reply that is text, and no JSON."""
    headers: tuple[str, ...] = ()
    """Headers of the reply, beside those of every reply and of every call on a budget."""
    problems: tuple[type[Problem], ...] = ()
    """What it may answer beyond what follows from the rest of the declaration."""


class Routes:
    """The routes of one room, in the order they are declared."""

    def __init__(self, words: type[BaseModel] | None = None) -> None:
        self._words = words
        self.declared: list[Route] = []

    def get(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Answer GET and HEAD on `path` with the function below; `declared` are fields of Route."""
        return self._register("GET", path, declared)

    def post(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Answer POST."""
        return self._register("POST", path, declared)

    def patch(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Answer PATCH."""
        return self._register("PATCH", path, declared)

    def put(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Answer PUT."""
        return self._register("PUT", path, declared)

    def delete(self, path: str, **declared: Any) -> Callable[[Handler], Handler]:
        """Answer DELETE."""
        return self._register("DELETE", path, declared)

    def _register(self, method: str, path: str, declared: Mapping[str, Any]) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            types = get_type_hints(handler, include_extras=True)
            body = [each for each in get_args(types.get("body")) or [types.get("body")] if each]
            route = Route(
                method=method,
                path=path,
                words=self._words,
                handler=handler,
                body=body[0] if body else None,
                needs_body=bool(body) and NoneType not in body,
                query=types.get("query"),
                reply=types["return"],
                **declared,
            )
            self.declared.append(route)
            return handler

        return register
