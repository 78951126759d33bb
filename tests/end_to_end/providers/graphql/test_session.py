"""A session with a real API: what the query and the subscription bring is stored once, and what may be lost is told."""

from __future__ import annotations

import random
import tracemalloc
from typing import Any

import pytest

from shared.provider import (
    CredentialsRefused,
    OutsideError,
    ProviderRefused,
    StreamEnded,
    TimedOut,
)
from shared.providers.graphql import session as sessions
from shared.providers.graphql.catch_up import Seen
from tests.fakes.graphql import FakeGraphql
from tests.fakes.graphql.driver import (
    LIVE,
    READ,
    STREAM,
    Session,
    list_ids,
    make_graphql,
    make_reading,
    make_readings,
)
from tests.fakes.mqtt_driver import Ledger
from tests.seeds import SEEDS
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("allow_loopback", "nothing_is_kept")
PROTOCOLS = ["auto", "transport-ws", "legacy", "sse", "appsync"]


def wait_for(ledger: Ledger, count: int) -> None:
    wait_until(lambda: len(ledger.stored) >= count, f"{len(ledger.stored)} of {count} came")


def test_a_query_is_asked_page_by_page_from_its_cursor_on(api: FakeGraphql) -> None:
    api.readings = make_readings(250)
    ledger, graphql = Ledger(), make_graphql(api.url, **READ)

    ledger.run(graphql, 250)
    api.add(make_reading(250))
    ledger.run(graphql, 251)

    assert list_ids(ledger) == list(range(251))
    assert ledger.duplicates == 0
    assert [body["variables"] for body in api.asked] == [{}, {"cursor": 99}, {"cursor": 199}, {"cursor": 249}]
    assert {message.device for message in ledger.stored.values()} == {"d0", "d1", "d2"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_subscription_brings_what_is_new_by_each_protocol(api: FakeGraphql, protocol: str) -> None:
    api.readings = make_readings(10)
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **READ, **LIVE, protocol=protocol)):
        wait_until(lambda: api.listeners, "nobody subscribed")
        wait_for(ledger, 10)
        api.add(*make_readings(300, first=10))
        wait_for(ledger, 310)

    assert list_ids(ledger) == list(range(310))
    assert ledger.state["cursor"] == 309
    assert not ledger.notes


def test_without_websockets_event_streams_are_tried_and_remembered(api: FakeGraphql) -> None:
    api.behaviour.sockets = False
    ledger, graphql = Ledger(), make_graphql(api.url, **READ, **LIVE)

    for number in range(2):
        with Session(ledger, graphql):
            wait_until(lambda: api.listeners, "nobody subscribed")
            api.add(make_reading(number))
            wait_for(ledger, number + 1)

    assert ledger.state["way"] == "events"
    assert sum("Sec-WebSocket-Key" in headers for headers in api.headers) == 1


def test_what_happens_before_a_subscription_counts_is_brought_by_the_query(
    api: FakeGraphql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SWEEP_SECONDS", 0.2)
    api.behaviour.deaf_seconds = 0.5
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **READ, **LIVE)):
        wait_until(lambda: any(each["type"] == "subscribe" for each in api.said), "nobody subscribed")
        wait_until(lambda: len(api.asked) >= 2, "the query is not asked again")
        api.add(make_reading(1))
        wait_for(ledger, 1)

    assert list_ids(ledger) == [1]


def test_a_subscription_that_brings_nothing_loses_nothing(
    api: FakeGraphql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SWEEP_SECONDS", 0.2)
    api.behaviour.silent = True
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **READ, **LIVE)):
        wait_until(lambda: api.listeners, "nobody subscribed")
        api.add(*make_readings(5))
        wait_for(ledger, 5)

    assert list_ids(ledger) == list(range(5))


@pytest.mark.parametrize("protocol", ["auto", "sse"])
@pytest.mark.parametrize("end", [None, 1012, 4499])
@pytest.mark.usefixtures("quick")
def test_a_subscription_that_ends_is_begun_again_and_nothing_is_missed(
    api: FakeGraphql, protocol: str, end: int | None
) -> None:
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **READ, **LIVE, protocol=protocol)):
        for number in range(3):
            begun = api.subscribed
            wait_until(lambda begun=begun: api.listeners and api.subscribed >= begun, "nobody subscribed")  # type: ignore[misc]
            api.add(make_reading(2 * number))
            wait_for(ledger, 2 * number + 1)
            api.end_feeds(end)
            api.readings.append(make_reading(2 * number + 1))
            wait_for(ledger, 2 * number + 2)

    assert list_ids(ledger) == list(range(6))


