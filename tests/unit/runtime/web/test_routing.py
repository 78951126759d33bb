"""The way in: routing, limits, problem documents; and what a function says while the database is away."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus

import flask
import jwt
import pytest
from flask.testing import FlaskClient
from functions_framework import create_app
from typing_extensions import TypedDict

from scripts.local.stack import ROOT
from shared.runtime.bodies import Body
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.errors import RateLimited
from shared.runtime.settings import load_settings
from shared.runtime.web.call import BODY_LIMIT, Call
from shared.runtime.web.events import EventStream, ServerEvent, wants_events
from shared.runtime.web.routes import Routes
from shared.runtime.web.routing import Router
from shared.scheduler.tick import run_tick
from tests.ports import find_free_port

SECRET = "a-legacy-secret-of-at-least-32-bytes"
routes = Routes()


class Count(Body):
    count: int


class Thing(TypedDict):
    id: str
    count: int


@routes.post("/things/{id}", public=True)
def change_thing(call: Call) -> Thing:
    return {"id": call.parameters["id"], "count": call.json(Count).count}


@routes.get("/things/all", public=True)
def read_all(_: Call) -> Thing:
    return {"id": "all", "count": 0}


@routes.post("/below/{id}/{rest}", public=True)
def read_rest(call: Call) -> Thing:
    return {"id": call.parameters["rest"], "count": 0}


@routes.get("/busy", public=True)
def refuse(_: Call) -> None:
    raise RateLimited(retry_after=7)


@routes.get("/counting/{id}", public=True)
def count_up(call: Call) -> Thing | EventStream:
    return (
        EventStream(count_until(call.parameters["id"]))
        if wants_events(call.request)
        else {"id": "", "count": 2}
    )


def count_until(end: str) -> Iterator[ServerEvent]:
    yield ServerEvent("step", {"count": 1})
    if end == "refused":
        raise RateLimited
    if end == "broken":
        raise RuntimeError("canary-in-an-exception")
    yield ServerEvent("done", {"text": "two\n\nlines"})


@routes.get("/broken", public=True)
def break_down(_: Call) -> None:
    raise RuntimeError("canary-in-an-exception")


router = Router("sample", routes)


@pytest.fixture
def client() -> FlaskClient:
    app = flask.Flask(__name__)

    @app.before_request
    def run() -> flask.Response:
        return router.answer(flask.request)

    return app.test_client()


@pytest.mark.parametrize("prefix", ["", "/sample", "/functions/v1/sample"])
def test_a_function_answers_with_and_without_its_public_prefix(client: FlaskClient, prefix: str) -> None:
    reply = client.post(f"{prefix}/things/7", json={"count": 1})

    assert reply.json == {"id": "7", "count": 1}


@pytest.mark.parametrize(
    "path", ["/things", "/things/7/more", "/", "/sample//things/7", "/things//7", "/elsewhere"]
)
def test_a_path_that_is_not_there_is_a_404(client: FlaskClient, path: str) -> None:
    assert client.post(path).status_code == HTTPStatus.NOT_FOUND


def test_a_literal_path_comes_before_one_with_a_parameter(client: FlaskClient) -> None:
    literal, refused = client.get("/things/all"), client.post("/things/all", json={"count": 1})

    assert literal.json == {"id": "all", "count": 0}
    assert (refused.status_code, refused.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "GET, OPTIONS")


def test_the_rest_of_a_path_may_have_slashes(client: FlaskClient) -> None:
    replies = [client.post(f"/sample/below/7/{rest}").json for rest in ("line", "line/3")]

    assert replies == [{"id": "line", "count": 0}, {"id": "line/3", "count": 0}]


def test_a_slash_at_the_end_changes_nothing(client: FlaskClient) -> None:
    assert client.post("/sample/things/7/", json={"count": 1}).json == {"id": "7", "count": 1}


def test_head_is_get_without_a_body(client: FlaskClient) -> None:
    reply = client.head("/things/all")

    assert (reply.status_code, reply.data) == (HTTPStatus.OK, b"")


def test_the_body_may_be_as_large_as_the_limit_and_no_larger(client: FlaskClient) -> None:
    fits = b'{"count": 1}'.ljust(BODY_LIMIT)

    statuses = [
        client.post("/things/7", data=body, content_type="application/json").status_code
        for body in (fits, fits + b" ")
    ]

    assert statuses == [HTTPStatus.OK, HTTPStatus.REQUEST_ENTITY_TOO_LARGE]


def test_a_problem_carries_its_headers_and_the_request_id(client: FlaskClient) -> None:
    reply = client.get("/busy", headers={"X-Request-Id": "mine"})

    assert (reply.status_code, reply.headers["Retry-After"]) == (HTTPStatus.TOO_MANY_REQUESTS, "7")
    assert reply.get_json(force=True)["request_id"] == "mine"


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("text/event-stream", True),
        ("text/event-stream, application/json", True),
        ("application/json, text/event-stream;q=0.5", False),
        ("text/event-stream;q=0", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_events_are_for_those_who_ask_for_them_by_name(
    client: FlaskClient, accept: str, *, is_stream: bool
) -> None:
    reply = client.get("/counting/7", headers={"Accept": accept})

    assert reply.mimetype == ("text/event-stream" if is_stream else "application/json")


def test_events_are_sent_one_by_one_as_json_in_a_line(client: FlaskClient) -> None:
    reply = client.get("/counting/7", headers={"Accept": "text/event-stream"}, buffered=False)

    pieces = list(reply.response)

    assert pieces == [
        b'event: step\ndata: {"count":1}\n\n',
        b'event: done\ndata: {"text":"two\\n\\nlines"}\n\n',
    ]
    assert (reply.headers["Cache-Control"], reply.headers["X-Accel-Buffering"]) == ("no-store", "no")


@pytest.mark.parametrize(("end", "code"), [("refused", "rate_limited"), ("broken", "internal")])
def test_what_breaks_off_on_the_way_ends_with_a_problem_that_tells_no_more_than_any(
    client: FlaskClient, end: str, code: str
) -> None:
    headers = {"Accept": "text/event-stream", "X-Request-Id": "mine"}
    reply = client.get(f"/counting/{end}", headers=headers)

    *_, last, rest = reply.text.split("\n\n")

    name, _, data = last.partition("\n")
    problem = json.loads(data.removeprefix("data: "))
    assert (name, problem["code"], problem["request_id"], rest) == ("event: problem", code, "mine", "")
    assert "canary" not in reply.text


def test_our_own_defect_is_a_500_that_tells_nothing(client: FlaskClient) -> None:
    reply = client.get("/broken")

    assert reply.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert b"canary" not in reply.data


@pytest.mark.parametrize("given", ["a b", "x" * 200, "<script>", "é"])
def test_a_request_id_that_is_not_plain_is_replaced(client: FlaskClient, given: str) -> None:
    reply = client.get("/busy", headers={"X-Request-Id": given})

    assert reply.headers["X-Request-Id"] != given


def test_a_wrong_field_is_named_without_its_value(client: FlaskClient) -> None:
    reply = client.post("/things/7", json={"count": "canary", "more": 1})

    problem = reply.get_json(force=True)
    assert [error["field"] for error in problem["errors"]] == ["count", "more"]
    assert b"canary" not in reply.data


@pytest.fixture
def origins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only two origins may call."""
    monkeypatch.setenv("ALLOWED_ORIGINS", "https://app.example.com, https://admin.example.com")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.usefixtures("origins")
