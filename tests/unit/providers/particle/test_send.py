"""Commands as calls of functions: the device's answer, what is tried again, what is refused for good; and tokens."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.provider import (
    Command,
    CommandRefused,
    CredentialsRefused,
    Outcome,
    ProtocolFailed,
    ProviderRefused,
)
from shared.providers.particle import Particle
from tests.fakes.particle.server import FakeParticle, RefusedError
from tests.unit.providers.particle.account import make_particle

pytestmark = pytest.mark.usefixtures("allow_loopback")
DEVICE = "0123456789abcdef01234567"


@pytest.fixture
def fake() -> Iterator[FakeParticle]:
    with FakeParticle() as started:
        started.know(DEVICE)
        started.functions[DEVICE, "led"] = len
        yield started


def tell(particle: Particle, payload: Any = None, name: str = "led") -> Outcome:
    ends = datetime.now(UTC) + timedelta(minutes=5)
    return particle.send(Command(str(uuid.uuid4()), DEVICE, name, payload, ends))


@pytest.mark.parametrize(
    ("payload", "argument"),
    [
        ("on", "on"),
        ({}, ""),
        (None, ""),
        ({"on": True}, '{"on":true}'),
        ([1, 2], "[1,2]"),
        ({"arg": "on"}, "on"),
        ({"function": "led", "arg": {"a": 1}}, '{"a":1}'),
    ],
)
def test_a_function_is_called_and_its_answer_is_the_outcome(
    fake: FakeParticle, payload: Any, argument: str
) -> None:
    outcome = tell(make_particle(fake), payload)

    assert fake.called == [(DEVICE, "led", argument)]
    assert (outcome.confirmed, outcome.result) == (True, {"return_value": len(argument)})


@pytest.mark.parametrize("value", [None, [], {}])
def test_a_function_that_tells_nothing_was_called_and_is_not_called_again(
    fake: FakeParticle, value: Any
) -> None:
    fake.functions[DEVICE, "led"] = lambda _: value

    outcome = tell(make_particle(fake), "on")

    assert (outcome.confirmed, outcome.result, len(fake.called)) == (False, None, 1)


@pytest.mark.parametrize("payload", ["on", {"publish": "wake"}])
def test_what_is_done_and_answered_with_no_json_is_not_done_again(fake: FakeParticle, payload: Any) -> None:
    fake.garbled = {"devices.function:call", "events:send"}

    outcome = tell(make_particle(fake), payload)

    assert (outcome.confirmed, outcome.result) == (False, None)
    assert len(fake.called) + len(fake.published) == 1


def test_a_token_whose_answer_can_not_be_read_lets_nothing_count_as_done(fake: FakeParticle) -> None:
    fake.garbled = {"token"}

    with pytest.raises(ProtocolFailed, match="token"):
        tell(by_client(fake), "on")

    assert fake.called == []


def test_another_function_than_the_command_is_named_in_the_payload(fake: FakeParticle) -> None:
    tell(make_particle(fake), {"function": "led", "arg": "x"}, name="light-up")

    assert fake.called == [(DEVICE, "led", "x")]


def test_an_event_is_published_and_nobody_has_confirmed_it(fake: FakeParticle) -> None:
    outcome = tell(make_particle(fake), {"publish": "wake", "data": {"a": 1}, "ttl": 5})

    assert fake.published == [{"name": "wake", "data": '{"a":1}', "private": True, "ttl": 5}]
    assert not outcome.confirmed


@pytest.mark.parametrize(
    "payload",
    [{"function": "a/b"}, {"publish": "a", "arg": 1}, {"publish": ""}, {"arg": 1, "other": 2}, "x" * 1_025],
)
def test_a_payload_that_can_not_be_meant_is_refused_with_what_it_may_be(
    fake: FakeParticle, payload: Any
) -> None:
    with pytest.raises(CommandRefused):
        tell(make_particle(fake), payload)

    assert not fake.called
    assert not fake.published


@pytest.mark.parametrize("status", [404, 408, 429, 500, 503])
def test_what_may_pass_is_tried_again_by_the_queue_and_not_by_us(fake: FakeParticle, status: int) -> None:
    fake.refusals = [RefusedError(status, "just now", {"Retry-After": "7"})]

    with pytest.raises(ProviderRefused) as refusal:
        tell(make_particle(fake))

    assert not refusal.value.is_final
    assert "just now" in refusal.value.detail
    assert sum(method == "POST" for method, _ in fake.asked) == 1


@pytest.mark.parametrize("status", [400, 403])
def test_what_is_refused_for_good_is_not_tried_again(fake: FakeParticle, status: int) -> None:
    fake.refusals = [RefusedError(status, "no such function")]

    with pytest.raises(ProviderRefused) as refusal:
        tell(make_particle(fake))

    assert refusal.value.is_final
    assert "no such function" in refusal.value.detail


def test_an_unconnected_device_is_tried_again(fake: FakeParticle) -> None:
    fake.devices[DEVICE]["connected"] = False

    with pytest.raises(ProviderRefused, match="not connected") as refusal:
        tell(make_particle(fake))

    assert not refusal.value.is_final


def test_a_token_that_is_not_valid_is_told_without_it(fake: FakeParticle) -> None:
    with pytest.raises(CredentialsRefused, match="invalid_token") as refusal:
        tell(make_particle(fake, access_token="canary-token-1"))

    assert "canary" not in refusal.value.detail


def by_client(fake: FakeParticle, secret: str | None = None) -> Particle:
    client_id, known = fake.client
    given = {"access_token": None, "client_id": client_id, "client_secret": secret or known}
    return make_particle(fake, **given)


def test_an_oauth_client_gets_one_token_for_all_calls(fake: FakeParticle) -> None:
    for _ in range(3):
        assert tell(by_client(fake), "on").confirmed

    assert len(fake.tokens) == 1


def test_a_token_that_ends_is_renewed(fake: FakeParticle) -> None:
    fake.expires_in = 1e-6

    for _ in range(2):
        assert tell(by_client(fake), "on").confirmed

    assert len(fake.tokens) == 2


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_token_that_does_not_say_when_it_ends_is_kept_for_a_while(
    fake: FakeParticle, seconds: float
) -> None:
    fake.expires_in = seconds

    for _ in range(3):
        assert tell(by_client(fake), "on").confirmed

    assert len(fake.tokens) == 1


def test_a_token_that_was_revoked_is_renewed_once(fake: FakeParticle) -> None:
    tell(by_client(fake), "on")
    fake.tokens.clear()

    assert tell(by_client(fake), "on").confirmed
    assert len(fake.tokens) == 1


def test_a_client_that_is_refused_is_refused_credentials(fake: FakeParticle) -> None:
    with pytest.raises(CredentialsRefused, match="OAuth client") as refusal:
        tell(by_client(fake, "canary-client-secret"))

    assert "canary" not in refusal.value.detail
