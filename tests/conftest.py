"""What all tests share: one running stack."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Serve, Stack, find_free_port


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A local stack for the whole run, on the Postgres TEST_POSTGRES names; empty but for seeded users."""
    # Not pytest's tmp_path: its names are too long for a unix socket.
    with tempfile.TemporaryDirectory(prefix="stack-") as folder:
        serve = Serve(Path(folder), find_free_port())
        try:
            yield serve.start()
        finally:
            serve.stop()
