"""ChirpStack's API is spoken as gRPC-Web writes it, and whatever is answered is an answer or one of our errors."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import (
    CredentialsRefused,
    Deadline,
    GrpcWebError,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    read_grpc_web,
    write_grpc_frame,
)
from shared.providers.lorawan_chirpstack.api import Account, ChirpstackApi
from shared.providers.lorawan_chirpstack.schema import MESSAGES, make_message
from tests.fakes.http_receiver import Answer, Received
from tests.fakes.lorawan.chirpstack import GRPC_WEB, FakeChirpstack, RefusedError, write_trailers

APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
EUI = "0102030405060708"
TOLD = {"Content-Type": GRPC_WEB}


pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def fake() -> Iterator[FakeChirpstack]:
    with FakeChirpstack(APPLICATION) as started:
        started.know(EUI, "Lobby")
        yield started


def call(fake: FakeChirpstack, name: str = "Get", seconds: float = 20, **fields: Any) -> Any:
    account = Account(fake.url, fields.pop("key", fake.key), APPLICATION)
    again, waits = fields.pop("again", True), fields.pop("waits", True)
    with ChirpstackApi(account, Deadline(seconds), waits=waits) as api:
        return api.call(name, again=again, **({"dev_eui": EUI} if name == "Get" else fields))


def test_the_wire_is_what_chirpstacks_own_library_writes() -> None:
    """The bytes are of PyPI's chirpstack-api 4.20.0."""
    item = {
        "dev_eui": EUI,
        "confirmed": True,
        "f_port": 10,
        "data": b"\x01\x02",
        "object": {"open": True, "level": 2},
        "expires_at": datetime(2026, 11, 29, 12, 0, 0, 123456, tzinfo=UTC),
    }
    asked = MESSAGES["EnqueueRequest"](queue_item=item, flush_queue=True)
    device = MESSAGES["Device"](dev_eui=EUI, name="n", tags=[{"key": "floor", "value": "2"}], join_eui=EUI)

    assert asked.SerializeToString(deterministic=True).hex() == ENQUEUE
    assert MESSAGES["WithDevice"](device=device).SerializeToString().hex() == CREATE


ENQUEUE = (
    "0a491210303130323033303430353036303730381801200a2a02010232200a120a056c6576656c120911000000"
    "00000000400a0a0a046f70656e12022001520b08c0a7b0d806108094ef3a1001"
)
CREATE = "0a330a103031303230333034303530363037303812016e4a0a0a05666c6f6f72120132521030313032303330343035303630373038"


def test_what_the_table_does_not_know_of_a_device_stays_with_it() -> None:
    unknown = bytes.fromhex("f20603616263")

    read = MESSAGES["Device"].FromString(b"\x12\x01n" + unknown)
    read.name = "other"

    assert unknown in read.SerializeToString()


def nest(levels: int) -> dict[str, Any]:
    return {"a": nest(levels - 1)} if levels else {}


@pytest.mark.parametrize("value", [{"a": 10**400}, {"a": "\ud800"}, nest(100), nest(900)])
def test_what_no_message_can_hold_is_refused_before_anything_is_sent(value: dict[str, Any]) -> None:
    assert make_message("QueueItem", {"object": nest(30), "f_port": 1}).f_port == 1

    with pytest.raises(ValueError, match="QueueItem"):
        make_message("QueueItem", {"object": value})


def test_a_call_is_answered_over_http_1_1(fake: FakeChirpstack) -> None:
    reply = call(fake)

    assert (reply.device.name, reply.device.application_id) == ("Lobby", APPLICATION)
    assert fake.asked == ["Get"]


