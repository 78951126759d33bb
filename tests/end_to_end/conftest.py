"""What several modules start from; many have an `admin` of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.fleet import Fleet, open_fleet
from tests.fakes.golioth import FakeGolioth
from tests.inside import environment_of
from tests.platform import Platform
from tests.stack import Stack


@pytest.fixture
def fake() -> Iterator[FakeGolioth]:
    """A Golioth of the test's own."""
    with FakeGolioth() as golioth:
        yield golioth


@pytest.fixture
def admin(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """An admin on a stack without integrations, in a process with the environment of its functions."""
    with stack.connect() as connection:
        connection.execute("delete from device_integrations")
    with environment_of(stack, monkeypatch):
        yield Platform(stack, stack.user("admin", 0))


@pytest.fixture
def fleet(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A Golioth integration that knows no devices yet."""
    with open_fleet(stack, monkeypatch) as opened:
        yield opened
