"""The client that any JSON API can have, against a real server: what goes out, what is tried again, what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.runtime.deadline import Deadline
from shared.runtime.errors import CredentialsRefused, ProtocolFailed, ProviderRefused
from shared.runtime.outbound import Access, JsonApi
from tests.fakes.http_receiver import Answer, HttpReceiver

pytestmark = pytest.mark.usefixtures("allow_loopback")

KEY = "canary-key"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as started:
        yield started


@pytest.fixture
def api(receiver: HttpReceiver) -> Iterator[JsonApi]:
    with JsonApi(Access("Acme", receiver.url, {"X-Key": KEY}, [KEY]), Deadline(10)) as opened:
        yield opened


def answer_in_turn(receiver: HttpReceiver, *answers: Answer) -> None:
    left = list(answers)
    receiver.answer = lambda _: left.pop(0)


def test_a_call_carries_its_headers_its_query_and_its_json(receiver: HttpReceiver, api: JsonApi) -> None:
    receiver.answer = lambda _: Answer(body=b'{"done": true}')

    reply = api.call("POST", "/a%2Fb", {"n": 1}, query={"tag": ["x", "y"], "none": None, "empty": ""})

    (request,) = receiver.requests
    assert reply == {"done": True}
    assert (request.path, request.body) == ("/hook/a%2Fb?tag=x&tag=y", b'{"n":1}')
    assert (request.headers["x-key"], request.headers["content-type"]) == (KEY, "application/json")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_may_pass_is_tried_again(receiver: HttpReceiver, api: JsonApi, status: int) -> None:
    answer_in_turn(receiver, Answer(status, b"", {"Retry-After": "0"}), Answer(body=b"[]"))

    assert api.call("PUT", "", {}) == []


@pytest.mark.parametrize(("status", "tries"), [(408, 1), (429, 2), (503, 1), (501, 1), (404, 1)])
def test_what_may_have_had_its_effect_is_not(
    receiver: HttpReceiver, api: JsonApi, status: int, tries: int
) -> None:
    answer_in_turn(receiver, Answer(status, b"", {"Retry-After": "0"}), Answer(404, b'{"message": "No."}'))

    with pytest.raises(ProviderRefused, match="Acme answered"):
        api.call("PUT", "", {}, again=False)

    assert len(receiver.requests) == tries


def test_a_refused_key_is_told_in_the_apis_words_without_the_key(
    receiver: HttpReceiver, api: JsonApi
) -> None:
    receiver.answer = lambda _: Answer(403, f'{{"message": "no {KEY}"}}'.encode())

    with pytest.raises(CredentialsRefused, match=r"Acme refused the API key \(403\): no \*\*\*"):
        api.call("PUT", "", {})


@pytest.mark.parametrize("body", [b"<html>", b"{"])
def test_an_answer_that_is_no_json_is_refused(receiver: HttpReceiver, api: JsonApi, body: bytes) -> None:
    receiver.answer = lambda _: Answer(body=body)

    with pytest.raises(ProtocolFailed, match="Acme's answer is not JSON"):
        api.call("PUT", "", {})


def test_a_part_of_a_path_cannot_lead_elsewhere(api: JsonApi) -> None:
    assert api.join_path("a", "../b?c") == "/a/..%2Fb%3Fc"
    with pytest.raises(ProtocolFailed, match=r"Acme has nothing of the name '\.\.'"):
        api.join_path("a", "..")
