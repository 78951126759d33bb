"""Fixtures of the tests over a running stack."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.fleet import Fleet, open_fleet
from tests.stack import Stack


@pytest.fixture
def fleet(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """A Golioth integration that knows no devices yet."""
    with open_fleet(stack, monkeypatch) as opened:
        yield opened
