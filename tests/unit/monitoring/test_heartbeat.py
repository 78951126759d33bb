"""The heartbeat of a tick: what never answered is not said to be at work, and keeps the ping back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from shared.monitoring.heartbeat import Heartbeat
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.settings import load_settings
from tests.fakes.http_receiver import HttpReceiver


class Told:
    """A database that is told of a heartbeat, and answers which parts stand still."""

    def __init__(self, still: list[str]) -> None:
        self.parts: list[dict[str, float | None]] = []
        self._still = still

    def call(self, _function: str, **arguments: Any) -> list[str]:
        self.parts.append(arguments["p_parts"])
        return self._still

    def watched(self, answered: Callable[[], None]) -> Callable[[], None]:
        return answered


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpReceiver]:
    with HttpReceiver() as receiver:
        monkeypatch.setenv("HEARTBEAT_URL", receiver.url)
        monkeypatch.setenv("OUTBOUND_ALLOW", "127.0.0.0/8")
        load_settings.cache_clear()
        yield receiver
    load_settings.cache_clear()


@pytest.mark.parametrize("still", [[], ["deliveries"]])
def test_only_what_answered_is_at_work_and_one_that_stands_still_keeps_the_ping_back(
    switch: HttpReceiver, still: list[str]
) -> None:
    told = Told(still)
    heartbeat = Heartbeat(cast("Database", told))
    answered = cast("Callable[[], None]", heartbeat.watch("sessions"))
    heartbeat.watch("deliveries")
    answered()

    heartbeat.run(Deadline(0))

    (parts,) = told.parts
    assert len(switch.requests) == (0 if still else 1)
    assert parts["sessions"] is not None
    assert parts["deliveries"] is None
