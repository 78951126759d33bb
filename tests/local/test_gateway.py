"""The gateway routes by prefix, lets the key stand in for a token, and keeps threads free for /rest/v1."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from werkzeug.test import Client

from scripts.local import gateway
from scripts.local.edge import front_service
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


def test_the_key_stands_in_for_a_missing_token_only() -> None:
    client = Client(front_service(show_request))

    assert client.get("/", headers={"apikey": "K"}).text.endswith("Bearer K")
    assert client.get("/", headers={"apikey": "K", "Authorization": "Bearer T"}).text.endswith("Bearer T")


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
