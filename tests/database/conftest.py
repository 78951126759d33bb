"""Fixtures of the database tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.database.fixtures import Service, open_service
from tests.stack import Stack


@pytest.fixture
def service(stack: Stack) -> Iterator[Service]:
    opened = open_service(stack)
    yield opened
    opened.connection.rollback()
    opened.connection.close()