@pytest.mark.usefixtures("quick")
def test_a_subscription_that_never_lasts_is_an_error_after_some_tries(api: FakeGraphql) -> None:
    api.behaviour.refuses_with = 1013

    with pytest.raises(StreamEnded, match="has too much to do"):
        Ledger().watch(make_graphql(api.url, **LIVE), 60)

    assert sum(each["type"] == "connection_init" for each in api.said) == sessions.TRIES


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (4401, CredentialsRefused, "did not accept the credentials"),
        (4403, CredentialsRefused, "refused the credentials"),
        (4400, OutsideError, "could not read what was sent"),
        (4408, TimedOut, "waited too long"),
        (4429, OutsideError, "asked to begin more than once"),
        (4999, StreamEnded, "closed the connection"),
    ],
)
@pytest.mark.usefixtures("quick")
def test_codes_that_a_connection_is_closed_with_are_told_in_words(
    api: FakeGraphql, code: int, error: type[OutsideError], words: str
) -> None:
    api.behaviour.refuses_with = code

    with pytest.raises(error, match=rf"{words}.*\({code}\)"):
        Ledger().watch(make_graphql(api.url, **LIVE, protocol="transport-ws"), 60)


def test_a_refusal_of_the_older_protocol_is_one_of_credentials(api: FakeGraphql) -> None:
    api.behaviour.refuses_payload = {"message": "invalid x-hasura-admin-secret"}

    with pytest.raises(CredentialsRefused, match="invalid x-hasura-admin-secret"):
        Ledger().watch(make_graphql(api.url, **LIVE, protocol="legacy"), 60)


def test_a_keep_alive_before_the_acknowledgement_is_no_harm(api: FakeGraphql) -> None:
    api.behaviour.early_ka = True
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **LIVE, protocol="legacy")):
        wait_until(lambda: api.listeners, "nobody subscribed")
        api.add(make_reading(1))
        wait_for(ledger, 1)


def test_what_a_subscription_without_cursor_may_lose_is_told_once(api: FakeGraphql) -> None:
    ledger, graphql = Ledger(), make_graphql(api.url, **LIVE)

    for number in range(2):
        with Session(ledger, graphql):
            wait_until(lambda: api.listeners, "nobody subscribed")
            api.add(make_reading(number))
            wait_for(ledger, number + 1)
        wait_until(lambda: not api.listeners, "the subscription stays")

    assert [note.message for note in ledger.notes] == [sessions.ONCE]


@pytest.mark.parametrize("protocol", ["transport-ws", "legacy", "sse"])
def test_a_subscription_with_a_cursor_goes_on_where_it_was(api: FakeGraphql, protocol: str) -> None:
    api.readings = make_readings(20)
    ledger, graphql = Ledger(), make_graphql(api.url, **STREAM, protocol=protocol)

    with Session(ledger, graphql):
        wait_for(ledger, 20)
        wait_until(lambda: api.listeners, "nobody subscribed")
        api.add(*make_readings(20, first=20))
        wait_for(ledger, 40)
    api.readings += make_readings(20, first=40)
    with Session(ledger, graphql):
        wait_for(ledger, 60)

    assert list_ids(ledger) == list(range(60))
    assert ledger.duplicates == 0
    assert not ledger.notes


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("config", [READ | LIVE, STREAM], ids=["query", "stream"])
def test_a_session_that_is_killed_anywhere_loses_nothing_and_stores_nothing_twice(
    api: FakeGraphql, config: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable
    api.readings, api.behaviour.page = make_readings(200), 7
    ledger, graphql = Ledger(), make_graphql(api.url, **config)

    for number in range(6):
        ledger.run_until(graphql, chance.randrange(1, 40))
        api.add(*make_readings(10, first=200 + 10 * number))
    with Session(ledger, graphql):
        wait_for(ledger, 260)

    assert list_ids(ledger) == list(range(260))


def test_who_is_far_behind_reads_on_before_subscribing(api: FakeGraphql) -> None:
    api.readings, api.behaviour.page = make_readings(350), 1
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **READ, **LIVE)):
        wait_until(lambda: api.listeners, "nobody subscribed")
        assert len(ledger.stored) == 350


def test_a_cursor_that_is_nowhere_in_the_results_is_told_once(api: FakeGraphql) -> None:
    api.readings = make_readings(250)
    ledger, graphql = Ledger(), make_graphql(api.url, **READ | {"query_cursor": "readings.pageInfo.endCursr"})

    ledger.run(graphql, 100)
    ledger.run(graphql, 100)

    (note,) = ledger.notes
    assert "query_cursor" in note.message
    assert "only the first page" in note.message


def test_a_subscription_without_the_cursor_it_should_go_on_from_is_told(api: FakeGraphql) -> None:
    api.readings = make_readings(2)
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **STREAM | {"subscription_cursor": "readings_stream[-1].no"})):
        wait_for(ledger, 2)

    (note,) = ledger.notes
    assert "subscription_cursor" in note.message


@pytest.mark.parametrize(("item_key", "count"), [("id", 1), ("reading.id", 1), (None, 0)])
def test_items_without_a_name_of_their_own_are_told_once(
    api: FakeGraphql, item_key: str | None, count: int
) -> None:
    answer = {"data": {"readings": [{"device": "d1", "temperature": 20}] * 2}}
    api.behaviour.http_answer = (200, answer)
    ledger = Ledger()

    for _ in range(2):
        ledger.run(make_graphql(api.url, query=READ["query"], item_key=item_key), 1)

    assert [note.message.startswith("Items have nothing at item_key") for note in ledger.notes] == [
        True
    ] * count


