"""The gateway routes by prefix, lets the key stand in for a token, and keeps threads free for /rest/v1."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.test import Client

from scripts.local import gateway
from scripts.local.edge import OPEN_OF_AUTH, front_service
from scripts.local.gateway import Gateway


def show_request(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    seen = [environ["SCRIPT_NAME"], environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION", "none")]
    return [" ".join(seen).encode()]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/rest/v1/devices", "/rest/v1 /devices"),
        ("/rest/v1", "/rest/v1 /"),
        ("/functions/v1/hello", "/functions/v1/hello /"),
        ("/functions/v1/hello/a/b", "/functions/v1/hello /a/b"),
    ],
)
def test_what_is_called_sees_the_path_behind_its_prefix(path: str, seen: str) -> None:
    client = Client(Gateway({"/rest/v1": show_request}, {"hello": show_request}))

    assert client.get(path).text == f"{seen} none"


@pytest.mark.parametrize(
    "path", ["/", "/rest/v10", "/functions/v1/", "/functions/v1/other", "/storage/v1/object"]
)
def test_anything_else_is_not_found(path: str) -> None:
    client = Client(Gateway({"/rest/v1": show_request}, {"hello": show_request}))

    reply = client.get(path)

    assert reply.status_code == 404
    assert reply.json is not None
    assert reply.json["code"] == "NOT_FOUND"


def test_an_address_that_nothing_serves_is_told_what_is_served() -> None:
    reply = Client(Gateway({}, {})).get("/storage/v1/object")

    assert reply.json is not None
    assert "/rest/v1, /auth/v1 and /functions/v1; docs/local-stack.md" in reply.json["message"]


def test_the_key_stands_in_for_a_missing_token_only() -> None:
    client = Client(front_service(show_request, ["K", "S"]))

    assert client.get("/", headers={"apikey": "K"}).text.endswith("Bearer K")
    assert client.get("/", headers={"apikey": "K", "Authorization": "Bearer T"}).text.endswith("Bearer T")


@pytest.mark.parametrize("key", ["", "made-up"])
def test_without_one_of_the_keys_the_gateway_answers_itself_and_browsers_may_read_it(key: str) -> None:
    client = Client(front_service(show_request, ["K", "S"]))

    reply = client.get("/devices", headers={"Authorization": "Bearer T"} | ({"apikey": key} if key else {}))

    assert reply.status_code == 401
    assert reply.json is not None
    assert reply.json["message"] == ("Invalid API key" if key else "No API key found in request")
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def test_the_key_may_stand_in_the_address_and_links_need_none() -> None:
    client = Client(front_service(show_request, ["K", "S"], OPEN_OF_AUTH))

    assert client.get("/devices?apikey=S").status_code == 200
    assert client.get("/verify?token=T").status_code == 200
    assert client.get("/.well-known/jwks.json").status_code == 200
    assert client.get("/user").status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/rest/v1/x", 200),
        ("/auth/v1/x", 200),
        ("/functions/v1/none", 204),
        ("/functions/v1/", 204),
        ("/nowhere", 204),
        ("/storage/v1/x", 204),
    ],
)
def test_browsers_of_any_origin_may_ask_every_door_and_read_what_it_answers(path: str, status: int) -> None:
    services = {prefix: front_service(show_request, ["K"]) for prefix in ("/rest/v1", "/auth/v1")}
    client = Client(Gateway(services, {}))
    asked = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}

    preflight, reply = client.options(path, headers=asked), client.get(path)

    assert preflight.status_code == status
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def test_what_fails_unexpectedly_is_answered_so_that_a_browser_may_read_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        raise ZeroDivisionError(environ, start_response)

    reply = Client(front_service(fail, ["K"])).get("/x", headers={"apikey": "K"})

    assert (reply.status_code, reply.headers["Access-Control-Allow-Origin"]) == (500, "*")
    assert "ZeroDivisionError" in caplog.text


def test_functions_beyond_the_limit_are_refused_while_the_rest_api_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway, "FUNCTIONS_RUNNING", 1)
    monkeypatch.setattr(gateway, "FUNCTION_WAIT_SECONDS", 0.05)
    started, go_on = threading.Event(), threading.Event()

    def wait_for_us(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        started.set()
        go_on.wait(10)
        return show_request(environ, start_response)

    client = Client(Gateway({"/rest/v1": show_request}, {"slow": wait_for_us}))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.get, "/functions/v1/slow")
        started.wait(10)

        refused = client.get("/functions/v1/slow")
        rest = client.get("/rest/v1/devices")
        go_on.set()

        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert rest.status_code == 200
        assert first.result().status_code == 200
    assert client.get("/functions/v1/slow").status_code == 200
