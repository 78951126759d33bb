"""The connection test of a GraphQL API: what each step sees, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import Check
from tests.fakes.graphql import FakeGraphql
from tests.fakes.graphql.driver import LIVE, READ, STREAM, make_graphql, make_readings

pytestmark = pytest.mark.usefixtures("allow_loopback")


def check(api: FakeGraphql, **config: Any) -> dict[str, Check]:
    return {step.name: step for step in make_graphql(api.url, **config).check()}


def test_each_step_says_what_it_saw(api: FakeGraphql) -> None:
    api.readings = make_readings(7)

    steps = check(api, **READ, **LIVE)

    assert list(steps) == ["address", "api", "query", "subscription"]
    assert all(step.ok for step in steps.values())
    assert "7 items" in steps["query"].detail
    assert "graphql:0" in steps["query"].detail
    assert "cursor behind them: 6" in steps["query"].detail
    assert "graphql-transport-ws" in steps["subscription"].detail


def test_event_streams_are_found_where_there_is_no_websocket(api: FakeGraphql) -> None:
    api.behaviour.sockets = False

    assert "server-sent events" in check(api, **LIVE)["subscription"].detail


def test_a_stream_is_begun_from_the_first_cursor(api: FakeGraphql) -> None:
    api.readings = make_readings(7)

    steps = check(api, **STREAM, first_cursor=3)

    assert "Results came at once" in steps["subscription"].detail
    (subscribed,) = [each["payload"] for each in api.said if each["type"] == "subscribe"]
    assert subscribed["variables"] == {"cursor": 3}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, {"errors": [{"message": "who are you"}]}), "refused the credentials (401): who are you"),
        ((404, "not here"), "answered 404"),
        ((200, {"hello": "world"}), "no result of GraphQL"),
        ((200, "<html>"), "is not JSON"),
        ((200, {"errors": [{"message": "off", "extensions": {"code": "UNAUTHENTICATED"}}]}), "off"),
    ],
)
def test_what_does_not_answer_as_graphql_ends_the_test(api: FakeGraphql, answer: Any, words: str) -> None:
    api.behaviour.http_answer = answer

    steps = check(api, **READ, **LIVE)

    assert list(steps) == ["address", "api"]
    assert not steps["api"].ok
    assert words in steps["api"].detail


def test_an_expression_that_does_not_compile_is_told(api: FakeGraphql) -> None:
    steps = check(api, **READ, query_items="readings[")

    assert not steps["query"].ok
    assert "not valid" in steps["query"].detail


def test_a_subscription_that_is_refused_is_told(api: FakeGraphql) -> None:
    api.behaviour.refuses_with = 4403

    steps = check(api, **LIVE)

    assert not steps["subscription"].ok
    assert "(4403)" in steps["subscription"].detail
