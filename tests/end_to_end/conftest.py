"""What many modules start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.fleet import Fleet, open_fleet
from tests.fakes.http_receiver import HttpReceiver
from tests.inside import environment_of
from tests.platform import Platform
from tests.stack import Stack


@pytest.fixture
def admin(stack: Stack) -> Platform:
    """An admin on a stack without integrations, messages and devices: a tick serves all there are."""
    with stack.connect() as connection:
        connection.execute("delete from device_integrations")
        connection.execute("delete from device_messages")
        connection.execute("delete from devices")
    return Platform(stack, stack.user("admin", 0))


@pytest.fixture
def no_codecs(stack: Stack) -> Iterator[None]:
    """No codecs before and after, and nothing that uses one."""
    empty = "delete from device_integrations; delete from codecs"
    with stack.connect() as connection:
        connection.execute(empty)
    yield
    with stack.connect() as connection:
        connection.execute(empty)


@pytest.fixture
def functions_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of the stack's functions, for what runs in the test's own process."""
    with environment_of(stack, monkeypatch):
        yield


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """A webhook endpoint that answers 200."""
    with HttpReceiver() as started:
        yield started


@pytest.fixture
def fleet(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A Golioth integration that knows no devices yet."""
    with open_fleet(stack, monkeypatch) as opened:
        yield opened
