"""Commands as mutations: what is filled in, what counts as confirmed, and what is never sent twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.codecs.codec import Codec
from shared.provider import (
    Command,
    CommandRefused,
    CredentialsRefused,
    Outcome,
    ProviderRefused,
    Unavailable,
)
from shared.providers.graphql.api import GraphqlApi
from tests.fakes.graphql import FakeGraphql
from tests.fakes.graphql.driver import LIVE, make_graphql
from tests.fakes.http_receiver import Answer, HttpReceiver

pytestmark = pytest.mark.usefixtures("allow_loopback")
MUTATION = "mutation ($device: ID!, $payload: JSON) { send(device: $device, payload: $payload) { ok job } }"
REPEATABLE = "mutation ($device: ID!, $command_id: ID!) { send(device: $device, id: $command_id) { ok job } }"


def send(url: str, device: str = "oven", payload: Any = None, **config: Any) -> Outcome:
    command = Command("c-1", device, "heat", {"to": 180} if payload is None else payload, datetime.now(UTC))
    return make_graphql(url, **{"mutation": MUTATION} | config).send(command)


def test_a_command_is_the_mutation_with_the_variables_it_names(api: FakeGraphql) -> None:
    outcome = send(api.url)

    assert api.asked == [{"query": MUTATION, "variables": {"device": "oven", "payload": {"to": 180}}}]
    assert outcome == Outcome(confirmed=False, result={"send": {"ok": True, "job": "j-1"}})


def test_variables_are_a_template_that_no_device_breaks_out_of(api: FakeGraphql) -> None:
    variables = {"input": {"who": "{{device}}", "what": "{{name}}!", "n": [1, "{{payload.to}}"]}, "other": 1}

    send(
        api.url,
        device='"}]{{name}}\\',
        mutation_variables=variables,
        mutation=MUTATION.replace("payload", "input"),
    )

    assert api.asked[0]["variables"] == {"input": {"who": '"}]{{name}}\\', "what": "heat!", "n": [1, 180]}}


def test_what_says_that_the_device_has_it_confirms_it_or_fails_it(api: FakeGraphql) -> None:
    assert send(api.url, mutation_ok="send.ok", mutation_result="send.job") == Outcome(
        confirmed=True, result="j-1"
    )
    with pytest.raises(CommandRefused, match="did not take it"):
        send(api.url, device="deaf", mutation_ok="send.ok")


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (500, {"message": "oops"}, CommandRefused),
        (504, "gateway", CommandRefused),
        (524, "a gateway's own: it was sent on, and no answer came", CommandRefused),
        (520, {}, CommandRefused),
        (408, {}, CommandRefused),
        (503, {"message": "later"}, ProviderRefused),
        (429, {"message": "slower"}, ProviderRefused),
        (401, {}, CredentialsRefused),
        (200, {"errors": [{"message": "bad", "extensions": {"code": "BAD_USER_INPUT"}}]}, ProviderRefused),
        (
            200,
            {"errors": [{"message": "oops", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]},
            CommandRefused,
        ),
        (200, "half an ans", CommandRefused),
    ],
)
def test_what_may_have_had_its_effect_is_final_and_sent_once(
    api: FakeGraphql, status: int, answer: Any, error: type[Exception]
) -> None:
    api.behaviour.http_answer = (status, answer)

    with pytest.raises(error):
        send(api.url)

    assert len(api.asked) == 1


def test_a_mutation_that_takes_the_commands_id_may_be_sent_again(api: FakeGraphql) -> None:
    api.behaviour.http_answer = (502, {"message": "oops"})

    with pytest.raises(ProviderRefused) as refused:
        send(api.url, mutation=REPEATABLE)

    assert not refused.value.is_final
    assert api.asked[0]["variables"]["command_id"] == "c-1"


def test_no_answer_at_all_is_final_too() -> None:
    with HttpReceiver(
        lambda _: Answer(200, b'{"data"', {"Content-Length": "4000", "Connection": "close"})
    ) as cut:
        cut_off = cut.url
        with pytest.raises(CommandRefused, match="not known"):
            make_graphql(cut_off, mutation=MUTATION).send(Command("c", "d", "n", {}, datetime.now(UTC)))

    assert len(cut.requests) == 1


def test_an_answer_that_can_not_be_read_is_final_and_its_result_kept_whole(
    api: FakeGraphql, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_busy(*_: Any) -> None:
        raise Unavailable("All decoders are busy.")

    monkeypatch.setattr(Codec, "decode", be_busy)

    outcome = send(api.url, mutation_result="send.[job]")
    with pytest.raises(CommandRefused, match=r"can't be told.*All decoders are busy"):
        send(api.url, mutation_ok="send.[ok][0]")
    with pytest.raises(Unavailable):
        send(api.url, mutation=REPEATABLE, mutation_ok="send.[ok][0]")

    assert outcome == Outcome(confirmed=False, result={"send": {"ok": True, "job": "j-1"}})
    assert len(api.asked) == 3


def test_an_expression_that_fails_is_not_taken_for_a_refusal(api: FakeGraphql) -> None:
    with pytest.raises(CommandRefused, match="can't be told from its answer"):
        send(api.url, mutation_ok="length(send.ok)")


def test_no_memory_for_the_answer_is_final_too(api: FakeGraphql, monkeypatch: pytest.MonkeyPatch) -> None:
    def have_none(*_: Any) -> None:
        raise Unavailable("There is no memory.")

    monkeypatch.setattr(GraphqlApi, "_meet", have_none)

    with pytest.raises(CommandRefused, match=r"no memory.*not known"):
        send(api.url)

    assert len(api.asked) == 1


def test_nobody_being_there_is_not_final() -> None:
    with HttpReceiver() as gone:
        url = gone.url
    with pytest.raises(Exception, match="refused the connection") as refused:
        send(url)

    assert not refused.value.is_final  # type: ignore[attr-defined]


def test_without_a_mutation_no_command_is_taken(api: FakeGraphql) -> None:
    graphql = make_graphql(api.url, **LIVE)

    with pytest.raises(CommandRefused, match="set mutation"):
        graphql.check_command({}, "d", "n")
    with pytest.raises(CommandRefused, match="set mutation"):
        send(api.url, mutation=None, **LIVE)
