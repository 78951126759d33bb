"""An API of each test's own, and what holds after every session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.provider import load_budget, load_reading_budget
from shared.providers.graphql import session as sessions
from shared.runtime.backoff import Backoff
from tests.fakes.graphql import FakeGraphql


@pytest.fixture
def api() -> Iterator[FakeGraphql]:
    with FakeGraphql() as started:
        yield started


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are tried again at once."""
    monkeypatch.setattr(sessions, "PAUSES", Backoff(0.01, 0.01))


@pytest.fixture
def nothing_is_kept() -> Iterator[None]:
    """Every session gives back the memory that it counted."""
    before = load_budget().free, load_reading_budget().free
    yield
    assert (load_budget().free, load_reading_budget().free) == before
