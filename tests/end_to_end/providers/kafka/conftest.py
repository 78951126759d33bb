"""A cluster of each test's own, in another process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local.kafka_cluster import run_cluster


@pytest.fixture
def servers() -> Iterator[str]:
    """Its bootstrap servers."""
    with run_cluster() as found:
        yield found
