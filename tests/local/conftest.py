"""The server of /rest/v1 that its tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.rest_server import Rest, reset_rows, serve_rest
from tests.stack import Stack


@pytest.fixture(scope="session")
def rest_server(stack: Stack) -> Iterator[Rest]:
    """/rest/v1 over a database of its own."""
    with serve_rest(stack) as rest:
        yield rest


@pytest.fixture
def rest(rest_server: Rest) -> Rest:
    """The same server, with the rows every test starts with."""
    reset_rows(rest_server)
    return rest_server
