"""Sessions with a real service: followed or polled, everything is stored once, and what can't be replayed is told."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from shared.provider import CredentialsRefused, Deadline, Poller, ProtocolFailed, ProviderRefused
from shared.runtime.errors import InvalidConfig
from tests.fakes.grpc.proto_files import read_set
from tests.fakes.grpc.server import LIST, WATCH, FakeService
from tests.fakes.grpc.site import PAGES, STREAM, make_grpc
from tests.fakes.mqtt_driver import SECONDS, Ledger, count_messages, take_batches
from tests.seeds import SEEDS

pytestmark = pytest.mark.usefixtures("allow_loopback")
BOTH = pytest.mark.parametrize("config", [STREAM, PAGES], ids=["stream", "pages"])
MANY = 1_234


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as started:
        yield started


def list_sequences(ledger: Ledger) -> list[int]:
    return sorted(each.payload["sequence"] for each in ledger.stored.values())


def kill_after(ledger: Ledger, provider: Poller, count: int) -> None:
    """A session that commits at once and is killed when `count` messages more have come, or at its end."""
    stop = ledger.received + count
    with ledger.open_session(provider) as session:
        for batch in session:
            ledger.commit(batch)
            if ledger.received >= min(stop, MANY):
                return


def drain(ledger: Ledger, provider: Poller) -> None:
    """A session to its own end, which is soon."""
    ledger.watch(provider, SECONDS)


@BOTH
def test_all_there_is_is_stored_once_with_its_device(service: FakeService, config: dict[str, Any]) -> None:
    service.add(MANY)
    ledger = Ledger()

    ledger.run(make_grpc(service.port, **config), MANY)

    assert list_sequences(ledger) == list(range(1, MANY + 1))
    assert ledger.duplicates == 0
    assert {each.device for each in ledger.stored.values()} == {"pump-0", "pump-1", "pump-2"}
    assert ledger.state["cursor"] == MANY


@BOTH
def test_the_next_session_goes_on_where_the_last_commit_was(
    service: FakeService, config: dict[str, Any]
) -> None:
    service.add(100)
    ledger = Ledger()
    ledger.run(make_grpc(service.port, **config), 100)

    service.add(50)
    ledger.run(make_grpc(service.port, **config), 150)

    assert (ledger.received, len(ledger.stored)) == (150, 150)


@BOTH
@pytest.mark.parametrize("seed", SEEDS)
def test_sessions_that_are_killed_store_everything_once(
    service: FakeService, config: dict[str, Any], seed: int
) -> None:
    service.add(MANY)
    ledger, killed = Ledger(), 0

    while len(ledger.stored) < MANY:
        kill_after(ledger, make_grpc(service.port, **config), 97 * seed)
        killed += 1
        assert killed < MANY

    assert list_sequences(ledger) == list(range(1, MANY + 1))
    assert ledger.duplicates == 0


def test_what_is_read_and_not_committed_is_read_again(service: FakeService) -> None:
    service.add(700)
    ledger = Ledger()
    with ledger.open_session(make_grpc(service.port, **STREAM)) as session:
        handed = take_batches(session, lambda batches: count_messages(batches) >= 600)
        ledger.commit_all(handed[:-1])

    ledger.run(make_grpc(service.port, **STREAM), 700)

    assert (len(ledger.stored), ledger.duplicates) == (700, 0)


def test_a_cursor_that_a_service_takes_inclusively_stores_nothing_twice(service: FakeService) -> None:
    service.add(10)
    service.follows = False
    service.answers["Watch"] = lambda request, _context: [
        each for each in service.readings if each.sequence >= request.after
    ]
    ledger = Ledger()

    for _ in range(3):
        drain(ledger, make_grpc(service.port, **STREAM))

    assert list_sequences(ledger) == list(range(1, 11))


def test_equal_messages_without_a_cursor_of_their_own_are_all_stored_and_known_again(
    service: FakeService,
) -> None:
    reading = service.messages["Reading"]
    said = [reading(sequence=1), reading(device="a"), reading(device="a"), reading(sequence=2)]
    service.answers["Watch"] = lambda request, _context: [each for each in said if request.after != 2]
    ledger = Ledger()

    drain(ledger, make_grpc(service.port, **STREAM))
    ledger.state = {}
    drain(ledger, make_grpc(service.port, **STREAM))

    assert (len(ledger.stored), ledger.received) == (4, 8)


def test_a_stream_without_a_cursor_says_once_that_what_nobody_hears_is_lost(service: FakeService) -> None:
    service.add(3)
    ledger = Ledger()

    for _ in range(2):
        ledger.run(make_grpc(service.port, method=WATCH), 3)

    (note,) = ledger.notes
    assert note.level == "warning"
    assert "comes at most once" in note.message


def test_equal_messages_of_a_live_stream_are_all_kept(service: FakeService) -> None:
    service.add(1)
    service.readings *= 5
    ledger = Ledger()

    ledger.run(make_grpc(service.port, method=WATCH), 5)
    ledger.run(make_grpc(service.port, method=WATCH), 10)

    assert len(ledger.stored) == 10


def test_a_stream_that_has_an_end_is_the_same_the_next_time(service: FakeService) -> None:
    said = service.add(5) + service.readings[:1]
    service.answers["Watch"] = lambda _request, _context: iter(said)
    ledger = Ledger()

    for _ in range(3):
        drain(ledger, make_grpc(service.port, method=WATCH))

    assert (len(ledger.stored), ledger.received) == (6, 18)


def test_a_cursor_that_is_nowhere_is_told(service: FakeService) -> None:
    service.add(2)
    service.follows = False
    ledger = Ledger()

    drain(ledger, make_grpc(service.port, **STREAM | {"cursor_path": "sequenz"}))

    assert [note.message for note in ledger.notes if "leads nowhere" in note.message]


@BOTH
def test_a_cursor_that_the_service_has_no_longer_is_a_gap_that_is_told(
    service: FakeService, config: dict[str, Any]
) -> None:
    service.add(10)
    ledger = Ledger()
    ledger.run(make_grpc(service.port, **config), 10)
    service.add(30)
    service.oldest = 20
    listing = service._list

    def forget(request: Any, context: grpc.ServicerContext) -> Any:
        if 0 < request.after < 20:
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "compacted")
        return listing(request, context)

    service.answers["List"] = forget

    ledger.run(make_grpc(service.port, **config), 30)

    assert [note.alert for note in ledger.notes] == ["broker.overflowed"]
    assert list_sequences(ledger)[-1] == 40


def test_a_first_cursor_that_the_service_does_not_have_is_no_endless_loop(service: FakeService) -> None:
    def refuse(_request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.OUT_OF_RANGE, "compacted")

    service.answers["List"] = service.answers["Watch"] = refuse
    for config in (STREAM, PAGES):
        with pytest.raises(ProviderRefused, match="OUT_OF_RANGE"):
            drain(Ledger(), make_grpc(service.port, **config))


def test_an_uploaded_descriptor_set_needs_no_reflection() -> None:
    with FakeService(reflection=()) as service:
        service.add(3)
        ledger = Ledger()

        ledger.run(
            make_grpc(service.port, descriptor_set=base64.b64encode(read_set("demo")).decode(), **STREAM), 3
        )
        with pytest.raises(ProviderRefused, match="upload descriptor_set"):
            Ledger().run(make_grpc(service.port, **STREAM))

    assert len(ledger.stored) == 3


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_either_version_of_reflection_will_do(version: str) -> None:
    with FakeService(reflection=(version,)) as service:
        service.add(3)
        ledger = Ledger()

        ledger.run(make_grpc(service.port, **STREAM), 3)

    assert len(ledger.stored) == 3


def test_a_method_that_is_not_there_is_an_invalid_config(service: FakeService) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        Ledger().run(make_grpc(service.port, method="demo.v1.Telemetry/Look"))

    (error,) = refusal.value.errors
    assert (error.field, "it has Watch, List, Tell" in error.message) == ("method", True)


def test_a_request_that_fits_no_message_is_an_invalid_config(service: FakeService) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        drain(Ledger(), make_grpc(service.port, method=LIST, request={"side": "north"}))

    assert "demo.v1.ListRequest" in refusal.value.errors[0].message


def test_a_token_that_is_refused_ends_the_session_at_once() -> None:
    deadline = Deadline(30)
    with FakeService(token="right") as service, pytest.raises(CredentialsRefused, match="who are you"):
        drain(Ledger(), make_grpc(service.port, bearer_token="wrong", **STREAM))

    assert not deadline.expired


def test_a_stream_that_breaks_off_is_opened_again_where_it_was(service: FakeService) -> None:
    service.add(30)
    watch = service._watch

    def break_off(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        for number, each in enumerate(watch(request, context)):
            if number == 10:
                context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
            yield each

    service.answers["Watch"] = break_off
    ledger = Ledger()

    ledger.run(make_grpc(service.port, **STREAM), 30)

    assert (len(ledger.stored), ledger.duplicates) == (30, 0)
    assert [each.after for each in service.opened][:3] == [0, 10, 20]


def test_a_service_that_is_restarted_meanwhile_is_gone_on_with() -> None:
    with FakeService() as first:
        first.add(20)
        ledger = Ledger()
        provider = make_grpc(first.port, **STREAM)
        deadline = Deadline(60)
        second: FakeService | None = None
        with ledger.open_session(provider, deadline) as session:
            for batch in session:
                ledger.commit(batch)
                if len(ledger.stored) == 20 and second is None:
                    first.stop(0)
                    second = FakeService(port=first.port)
                    second.add(40)
                    second.__enter__()
                if len(ledger.stored) == 40:
                    deadline.shorten(0)
        assert second is not None
        second.stop(0)

    assert (list_sequences(ledger), ledger.duplicates) == (list(range(1, 41)), 0)


def test_a_message_that_can_not_be_read_is_kept_and_holds_up_nothing(service: FakeService) -> None:
    service.add(3)
    service.readings.insert(1, b"\xff\xff")
    service.answers["Watch"] = lambda _request, _context: iter(service.readings)
    ledger = Ledger()

    ledger.run(make_grpc(service.port, **STREAM), 4)

    (bad,) = [each for each in ledger.stored.values() if each.error]
    assert (base64.b64decode(bad.raw or ""), bad.topic) == (b"\xff\xff", WATCH)
    assert "not what the descriptors say" in (bad.error or "")


def test_an_answer_that_can_not_be_read_fails_the_poll_and_passes_nothing_over(service: FakeService) -> None:
    service.answers["List"] = lambda _request, _context: b"\xff\xff"

    with pytest.raises(ProtocolFailed, match="can't be read"):
        drain(Ledger(), make_grpc(service.port, **PAGES))


def test_pages_are_gone_on_with_where_a_session_ended(service: FakeService) -> None:
    service.add(250)
    ledger = Ledger()
    ledger.run_until(make_grpc(service.port, **PAGES), 100)

    ledger.run(make_grpc(service.port, **PAGES), 250)

    assert [each.page_token for each in service.listed][:3] == ["", "100", "200"]
    assert (len(ledger.stored), ledger.duplicates) == (250, 0)


def test_a_page_that_names_itself_as_the_next_ends_the_poll(service: FakeService) -> None:
    listed = []

    def repeat(request: Any, _context: object) -> Any:
        listed.append(request)
        return service.messages["ListReply"](next_page_token="same")

    service.answers["List"] = repeat
    ledger = Ledger()

    drain(ledger, make_grpc(service.port, **PAGES))

    assert (ledger.state["page"], len(listed)) == (None, 2)


def test_messages_without_a_cursor_of_their_own_are_the_same_after_a_break(service: FakeService) -> None:
    reading = service.messages["Reading"]
    said = [reading(sequence=1), *(reading(device=name) for name in "ab"), reading(sequence=2)]

    def watch(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        service.opened.append(request)
        is_first = len(service.opened) == 1
        yield from said[{0: 0, 1: 1, 2: 4}[request.after] : 3 if is_first else 4]
        if is_first:
            context.abort(grpc.StatusCode.UNAVAILABLE, "broken off")

    service.answers["Watch"] = watch
    ledger = Ledger()

    drain(ledger, make_grpc(service.port, **STREAM))

    assert ([each.after for each in service.opened], len(ledger.stored)) == ([0, 1, 2], 4)


def test_a_stream_that_ends_long_after_its_last_message_is_the_same_the_next_time(
    service: FakeService,
) -> None:
    is_stored = threading.Event()

    def watch(_request: Any, _context: object) -> Iterator[Any]:
        yield from service.readings
        assert is_stored.wait(SECONDS)

    service.add(3)
    service.answers["Watch"] = watch
    ledger = Ledger()

    for _ in range(2):
        is_stored.clear()
        with ledger.open_session(make_grpc(service.port, method=WATCH)) as session:
            for batch in session:
                ledger.commit(batch)
                if ledger.state and not ledger.state["is_whole"]:
                    is_stored.set()

    assert (len(ledger.stored), ledger.received) == (3, 6)


def test_an_empty_page_that_says_no_cursor_leaves_it_where_it_was(service: FakeService) -> None:
    service.add(3)

    def answer(request: Any, _context: object) -> Any:
        fresh = [each for each in service.readings if each.sequence > request.after]
        service.listed.append(request)
        return service.messages["ListReply"](readings=fresh, last=fresh[-1].sequence if fresh else 0)

    service.answers["List"] = answer
    ledger = Ledger()

    for _ in range(3):
        drain(ledger, make_grpc(service.port, **PAGES))

    assert ([each.after for each in service.listed], ledger.received) == ([0, 3, 3], 3)


def test_a_page_that_the_service_has_forgotten_begins_its_poll_anew(service: FakeService) -> None:
    service.add(250)
    ledger, listing = Ledger(), service._list
    ledger.run_until(make_grpc(service.port, **PAGES), 100)

    def forget(request: Any, context: grpc.ServicerContext) -> Any:
        if request.page_token == "100":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the page has expired")
        request.page_token = request.page_token.removeprefix("new ")
        reply = listing(request, context)
        reply.next_page_token = f"new {reply.next_page_token}" if reply.next_page_token else ""
        return reply

    service.answers["List"] = forget

    ledger.run(make_grpc(service.port, **PAGES), 250)

    assert list_sequences(ledger) == list(range(1, 251))


def test_pages_that_are_refused_again_and_again_end_the_session(service: FakeService) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> Any:
        service.listed.append(request)
        if request.page_token:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such page")
        return service.messages["ListReply"](next_page_token="next")

    service.answers["List"] = refuse
    ledger = Ledger()

    for _ in range(2):
        with pytest.raises(ProviderRefused, match="no such page"):
            drain(ledger, make_grpc(service.port, **PAGES))

    assert [each.page_token for each in service.listed] == ["", "next", "next", "", "next"]


def test_after_more_pages_than_a_poll_may_have_the_next_one_begins_anew(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.grpc.poll.MOST_PAGES_IN_ALL", 3)
    service.add(1_000)
    ledger = Ledger()

    with pytest.raises(ProtocolFailed, match="pages"):
        drain(ledger, make_grpc(service.port, **PAGES))
    assert (ledger.state["page"], ledger.state["pages"]) == (None, 0)
    del service.readings[300:]
    drain(ledger, make_grpc(service.port, **PAGES))

    assert ledger.state["cursor"] == 300
