"""Services that do what no service should: a session or call ends in words, within its time and memory."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from shared.provider import ConnectionRefused, Deadline, OutsideError, Poller, ProtocolFailed, ProviderRefused
from shared.runtime.errors import InvalidConfig
from tests.fakes.grpc.proto_files import load_messages
from tests.fakes.grpc.server import FakeService
from tests.fakes.grpc.site import PAGES, STREAM, make_grpc
from tests.fakes.mqtt_driver import Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback")
SECONDS = 45.0
PREFACE = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""An empty SETTINGS frame, with which a server of HTTP/2 begins."""

BOTH = pytest.mark.parametrize("config", [STREAM, PAGES], ids=["stream", "pages"])


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as started:
        yield started


def drain(port: int, seconds: float = SECONDS, **config: Any) -> Ledger:
    ledger = Ledger()
    ledger.watch(make_grpc(port, **config), seconds)
    return ledger


def follow(ledger: Ledger, provider: Poller, is_enough: Callable[[], bool]) -> None:
    """A session that commits at once, until it is enough."""
    with ledger.open_session(provider) as session:
        for batch in session:
            ledger.commit(batch)
            if is_enough():
                return


def make_bomb() -> bytes:
    """A megabyte that is a third of a million readings within one."""
    return b"\x82\x01\x00" * 340_000


@contextmanager
def serve_raw(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose every connection is given to `answer`, and closed after it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        answer(connection)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])


@BOTH
def test_a_message_over_the_limit_ends_the_session_in_words(
    service: FakeService, config: dict[str, Any]
) -> None:
    reading = service.messages["Reading"](sequence=1, raw=bytes(5_000_000))
    service.answers["Watch"] = lambda _request, _context: iter([reading])
    service.answers["List"] = lambda _request, _context: service.messages["ListReply"](readings=[reading])

    with pytest.raises(ProtocolFailed, match="more than 4,194,304 bytes"):
        drain(service.port, **config)


def test_a_message_that_grows_a_thousandfold_is_not_parsed(service: FakeService) -> None:
    service.answers["Watch"] = lambda _request, _context: iter([make_bomb()])
    service.answers["List"] = lambda _request, _context: b"\x0a\x00" * 500_000

    (kept,) = drain(service.port, **STREAM).stored.values()
    assert "too much memory" in (kept.error or "")
    with pytest.raises(ProtocolFailed, match=r"too much memory|values"):
        drain(service.port, **PAGES)


def test_a_bomb_of_gzip_does_not_go_off() -> None:
    def compress(_request: Any, context: grpc.ServicerContext) -> Any:
        context.set_compression(grpc.Compression.Gzip)
        return load_messages("demo")["ListReply"](next_page_token="0" * 100_000_000)

    with FakeService(options=[("grpc.max_send_message_length", -1)]) as service:
        service.answers["List"] = compress
        with pytest.raises(OutsideError) as refusal:
            drain(service.port, **PAGES)

    assert "ompress" in refusal.value.detail


