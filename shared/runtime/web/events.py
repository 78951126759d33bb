"""Server-sent events: a reply that is sent piece by piece, to callers whose `Accept` asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from werkzeug.sansio.request import Request

from shared.runtime.errors import Problem
from shared.runtime.exact_json import write_json
from shared.runtime.log import get_log, read_request_id
from shared.runtime.web.responses import Headers, Response, describe_problem

MEDIA_TYPE = "text/event-stream"

_HEADERS = [("Content-Type", MEDIA_TYPE), ("X-Accel-Buffering", "no")]
"""Gateways made of nginx, as Supabase's own, would gather the pieces."""


class ServerEvent(NamedTuple):
    """One event: its name and its data, which is sent as JSON."""

    name: str
    data: object


@dataclass(frozen=True, slots=True)
class EventStream:
    """What a handler returns in place of its reply: the events, of which the last is that reply under its own name."""

    events: Iterator[ServerEvent]


def wants_events(request: Request) -> bool:
    """Whether the caller asks for events by their name, and would not rather have JSON."""
    accepted = request.accept_mimetypes
    return MEDIA_TYPE in accepted.values() and 0 < accepted[MEDIA_TYPE] >= accepted["application/json"]


def make_event_response(stream: EventStream, headers: Headers) -> Response:
    """The events as they come. A problem on the way is the last one, `problem`, for the status is sent by then."""
    events = _write_events(stream, read_request_id() or "")
    return Response(HTTPStatus.OK, [*headers, *_HEADERS], events)


def _write_events(stream: EventStream, request_id: str) -> Iterator[bytes]:
    try:
        yield from map(_write_event, stream.events)
    except Problem as problem:
        yield _write_event(ServerEvent("problem", describe_problem(problem, request_id)))
    except Exception:  # noqa: BLE001 - the last resort, as of the router: logged, and told without its words
        get_log().exception("unhandled error")
        yield _write_event(ServerEvent("problem", describe_problem(Problem(), request_id)))


def _write_event(event: ServerEvent) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.name.encode(), write_json(event.data))
