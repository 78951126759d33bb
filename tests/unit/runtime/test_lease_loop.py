"""The loop of sessions, commands and jobs: whatever one row or one call does, it goes on to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime import lease_loop
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem, Unavailable
from shared.runtime.lease_loop import LeaseLoop
from tests.unit.failures import errors, worst
from tests.waiting import PATIENCE_SECONDS

Plan = list[int | Exception]


class Errands(LeaseLoop[int, int]):
    """Errands that take hundredths of a second; each lease is given a number of them or fails, and the last ends it."""

    name = "errand"

    def __init__(
        self,
        leases: Plan,
        *,
        at_once: int = 4,
        seconds: float = PATIENCE_SECONDS,
        broken: tuple[int, ...] = (),
    ) -> None:
        super().__init__(Database({}), Deadline(seconds), at_once)
        self.rooms: list[int] = []
        self.done: list[int] = []
        self.renewed: list[list[int]] = []
        self.hundredths = 1
        self.unfinishable: Exception | None = None
        self._leases = iter(leases)
        self._broken = broken
        self._numbers: Iterator[int] = count()

    def lease(self, room: int) -> list[int]:
        self.rooms.append(room)
        wanted = next(self._leases, None)
        if wanted is None:
            self.deadline.shorten()
            return []
        if isinstance(wanted, Exception):
            raise wanted
        return [next(self._numbers) for _ in range(min(room, wanted))]

    def work(self, row: int) -> int:
        time.sleep(self.hundredths / 100)
        if row in self._broken:
            raise ZeroDivisionError
        return row

    def finish(self, ended: list[int]) -> None:
        failure, self.unfinishable = self.unfinishable, None
        if failure:
            raise failure
        self.done += ended

    def renew(self, rows: list[int]) -> None:
        self.renewed.append(sorted(rows))
        raise Unavailable


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_loop, "POLL_SECONDS", 0.05)


@pytest.mark.parametrize("failure", [Unavailable(), Problem(), TypeError("no JSON")])
def test_a_failed_lease_is_counted_and_the_next_one_tried(failure: Exception) -> None:
    errands = Errands([failure, 2, failure, 1])

    counts = errands.run()

    assert counts == {"failed_leases": 2}
    assert sorted(errands.done) == [0, 1, 2]


def test_a_row_that_breaks_off_takes_nothing_from_the_others() -> None:
    errands = Errands([3, 2], broken=(1,))

    counts = errands.run()

    assert counts == {"broken": 1}
    assert sorted(errands.done) == [0, 2, 3, 4]


@pytest.mark.parametrize("failure", [Unavailable(), KeyError("column")])
def test_what_can_not_be_finished_ends_nothing_else(failure: Exception) -> None:
    errands = Errands([1, 0, 0, 1])
    errands.unfinishable = failure

    counts = errands.run()

    assert counts == {"failed_calls": 1}
    assert errands.done == [1]


def test_there_are_never_more_under_way_than_there_is_room_for() -> None:
    errands = Errands([3, 3, 3], seconds=0.9)
    errands.hundredths = 100

    errands.run()

    assert errands.rooms == [4, 1]
    assert sorted(errands.done) == [0, 1, 2, 3]


def test_leases_are_kept_until_the_last_row_has_ended_even_past_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lease_loop, "RENEW_SECONDS", 0.1)
    errands = Errands([2])
    errands.hundredths = 150

    counts = errands.run()

    assert len(errands.renewed) >= 3
    assert errands.renewed[0] == [0, 1]
    assert counts["failed_calls"] == len(errands.renewed)
    assert sorted(errands.done) == [0, 1]


def test_an_eager_loop_leases_again_as_soon_as_all_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_loop, "POLL_SECONDS", 5)
    monkeypatch.setattr(Errands, "is_eager", True)
    errands = Errands([1] * 3, seconds=4)

    errands.run()

    assert errands.done == [0, 1, 2]


STEPS = ("lease", "finish", "renew", "name_owner")


class Torn(LeaseLoop[int, int]):
    """Rows of two organizations; those of the odd one break, and so does each step as often as it is told to."""

    name = "torn"

    def __init__(self, steps: list[tuple[str, type[BaseException]]], odd: list[type[BaseException]]) -> None:
        super().__init__(Database({}), Deadline(PATIENCE_SECONDS), 6)
        self.done: set[int] = set()
        self._steps = steps
        self._odd = odd
        self._left = list(range(12))

    def _break(self, step: str) -> None:
        for number, (name, error) in enumerate(self._steps):
            if name == step:
                del self._steps[number]
                raise error

    def lease(self, room: int) -> list[int]:
        self._break("lease")
        taken, self._left = self._left[:room], self._left[room:]
        if not self._left:
            self.deadline.shorten()
        return taken

    def work(self, row: int) -> int:
        if row % 2:
            raise self._odd[row % len(self._odd)]
        self.done.add(row)
        return row

    def finish(self, ended: list[int]) -> None:
        assert ended
        self._break("finish")

    def renew(self, rows: list[int]) -> None:
        assert rows
        self._break("renew")

    def name_owner(self, row: int) -> str:
        if row % 2:
            self._break("name_owner")
        return str(row % 2)


@settings(max_examples=25)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), errors), max_size=6),
    odd=st.lists(worst, min_size=1, max_size=6),
)
def test_whatever_any_step_throws_the_loop_goes_on_gives_places_back_and_serves_the_others(
    steps: list[tuple[str, type[BaseException]]], odd: list[type[BaseException]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease_loop, "POLL_SECONDS", 0.02)
        patch.setattr(lease_loop, "RENEW_SECONDS", 0.02)
        torn = Torn(steps, odd)

        counts = torn.run()

    assert torn.done == {0, 2, 4, 6, 8, 10}
    assert torn.shares.free == 6
    assert counts["broken"] == 6