def test_an_endless_flood_is_read_no_further_than_it_is_committed(service: FakeService) -> None:
    reading = service.messages["Reading"]
    sent = itertools.count(1)

    def flood(_request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        while context.is_active():
            yield reading(sequence=next(sent), raw=bytes(2_000))

    service.answers["Watch"] = flood
    ledger = Ledger()
    deadline = Deadline(4)
    with ledger.open_session(make_grpc(service.port, **STREAM), deadline) as session:
        handed = [batch for batch in session if batch.messages]

    assert 0 < sum(len(batch.messages) for batch in handed) < 4_000
    assert next(sent) < 20_000


def test_a_service_that_never_answers_is_waited_for_no_longer_than_the_session(service: FakeService) -> None:
    is_over = threading.Event()

    def wait(_request: Any, _context: object) -> Any:
        is_over.wait(30)
        return service.messages["ListReply"]()

    service.answers["List"] = wait
    deadline = Deadline(30)
    try:
        with pytest.raises(OutsideError):
            drain(service.port, 2, **PAGES)
    finally:
        is_over.set()

    assert not deadline.expired


@BOTH
def test_a_goaway_in_the_middle_is_gone_on_from_or_told(config: dict[str, Any]) -> None:
    with FakeService(
        options=[("grpc.max_connection_age_ms", 1_000), ("grpc.max_connection_age_grace_ms", 300)]
    ) as service:
        service.add(200)
        ledger, least, deadline = Ledger(), Deadline(4), Deadline(SECONDS)

        with ledger.open_session(make_grpc(service.port, **config), deadline) as session:
            for batch in session:
                ledger.commit(batch)
                if least.expired and len(ledger.stored) >= 200:
                    deadline.shorten()

    assert (len(ledger.stored), ledger.duplicates) == (200, 0)


def test_a_status_without_a_message_and_trailers_alone_are_errors(service: FakeService) -> None:
    def say_nothing(_request: Any, context: grpc.ServicerContext) -> Any:
        context.abort_with_status(_Status())

    service.answers["List"] = service.answers["Watch"] = say_nothing

    with pytest.raises(ProviderRefused, match="ALREADY_EXISTS"):
        drain(service.port, **PAGES)
    with pytest.raises(ProviderRefused, match="ALREADY_EXISTS"):
        drain(service.port, **STREAM)


class _Status:
    code = grpc.StatusCode.ALREADY_EXISTS
    details = "x" * 5_000 + "canary"
    trailing_metadata = (("grpc-status-details-bin", b"\xff\xff"), ("grpc-retry-pushback-ms", "9" * 50))


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\xff" * 4_096,
        PREFACE + b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8),
        PREFACE + struct.pack(">I", 0xFFFFFF)[1:] + b"\x00\x00\x00\x00\x00\x01" + bytes(100_000),
        PREFACE + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x02",
        b"",
    ],
    ids=["http1", "noise", "goaway", "huge frame", "reset", "nothing"],
)
def test_whatever_a_port_says_is_an_error_in_words(said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(said)
        while connection.recv(65_536):
            pass

    deadline = Deadline(40)
    with serve_raw(answer) as port, pytest.raises(OutsideError) as refusal:
        drain(port, 20, **PAGES)

    assert not deadline.expired
    assert refusal.value.detail.isprintable()


def reflect_with(service: FakeService, answer: Callable[[Any], Any]) -> Any:
    """Reflection that answers each request with what `answer` makes of it."""
    messages = load_messages("reflection")

    def reflect(requests: Iterator[Any], _context: object) -> Iterator[Any]:
        for request in requests:
            reply = answer(request)
            yield reply if isinstance(reply, bytes) else reply.SerializeToString()

    handler = grpc.stream_stream_rpc_method_handler(
        reflect, messages["ServerReflectionRequest"].FromString, lambda body: body
    )
    service._server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": handler}
            ),
        )
    )


def describe(**file: Any) -> Any:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    return FileDescriptorProto(**file).SerializeToString()


def reply_with(*files: bytes) -> Any:
    messages = load_messages("reflection")
    reply = messages["ServerReflectionResponse"]()
    reply.file_descriptor_response.file_descriptor_proto.extend(files)
    return reply


ENDLESS = itertools.count(1)
REFLECTIONS: dict[str, Callable[[Any], Any]] = {
    "noise": lambda _request: b"\xff\xff\xff",
    "empty": lambda _request: b"",
    "a file that is none": lambda _request: reply_with(b"\xff\xff"),
    "a file that imports itself": lambda _request: reply_with(
        describe(name="a.proto", dependency=["a.proto"])
    ),
    "files that import one another": lambda request: reply_with(
        describe(name="a.proto", dependency=["b.proto"])
        if request.file_by_filename != "b.proto"
        else describe(name="b.proto", dependency=["a.proto"])
    ),
    "no end of files": lambda _request: reply_with(
        describe(name=f"f{next(ENDLESS)}.proto", dependency=[f"f{next(ENDLESS)}x.proto"])
    ),
    "files that are too large": lambda _request: reply_with(
        describe(name="big.proto", message_type=[{"name": f"M{n}" * 100} for n in range(9_000)])
    ),
    "types that are missing": lambda _request: reply_with(
        describe(
            name="a.proto",
            package="demo.v1",
            service=[
                {
                    "name": "Telemetry",
                    "method": [{"name": "Watch", "input_type": ".x.Y", "output_type": ".x.Y"}],
                }
            ],
        )
    ),
    "names that are none": lambda _request: reply_with(
        describe(name="\x00\n", package="\x1b[31m" + "x" * 5_000)
    ),
}