@pytest.mark.parametrize("in_headers", [True, False])
@pytest.mark.parametrize(
    ("status", "error", "answered"),
    [
        (3, ProviderRefused, 400),
        (5, ProviderRefused, 404),
        (6, ProviderRefused, 409),
        (7, CredentialsRefused, 502),
        (8, ProviderRefused, 429),
        (13, ProviderRefused, 500),
        (14, ProviderRefused, 503),
        (16, CredentialsRefused, 502),
    ],
)
def test_each_status_is_one_of_our_errors_in_the_servers_words(
    fake: FakeChirpstack,
    status: int,
    error: type[OutsideError],
    answered: int,
    in_headers: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    fake.in_headers = in_headers
    fake.refusals = [RefusedError(status, "Schlüssel 50% zu kurz: \x00é")]

    with pytest.raises(error) as caught:
        call(fake, waits=False)

    assert "Schlüssel 50% zu kurz: \ufffdé" in caught.value.detail
    assert f"({status})" in caught.value.detail
    assert caught.value.answered == answered
    assert caught.value.is_final == (answered in {400, 404, 409})


def test_what_passes_is_tried_again_where_that_does_no_harm(fake: FakeChirpstack) -> None:
    fake.refusals = [RefusedError(14, "later"), RefusedError(8, "slower")]
    assert call(fake).device.name == "Lobby"
    fake.refusals = [RefusedError(14, "later")]

    with pytest.raises(ProviderRefused):
        call(fake, "Enqueue", again=False, queue_item={"dev_eui": EUI, "f_port": 1})

    assert fake.asked == ["Get", "Get", "Get", "Enqueue"]


def test_a_refusal_without_words_says_what_it_may_be(fake: FakeChirpstack) -> None:
    fake.may_write = False

    with pytest.raises(CredentialsRefused) as caught:
        call(fake, "FlushQueue")

    assert "read-only" in caught.value.detail


def test_a_key_that_comes_back_is_not_told(fake: FakeChirpstack) -> None:
    fake.know(EUI, f"its key is {fake.key}")
    fake.refusals = []
    name = call(fake).device.name
    fake.refusals = [RefusedError(3, f"not {fake.key}")]

    with pytest.raises(ProviderRefused) as caught:
        call(fake)

    assert fake.key not in name + caught.value.detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, b"<html>", {"Content-Type": "text/html"}), "no gRPC-Web"),
        (Answer(404, b"<html>", {"Content-Type": "text/html"}), "404"),
        (Answer(200, b"\x00\x00\x00", TOLD), "half a frame"),
        (Answer(200, b"\x00\xff\xff\xff\xffabc", TOLD), "half a frame"),
        (Answer(200, write_grpc_frame(b""), TOLD), "no grpc-status"),
        (Answer(200, write_trailers(0), TOLD), "no message"),
        (Answer(200, write_grpc_frame(b"") * 2 + write_trailers(0), TOLD), "frames"),
        (Answer(200, write_trailers(0) + write_grpc_frame(b""), TOLD), "frames"),
        (Answer(200, write_grpc_frame(b"\xff") + write_trailers(0), TOLD), "malformed"),
        (Answer(200, b"", TOLD | {"Content-Length": "9", "Connection": "close"}), ""),
    ],
)
def test_what_is_no_answer_is_told_and_nothing_is_taken_for_absent(
    fake: FakeChirpstack, answer: Answer, words: str
) -> None:
    with fake.answering(lambda _: answer), pytest.raises(ProtocolFailed) as caught:
        call(fake)

    assert words in caught.value.detail


def test_an_answer_has_a_bound_and_a_call_a_deadline(fake: FakeChirpstack) -> None:
    large = Answer(200, write_grpc_frame(bytes(5_000_000)) + write_trailers(0), TOLD)
    with fake.answering(lambda _: large), pytest.raises(OutsideError):
        call(fake)

    def wait(_: Received) -> Answer:
        time.sleep(3)
        return Answer(200)

    with fake.answering(wait), pytest.raises(TimedOut):
        call(fake, seconds=0.5)


@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(GrpcWebError):
        assert read_grpc_web(TOLD, body).status in range(1_000)


def test_whoever_only_receives_pays_for_no_protobuf() -> None:
    code = (
        "import sys; from shared.provider import find_provider; find_provider('lorawan_chirpstack');"
        " print(sorted({'google.protobuf', 'aiohttp'} & sys.modules.keys()))"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
