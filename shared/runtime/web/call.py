"""One request, as its handler sees it: who calls, the database as that caller, the path, the body."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import orjson
from werkzeug.sansio.request import Request

from shared.runtime.bodies import Model, parse_model
from shared.runtime.database.client import Database, as_user
from shared.runtime.deadline import LOOK_SECONDS, Deadline
from shared.runtime.errors import BadRequest, FieldError, TooLarge, Unavailable, UnsupportedMediaType
from shared.runtime.exact_json import read_json
from shared.runtime.log import bind_log
from shared.runtime.memory import SMALL, Holding, load_budget, weigh_json
from shared.runtime.web.auth import User, authenticate_user
from shared.runtime.web.streamed import StreamedRequest, give_way

if TYPE_CHECKING:
    import flask

BODY_LIMIT = 1_048_576
"""Bytes of a request body that are read before anything is parsed."""

DRAIN_LIMIT = 8 * BODY_LIMIT
"""Bytes of an oversized body read and dropped, so that its sender gets to read our answer."""

LARGE_FACTOR = 4
"""Of a body over BODY_LIMIT, which is passed on: how many times its size it takes."""

MEMORY_SECONDS = 3.0


@dataclass
class Call:
    """One request. Of the path's parameters those that are ids of ours are UUIDs in canonical form."""

    request: Request
    parameters: dict[str, str]
    trace: str | None = None
    """The traceparent that what is made of it goes on with."""
    route: str = ""
    """As the function declares it, below its name; empty while none is found."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with the answer, whatever it will be: a reply or a problem."""
    status: HTTPStatus | None = None
    """The status of the reply, where it is not the one that the route declares."""
    holding: Holding | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """The request's head as WSGI has it, through whichever door it came."""
        return cast("flask.Request | StreamedRequest", self.request).environ

    @cached_property
    def user(self) -> User:
        """The signed-in caller; Unauthenticated otherwise."""
        user = authenticate_user(self.request.headers)
        bind_log(user=user.id)
        return user

    @cached_property
    def database(self) -> Database:
        """The database as the caller, so that row-level security decides."""
        return as_user(self.user.token)

    @cached_property
    def integration_id(self) -> str:
        """The id of the integration that the path names."""
        bind_log(integration=self.parameters["id"])
        return self.parameters["id"]

    @cached_property
    def body(self) -> bytes:
        """The body as it came, at most BODY_LIMIT bytes; TooLarge otherwise, Unavailable without memory to parse it."""
        body = self.read_large(BODY_LIMIT)
        self._take_memory(weigh_json(body))
        return body

    async def load_body(self) -> bytes:
        """The same, waited for where it comes through the door for that. Errors: TooSlow and BadRequest besides."""
        if not isinstance(self.request, StreamedRequest):
            return self.body
        body = await self.request.read(BODY_LIMIT, self._wait_for_memory)
        await self._wait_for_memory(weigh_json(body))
        return body

    def read_large(self, limit: int) -> bytes:
        """The body as it came, at most `limit` bytes; of a larger one DRAIN_LIMIT is dropped, then TooLarge raised."""
        request = cast("flask.Request", self.request)
        if limit > BODY_LIMIT:
            self._take_memory(LARGE_FACTOR * min(limit, request.content_length or limit))
        body = request.stream.read(limit + 1) if (request.content_length or 0) <= limit else None
        if body is not None and len(body) <= limit:
            return bytes(body)
        dropped = 0
        while dropped < DRAIN_LIMIT and (chunk := request.stream.read(65_536)):
            dropped += len(chunk)
        raise TooLarge(f"The body is larger than {limit} bytes.")

    def close(self) -> None:
        """The call was answered: give back its memory."""
        if self.holding:
            self.holding.close()

    async def _wait_for_memory(self, size: int) -> None:
        deadline = Deadline(MEMORY_SECONDS)
        while True:
            try:
                return self._take_memory(size, 0)
            except Unavailable:
                if deadline.expired:
                    raise
            give_way()
            await asyncio.sleep(LOOK_SECONDS)

    def _take_memory(self, size: int, patience: float = MEMORY_SECONDS) -> None:
        if size > SMALL:
            # Of who calls where that is known, else of what is called.
            owner = self.user.id if "user" in vars(self) else self.parameters.get("id", "")
            self.holding = self.holding or load_budget().open(owner)
            self.holding.reserve(size, Deadline(patience))

    def json(self, model: type[Model]) -> Model:
        """The body validated as `model`; UnsupportedMediaType, or BadRequest that names each wrong field."""
        media_type = self.request.mimetype
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise UnsupportedMediaType
        try:
            data = read_json(self.body)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"The body is not valid JSON: {error.msg} at position {error.pos}.") from None
        if not isinstance(data, dict) and not model.__pydantic_root_model__:
            raise BadRequest("The body must be a JSON object.")
        return parse_model(model, data)


def parse_uuid(value: str, name: str) -> str:
    """`value` as a UUID in canonical form; BadRequest names the field."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        problem = FieldError(name, "Expected a UUID.")
        raise BadRequest(f"{name} must be a UUID.", errors=[problem]) from None