@pytest.mark.parametrize("name", REFLECTIONS)
def test_whatever_reflection_says_is_an_error_in_words(name: str) -> None:
    deadline = Deadline(40)
    with FakeService(reflection=()) as service:
        reflect_with(service, REFLECTIONS[name])
        with pytest.raises((OutsideError, InvalidConfig)) as refusal:
            drain(service.port, 20, **STREAM)

    assert not deadline.expired
    assert refusal.value.detail.isprintable()
    assert len(refusal.value.detail) < 2_000


@pytest.mark.parametrize("before", [0, 290, 1_990])
def test_words_that_repeat_the_token_do_so_nowhere(before: int) -> None:
    token = "canary-token-of-many-letters"

    def refuse(_request: Any) -> Any:
        reply = load_messages("reflection")["ServerReflectionResponse"]()
        reply.error_response.error_code = 5
        reply.error_response.error_message = "x" * before + token
        return reply

    answers = {"words": refuse, "file": lambda _request: reply_with(describe(name="a", dependency=[token]))}
    for answer in answers.values():
        with FakeService(reflection=()) as service:
            reflect_with(service, answer)
            with pytest.raises((OutsideError, InvalidConfig)) as refusal:
                drain(service.port, 20, bearer_token=token, **STREAM)

        errors = getattr(refusal.value, "errors", None)
        assert "cana" not in f"{refusal.value.detail} {errors}"


def test_metadata_without_end_is_not_taken(service: FakeService) -> None:
    def flood(_request: Any, context: grpc.ServicerContext) -> Any:
        context.set_trailing_metadata(tuple((f"x-{number}", "y" * 1_000) for number in range(100)))
        return service.messages["ListReply"]()

    service.answers["List"] = flood

    with pytest.raises(OutsideError):
        drain(service.port, **PAGES)


def test_a_stream_that_breaks_off_again_and_again_ends_the_session(service: FakeService) -> None:
    def break_off(_request: Any, context: grpc.ServicerContext) -> Any:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    service.answers["Watch"] = break_off
    deadline = Deadline(40)

    with pytest.raises(ProviderRefused, match="not now"):
        drain(service.port, **STREAM)

    assert not deadline.expired


def test_a_service_that_is_gone_for_good_ends_the_session() -> None:
    service = FakeService().__enter__()
    service.add(5)
    ledger = Ledger()

    def stop_service() -> bool:
        if len(ledger.stored) == 5:
            service.stop(0)
        return False

    with pytest.raises((ConnectionRefused, ProviderRefused)):
        follow(ledger, make_grpc(service.port, **STREAM), stop_service)

    assert len(ledger.stored) == 5


def test_cursors_and_pages_that_are_too_large_or_odd_are_told(service: FakeService) -> None:
    service.answers["List"] = lambda _request, _context: service.messages["ListReply"](
        next_page_token="x" * 5_000
    )

    with pytest.raises(ProtocolFailed, match="page_path"):
        drain(service.port, **PAGES)


def test_more_items_than_a_page_may_have_are_told(service: FakeService) -> None:
    service.answers["List"] = lambda _request, _context: b"\x0a\x00" * 10_001

    with pytest.raises(ProtocolFailed, match="10,001 items"):
        drain(service.port, **PAGES)


def test_a_large_page_is_stored_in_parts_and_its_cursor_with_the_last(service: FakeService) -> None:
    service.add(3_000)
    ledger = Ledger()

    whole = {"request": PAGES["request"] | {"page_size": 5_000}}
    follow(ledger, make_grpc(service.port, **PAGES | whole), lambda: len(ledger.stored) >= 1_000)
    assert not ledger.state
    ledger.watch(make_grpc(service.port, **PAGES | whole), SECONDS)

    assert (len(ledger.stored), ledger.state["cursor"]) == (3_000, 3_000)
