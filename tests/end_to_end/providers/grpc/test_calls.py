"""Commands as calls, and the connection test: what a service answers, and what its refusals come to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from shared.provider import (
    Check,
    Command,
    CommandRefused,
    CredentialsRefused,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
)
from shared.providers.grpc.channel import MESSAGE_BYTES
from tests.fakes.grpc.server import LIST, WATCH, FakeService
from tests.fakes.grpc.site import COMMANDS, PAGES, STREAM, make_grpc

pytestmark = pytest.mark.usefixtures("allow_loopback")
Code = grpc.StatusCode


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as started:
        yield started


def make_command(payload: Any = None, device: str = "pump-1") -> Command:
    return Command("c-1", device, "start", payload, datetime.now(UTC) + timedelta(hours=1))


def refuse_with(service: FakeService, code: grpc.StatusCode, *details: Any, trailers: Any = ()) -> None:
    def refuse(_request: Any, context: grpc.ServicerContext) -> Any:
        if details:
            packed = []
            for each in details:
                holder = any_pb2.Any()
                holder.Pack(each)
                packed.append(holder)
            status = status_pb2.Status(code=code.value[0], message="no", details=packed)
            context.set_trailing_metadata(
                (("grpc-status-details-bin", status.SerializeToString()), *trailers)
            )
        elif trailers:
            context.set_trailing_metadata(trailers)
        context.abort(code, "no")

    service.answers.update(Tell=refuse, List=refuse, Watch=refuse)


def test_a_command_is_one_call_whose_answer_is_the_result(service: FakeService) -> None:
    outcome = make_grpc(service.port, **COMMANDS).send(make_command({"speed": 3, "parts": [1, None]}))

    ((request, metadata),) = service.told
    assert (request.id, request.device, request.action) == ("c-1", "pump-1", "start")
    assert dict(request.arguments)["speed"] == 3
    assert metadata["idempotency-key"] == "c-1"
    assert (outcome.confirmed, outcome.result) == (True, {"done": True, "reference": "job-1"})


def test_a_path_says_whether_the_device_has_done_it(service: FakeService) -> None:
    reply = service.messages["TellReply"]
    service.answers["Tell"] = lambda _request, _context: reply(done=False, reference="later")

    outcome = make_grpc(service.port, **COMMANDS, command_confirmed_path="done").send(make_command())

    assert (outcome.confirmed, outcome.result) == (False, {"done": False, "reference": "later"})


def test_a_command_that_fits_no_request_is_refused_for_good(service: FakeService) -> None:
    with pytest.raises(CommandRefused, match="command_request"):
        make_grpc(service.port, **COMMANDS).send(make_command(["a list, where a Struct is wanted"]))

    assert service.told == []


@pytest.mark.parametrize(
    "code", [Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED]
)
def test_what_the_service_refuses_for_good_is_final(service: FakeService, code: grpc.StatusCode) -> None:
    refuse_with(service, code)

    with pytest.raises(CommandRefused, match=code.name):
        make_grpc(service.port, **COMMANDS).send(make_command())


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.ABORTED])
def test_what_it_has_not_done_is_tried_again_after_the_pause_it_asks_for(
    service: FakeService, code: grpc.StatusCode
) -> None:
    pause = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=7))
    refuse_with(service, code, pause)

    with pytest.raises(ProviderRefused) as refusal:
        make_grpc(service.port, **COMMANDS).send(make_command())

    assert (refusal.value.retry_after, refusal.value.is_final) == (7.0, False)


def test_a_pushback_in_the_trailers_is_heeded(service: FakeService) -> None:
    refuse_with(service, Code.UNAVAILABLE, trailers=(("grpc-retry-pushback-ms", "1500"),))

    with pytest.raises(ProviderRefused) as refusal:
        make_grpc(service.port, **COMMANDS).send(make_command())

    assert refusal.value.retry_after == 1.5


@pytest.mark.parametrize("code", [Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.CANCELLED])
def test_what_it_may_have_done_is_not_sent_again_unless_it_may_be(
    service: FakeService, code: grpc.StatusCode
) -> None:
    refuse_with(service, code)

    with pytest.raises(CommandRefused, match="not known"):
        make_grpc(service.port, **COMMANDS).send(make_command())
    with pytest.raises(ProviderRefused):
        make_grpc(service.port, **COMMANDS, command_idempotent=True).send(make_command())


def test_an_answer_that_is_too_large_was_an_answer_and_is_not_asked_for_again(service: FakeService) -> None:
    service.answers["Tell"] = lambda _request, _context: b"x" * (MESSAGE_BYTES + 1)

    with pytest.raises(CommandRefused, match="not known"):
        make_grpc(service.port, **COMMANDS).send(make_command())
    with pytest.raises(ProtocolFailed, match="more than"):
        make_grpc(service.port, **COMMANDS, command_idempotent=True).send(make_command())


def test_a_slow_service_is_waited_for_so_long_and_no_longer(service: FakeService) -> None:
    is_over = threading.Event()

    def wait(_request: Any, _context: object) -> Any:
        is_over.wait(30)
        return service.messages["TellReply"]()

    service.answers["Tell"] = wait
    slow = {**COMMANDS, "command_timeout_seconds": 1}
    try:
        with pytest.raises(CommandRefused, match="did not answer in time"):
            make_grpc(service.port, **slow).send(make_command())
        with pytest.raises(TimedOut):
            make_grpc(service.port, **slow, command_idempotent=True).send(make_command())
    finally:
        is_over.set()


def test_credentials_that_are_refused_are_told_as_such(service: FakeService) -> None:
    for code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED):
        refuse_with(service, code)
        with pytest.raises(CredentialsRefused, match=code.name):
            make_grpc(service.port, **COMMANDS).send(make_command())


def test_what_google_rpc_says_is_told_in_words_and_without_our_secrets(service: FakeService) -> None:
    refuse_with(
        service,
        Code.INVALID_ARGUMENT,
        error_details_pb2.ErrorInfo(reason="SPEED_TOO_HIGH", domain="demo.example"),
        error_details_pb2.BadRequest(
            field_violations=[{"field": "arguments.speed", "description": "at most 5, canary-token"}]
        ),
        error_details_pb2.Help(links=[{"url": "https://demo.example/speed"}]),
        error_details_pb2.LocalizedMessage(message="zu schnell\x00\n"),
    )

    with pytest.raises(CommandRefused) as refusal:
        make_grpc(service.port, bearer_token="canary-token", **COMMANDS).send(make_command())

    words = refusal.value.detail
    for part in ("SPEED_TOO_HIGH (demo.example)", "arguments.speed: at most 5", "https://demo.example/speed"):
        assert part in words
    assert "canary" not in words
    assert words.isprintable()


def test_an_answer_that_can_not_be_read_says_so_and_is_not_sent_again(service: FakeService) -> None:
    service.answers["Tell"] = lambda _request, _context: b"\xff"

    outcome = make_grpc(service.port, **COMMANDS).send(make_command())

    assert "can't be read" in str(outcome.result)


def test_a_stream_is_no_command(service: FakeService) -> None:
    with pytest.raises(CommandRefused, match="stream"):
        make_grpc(service.port, command_method=WATCH).send(make_command())


def test_without_a_method_there_are_no_commands(service: FakeService) -> None:
    with pytest.raises(CommandRefused, match="command_method"):
        make_grpc(service.port, method=LIST).send(make_command())


def run_check(port: int, **config: Any) -> dict[str, Check]:
    return {each.name: each for each in make_grpc(port, **config).check()}


def test_the_connection_test_goes_step_by_step(service: FakeService) -> None:
    service.add(2)

    steps = run_check(service.port, **PAGES, **COMMANDS)

    assert [*steps] == [
        "address",
        "connection",
        "descriptors",
        "method",
        "command method",
        "health",
        "message",
    ]
    assert all(each.ok for each in steps.values()), steps
    assert "2 items; the cursor is 2" in steps["message"].detail
    assert service.told == []


@pytest.mark.parametrize(("health", "is_ok"), [(None, True), (1, True), (2, False)])
def test_the_health_that_a_service_tells_counts(health: int | None, is_ok: bool) -> None:  # noqa: FBT001 - a case
    with FakeService(health=health) as service:
        steps = run_check(service.port, **STREAM)

    assert steps["health"].ok == is_ok


def test_a_stream_on_which_nothing_comes_is_open(service: FakeService) -> None:
    assert "nothing came within" in run_check(service.port, **STREAM)["message"].detail


def test_each_step_that_fails_is_the_last_and_says_why() -> None:
    with FakeService(reflection=()) as dumb:
        *_, last = run_check(dumb.port, **STREAM).values()
        assert (last.name, "reflection" in last.detail) == ("descriptors", True)
    with FakeService(token="right") as service:
        *_, last = run_check(service.port, **STREAM, bearer_token="canary-wrong").values()
        assert (last.name, "canary" in last.detail) == ("message", False)
        *_, last = run_check(service.port, method="demo.v1.Telemetry/Look").values()
        assert (last.name, "it has Watch, List, Tell" in last.detail) == ("method", True)


def test_a_gateway_alone_is_told_where_to_push() -> None:
    from shared.provider import Identity, load_provider, require
    from shared.providers.grpc import Grpc

    config = {"webhook_secret": "secret-of-a-gateway"}
    (step,) = require(load_provider(config, Identity("o", "i", "grpc")), Grpc).check()

    assert "/receive/i/" in step.detail