@pytest.mark.parametrize("origin", ["https://app.example.com", "https://admin.example.com"])
def test_a_browser_on_an_allowed_origin_may_call_and_read_our_headers(
    client: FlaskClient, origin: str
) -> None:
    preflight = client.options("/things/7", headers={"Origin": origin})
    refused = client.get("/busy", headers={"Origin": origin})

    assert preflight.status_code == HTTPStatus.NO_CONTENT
    for reply in (preflight, refused):
        assert reply.headers["Access-Control-Allow-Origin"] == origin
        assert "Retry-After" in reply.headers["Access-Control-Expose-Headers"]
        assert reply.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "path", ["/things/7", "/nowhere", "/", "/things/7/more", "//things", "/things//7", "/%00", "/things/ü"]
)
@pytest.mark.parametrize("prefix", ["", "/sample", "/functions/v1/sample"])
def test_a_preflight_is_answered_on_every_path(client: FlaskClient, prefix: str, path: str) -> None:
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}

    preflight = client.options(f"{prefix}{path}", headers=asked)

    assert (preflight.status_code, preflight.data) == (HTTPStatus.NO_CONTENT, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("asked", ["", "content-type,x-datadog-trace-id, newrelic", "X-Amzn-Trace-Id"])
def test_a_browser_may_send_what_tracing_adds(client: FlaskClient, asked: str) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Headers": asked}

    preflight = client.options("/nowhere", headers=headers)

    allowed = preflight.headers["Access-Control-Allow-Headers"].split(", ")
    usual = ["authorization", "traceparent", "tracestate", "baggage", "sentry-trace", "x-retry-count"]
    assert {*usual, *(name for name in asked.lower().replace(" ", "").split(",") if name)} <= {*allowed}
    assert len(allowed) == len({*allowed})


def test_what_are_no_names_of_headers_is_not_repeated(client: FlaskClient) -> None:
    headers = {"Origin": "https://app.example.com", "Access-Control-Request-Headers": "a; b=<script>"}

    preflight = client.options("/things/7", headers=headers)

    assert preflight.status_code == HTTPStatus.NO_CONTENT
    assert "script" not in preflight.headers["Access-Control-Allow-Headers"]


@pytest.mark.usefixtures("origins")
@pytest.mark.parametrize("origin", ["https://example.com", "https://app.example.com.evil.test", "null", ""])
def test_a_browser_on_any_other_origin_may_not(client: FlaskClient, origin: str) -> None:
    reply = client.options("/things/7", headers={"Origin": origin})

    assert not [name for name in reply.headers.keys() if name.startswith("Access-Control-")]  # noqa: SIM118 - not a dict
    assert reply.headers["Vary"] == "Origin"


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A project whose database does not answer; the session token of one of its users."""
    url = f"http://127.0.0.1:{find_free_port()}"
    monkeypatch.setenv("SUPABASE_URL", url)
    monkeypatch.setenv("SUPABASE_ANON_KEY", "anon")
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", "service")
    monkeypatch.setenv("SUPABASE_JWT_SECRET", SECRET)
    load_settings.cache_clear()
    claims = {
        "sub": str(uuid.uuid4()),
        "role": "authenticated",
        "aud": "authenticated",
        "iss": f"{url}/auth/v1",
    }
    yield jwt.encode(claims | {"exp": time.time() + 60}, SECRET, algorithm="HS256")
    load_settings.cache_clear()


def test_while_the_database_is_away_users_are_asked_to_try_again(away: str) -> None:
    app = create_app("integrations", str(ROOT / "functions" / "integrations.py"))  # type: ignore[no-untyped-call] # published without types

    reply = app.test_client().get("/", headers={"Authorization": f"Bearer {away}"})

    assert reply.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.get_json(force=True)["code"] == "unavailable"


def test_while_the_database_is_away_a_tick_says_so_and_names_the_variable(away: str) -> None:
    app = create_app("scheduler", str(ROOT / "functions" / "scheduler.py"))  # type: ignore[no-untyped-call] # published without types

    reply = app.test_client().post("/", json={"seconds": 2}, headers={"Authorization": "Bearer service"})

    assert away
    assert reply.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert reply.get_json(force=True)["detail"].startswith("SUPABASE_URL: ")


def test_a_tick_whose_database_goes_away_ends_and_says_so(away: str) -> None:
    done = run_tick(as_service(), Deadline(2), None)

    assert away
    assert done["maintenance"] == {"put_off": "unavailable"}
    assert set(done["sessions"]) == set(done["deliveries"]) == {"failed_leases"}
