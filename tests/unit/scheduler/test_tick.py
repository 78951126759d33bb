"""A part of a tick that breaks off is begun again, and told; a tick ends by its deadline whatever its parts do."""

from __future__ import annotations

from collections import Counter

import pytest

from shared.runtime.deadline import Deadline
from shared.scheduler import tick
from shared.scheduler.tick import keep_going
from tests.unit.failures import WORST


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tick, "RESTART_SECONDS", 0.01)


@pytest.mark.parametrize("error", [error() for error in WORST])
def test_a_part_that_broke_off_is_begun_again(error: BaseException) -> None:
    failures = [error, error]

    def run() -> Counter[str]:
        if failures:
            raise failures.pop()
        return Counter(sessions=1)

    assert keep_going("sessions", Deadline(5), run) == {"sessions": 1, "restarts": 2}


def test_a_part_that_goes_well_says_what_it_did() -> None:
    assert keep_going("jobs", Deadline(5), lambda: Counter(done=2)) == {"done": 2}


def test_a_part_that_always_breaks_off_ends_with_the_tick() -> None:
    def run() -> Counter[str]:
        raise ZeroDivisionError

    counts = keep_going("deliveries", Deadline(0.2), run)

    assert counts["restarts"] > 1