def test_a_slow_database_holds_up_the_reading_and_loses_nothing(api: FakeGraphql) -> None:
    api.readings, api.behaviour.page = make_readings(5_000), 500
    ledger = Ledger()

    ledger.run_slowly(make_graphql(api.url, **READ), 5_000, 0.05)

    assert list_ids(ledger) == list(range(5_000))


def test_errors_without_data_fail_the_session_in_their_words(api: FakeGraphql) -> None:
    api.behaviour.http_answer = (200, {"data": None, "errors": [{"message": "field 'x' not found"}]})

    with pytest.raises(ProviderRefused, match="field 'x' not found"):
        Ledger().run(make_graphql(api.url, **READ))


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "access-denied", "FORBIDDEN"])
def test_errors_about_who_asks_are_about_credentials(api: FakeGraphql, code: str) -> None:
    answer = {"errors": [{"message": "no", "extensions": {"code": code}}]}
    api.behaviour.http_answer = (200, answer)

    with pytest.raises(CredentialsRefused):
        Ledger().run(make_graphql(api.url, **READ))


def test_what_there_is_of_a_partial_result_is_stored_and_the_rest_told_once(api: FakeGraphql) -> None:
    answer = {
        "data": {"readings": [make_reading(1), None, make_reading(2)]},
        "errors": [{"message": "a shard is down", "path": ["readings", 1]}],
    }
    api.behaviour.http_answer = (200, answer)
    ledger, graphql = Ledger(), make_graphql(api.url, **READ)

    ledger.run(graphql, 2)
    ledger.run(graphql, 2)

    assert list_ids(ledger) == [1, 2]
    assert [
        note.message.partition(" a shard is down (at readings.1).")[1] != "" for note in ledger.notes
    ] == [True]


def test_what_a_subscription_brings_in_part_the_query_brings_whole(api: FakeGraphql) -> None:
    ledger = Ledger()
    part = {
        "data": {"readingAdded": make_reading(1) | {"temperature": None}},
        "errors": [{"message": "busy"}],
    }

    with Session(ledger, make_graphql(api.url, **READ, **LIVE)):
        wait_until(lambda: api.listeners, "nobody subscribed")
        api.behaviour.silent = True
        api.add(make_reading(1))
        api._run(api._tell(part))
        api._run(api._tell({"data": {"readingAdded": make_reading(0)}}))
        wait_for(ledger, 1)

    assert {message.payload["id"]: message.payload for message in ledger.stored.values()} == {
        0: make_reading(0),
        1: make_reading(1),
    }


def test_what_a_subscription_lacks_is_told_once_however_whole_the_query_is(
    api: FakeGraphql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SWEEP_SECONDS", 0.01)
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, query=READ["query"], **LIVE)):
        wait_until(lambda: api.listeners, "nobody subscribed")
        for number in range(3):
            part = {"data": {"readingAdded": make_reading(number)}, "errors": [{"message": "busy"}]}
            asked = len(api.asked)
            api._run(api._tell(part))
            wait_for(ledger, number + 1)
            wait_until(lambda asked=asked: len(api.asked) > asked + 1, "the query is not asked again")  # type: ignore[misc]

    assert sum("subscription are not whole" in note.message for note in ledger.notes) == 1


def test_long_names_take_no_memory() -> None:
    seen = Seen()

    tracemalloc.start()
    seen.add([(f"{number:0>1000}\U0001f600", b"") for number in range(5_000)])
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 2_000_000
    assert seen.drop_known([(f"{3:0>1000}\U0001f600", b""), ("new", b"")]) == [("new", b"")]


def test_a_result_of_a_subscription_without_data_is_kept_with_its_error(api: FakeGraphql) -> None:
    ledger = Ledger()

    with Session(ledger, make_graphql(api.url, **LIVE)):
        wait_until(lambda: api.listeners, "nobody subscribed")
        api._run(api._tell({"data": None, "errors": [{"message": "the sensor is gone"}]}))
        api.add(make_reading(1))
        wait_for(ledger, 2)

    (kept,) = (message for message in ledger.stored.values() if message.error)
    assert kept.error == "The API sent no data: the sensor is gone."
    assert "the sensor is gone" in (kept.raw or "")


def test_expressions_shape_items_and_codecs_of_no_kind_are_needed(api: FakeGraphql) -> None:
    api.readings = make_readings(3)
    shaped = "readings[].{id: id, device: join('-', ['probe', to_string(id)]), timestamp: `1767225600`, t: temperature}"
    ledger = Ledger()

    ledger.run(make_graphql(api.url, **READ, query_items=shaped), 3)

    assert [(message.device, message.payload["t"]) for message in ledger.stored.values()] == [
        *(("probe-0", 0), ("probe-1", 0.1), ("probe-2", 0.2)),
    ]
    assert {message.observed_at for message in ledger.stored.values()} == {"2026-01-01T00:00:00+00:00"}
