"""The client that any JSON API can have, against a real server: what goes out, what is tried again, what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    AnswerUnreadable,
    CredentialsRefused,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    Unavailable,
)
from shared.runtime.memory import MemoryBudget
from shared.runtime.outbound import Access, JsonApi, api_client
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


CUT = {"Connection": "close", "Content-Length": "1000"}


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(200, b"{"), 10),
        (Answer(201, b"{", CUT), 10),
        (Answer(200, b"{", {"Content-Length": "9"}), 0.5),
    ],
    ids=["no JSON", "cut off", "late"],
)
def test_what_was_done_once_and_answered_with_what_can_not_be_read_is_told_apart(
    receiver: HttpReceiver, answer: Answer, seconds: float
) -> None:
    receiver.answer = lambda _: answer

    with open_api(receiver, "one", seconds) as api, pytest.raises(AnswerUnreadable):
        api.call("POST", "", again=False)

    assert len(receiver.requests) == 1


def test_a_refusal_that_is_cut_off_or_late_was_not_done(receiver: HttpReceiver) -> None:
    answer_in_turn(receiver, Answer(400, b"{", CUT), Answer(400, b"{", {"Content-Length": "9"}))

    with open_api(receiver, "one", 1) as api:
        for expected in (ProtocolFailed, TimedOut):
            with pytest.raises(expected) as refusal:
                api.call("POST", "", again=False)
            assert not isinstance(refusal.value, AnswerUnreadable)


def test_a_part_of_a_path_cannot_lead_elsewhere(api: JsonApi) -> None:
    assert api.join_path("a", "../b?c") == "/a/..%2Fb%3Fc"
    with pytest.raises(ProtocolFailed, match=r"Acme has nothing of the name '\.\.'"):
        api.join_path("a", "..")


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> MemoryBudget:
    made = MemoryBudget(32 * 1_048_576)
    monkeypatch.setattr(api_client, "load_budget", lambda: made)
    return made


def open_api(receiver: HttpReceiver, owner: str, seconds: float = 20) -> JsonApi:
    return JsonApi(Access("Acme", receiver.url, {}, [], owner), Deadline(seconds))


ROWS = b"[" + b",".join([b'{"a":1}'] * 10_000) + b"]"


def test_what_is_answered_is_held_until_the_next_call_and_then_given_back(
    receiver: HttpReceiver, budget: MemoryBudget
) -> None:
    answer_in_turn(receiver, Answer(body=ROWS), Answer(body=b"[]"))

    with open_api(receiver, "one") as api:
        api.call("POST", "")
        while_used = budget.free
        api.call("POST", "")
        after = budget.free

    assert 32 * 1_048_576 - while_used >= len(ROWS) * 20
    assert after == budget.free == 32 * 1_048_576


def test_an_answer_that_no_share_holds_is_refused_before_it_is_parsed(
    receiver: HttpReceiver, budget: MemoryBudget
) -> None:
    receiver.answer = lambda _: Answer(body=b"[" + b"{}," * 5_000_000 + b"{}]")

    with open_api(receiver, "one") as api, pytest.raises(ProtocolFailed, match="more JSON at once than"):
        api.call("POST", "")

    assert budget.free == 32 * 1_048_576


def test_many_large_answers_of_one_organization_wait_for_one_another_and_nobody_else_does(
    receiver: HttpReceiver, budget: MemoryBudget
) -> None:
    large, least = b"[" + b",".join([b'{"a":1}'] * 40_000) + b"]", []
    receiver.answer = lambda _: Answer(body=large)

    def use(owner: str) -> float:
        begun = time.monotonic()
        with open_api(receiver, owner) as api:
            api.call("POST", "")
            least.append(budget.free)
            time.sleep(0.6 if owner == "hostile" else 0)
        return time.monotonic() - begun

    with ThreadPoolExecutor(9) as threads:
        hostile = [threads.submit(use, "hostile") for _ in range(8)]
        time.sleep(0.2)
        other = threads.submit(use, "other").result()
        slowest = max(each.result() for each in hostile)

    assert other < 0.6 * 8 / 2 < slowest
    assert min(least) >= 0
    assert budget.free == 32 * 1_048_576


def test_without_memory_a_call_ends_with_its_deadline_and_holds_nothing(
    receiver: HttpReceiver, budget: MemoryBudget
) -> None:
    receiver.answer = lambda _: Answer(body=ROWS)
    budget.open("other").hold(budget.free)

    with open_api(receiver, "one", 0.5) as api, pytest.raises(Unavailable):
        api.call("POST", "")

    assert budget.free == 0


def test_what_was_done_once_and_is_answered_with_what_there_is_no_memory_for_was_done(
    receiver: HttpReceiver, budget: MemoryBudget
) -> None:
    receiver.answer = lambda _: Answer(body=ROWS)
    budget.open("other").hold(budget.free)

    with open_api(receiver, "one", 0.5) as api, pytest.raises(AnswerUnreadable):
        api.call("POST", "", again=False)
