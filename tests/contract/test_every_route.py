"""Every route that is declared, whatever it does: nobody gets past it without a session."""

from __future__ import annotations

import io
import re
import uuid
from http import HTTPStatus
from typing import Any

import flask
import pytest

from scripts.openapi.document import list_routers
from shared.runtime.web.call import BODY_LIMIT
from shared.runtime.web.routes import Route
from shared.runtime.web.routing import Router

APP = flask.Flask(__name__)
ROUTES = [(router, route) for router in list_routers() for route in router.routes]
PROTECTED = [
    pytest.param(router, route, id=route.handler.__name__) for router, route in ROUTES if not route.public
]
WRONG: dict[str, dict[str, Any]] = {
    "nothing else": {},
    "a body that is not JSON": {"data": b"{", "content_type": "application/json"},
    "a body of another type": {"data": b"{}", "content_type": "text/plain"},
    "a body with wrong fields": {"json": {"surely": "unknown"}},
    "a body that is too large": {
        "input_stream": io.BytesIO(),
        "headers": {"Content-Length": str(BODY_LIMIT + 1), "Content-Type": "application/json"},
    },
    "a query that is malformed": {
        "query_string": {"limit": "many", "id": "none", "status": "?", "path": ".."}
    },
    "a token that is none": {"headers": {"Authorization": "Bearer none"}},
    "another scheme": {"headers": {"Authorization": "Basic bm9uZTpub25l"}},
}


def call_route(router: Router, route: Route, named: str, **request: Any) -> flask.Response:
    path = re.sub(r"{\w+}", named, f"/{router.name}{route.path}")
    with APP.test_request_context(path, method=route.method, **request):
        return router.answer(flask.request)


@pytest.mark.parametrize(("router", "route"), PROTECTED)
def test_without_a_session_a_call_is_a_401_whatever_else_is_wrong(router: Router, route: Route) -> None:
    replies = {
        (named, wrong): call_route(router, route, named, **request)
        for named in (str(uuid.UUID(int=1)), "no-uuid")
        for wrong, request in WRONG.items()
    }

    assert {key: reply.status_code for key, reply in replies.items()} == dict.fromkeys(
        replies, HTTPStatus.UNAUTHORIZED
    )
    assert {reply.headers["WWW-Authenticate"] for reply in replies.values()} == {"Bearer"}


def test_only_those_that_prove_themselves_otherwise_need_no_session() -> None:
    public = {route.handler.__name__: route.proofs for _, route in ROUTES if route.public}

    assert public == {
        "receive_golioth_events": ("webhook_secret",),
        "receive_messages": ("webhook_secret",),
        "receive_messages_below": ("webhook_secret",),
        "run_scheduler": ("scheduler_secret", "service_key"),
        "run_scheduler_unasked": ("scheduler_secret", "service_key"),
        "scrape_metrics": ("metrics_secret",),
    }
