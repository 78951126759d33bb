"""Recording attempts when the database balks: one that can't be kept costs the others nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.deliveries.recorder import BUSY_SECONDS, Recorder
from shared.deliveries.result import Result
from shared.runtime.database.client import Database
from shared.runtime.errors import BadRequest, Problem, Unavailable
from shared.runtime.idle_watch import Pulse
from tests.waiting import wait_until


class Balking(Database):
    """Stands at the border to PostgREST: refuses a batch with what `balks` names, is away a number of times."""

    def __init__(self, balks: Callable[[Result], bool], refusal: Exception, away: int = 0) -> None:
        self.kept: list[Result] = []
        self._balks = balks
        self._refusal = refusal
        self._away = away

    def call(self, function: str, **arguments: Any) -> Any:
        assert function == "finish_deliveries"
        if self._away:
            self._away -= 1
            raise Unavailable
        results: list[Result] = arguments["p_results"]
        if any(map(self._balks, results)):
            raise self._refusal
        self.kept += results
        return {"delivered": len(results)}


class Busy(Database):
    """Stands there too: says a number of times that the first of a batch is busy."""

    def __init__(self, times: int) -> None:
        self.batches: list[list[str]] = []
        self._times = times

    def call(self, function: str, **arguments: Any) -> Any:
        assert function == "finish_deliveries"
        batch = [result.id for result in arguments["p_results"]]
        self.batches.append(batch)
        if "0" not in batch or self._times == 0:
            return {"delivered": len(batch)}
        self._times -= 1
        return {"delivered": len(batch) - 1, "busy": ["0"]}


def make_results(count: int) -> list[Result]:
    now = datetime.now(UTC)
    return [Result(f"{n}", "", "delivered", None, now, 5, 200, None, f"reply {n}") for n in range(count)]


def record(
    database: Database,
    results: list[Result],
    seconds: float = 0.05,
    until: Callable[[], object] = lambda: True,
) -> tuple[Counter[str], list[str]]:
    """The counts, and the deliveries whose place is free again."""
    freed: list[str] = []
    recorder = Recorder(database, Pulse(), lambda batch: freed.extend(result.id for result in batch))

    async def run() -> None:
        recording = asyncio.create_task(recorder.run())
        for result in results:
            recorder.add(result)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(wait_until, until, "nothing was recorded")
        recorder.end()
        await recording

    asyncio.run(run())
    return recorder.counts, freed


@pytest.mark.parametrize("refusal", [BadRequest(), Problem(), TypeError("str is not valid UTF-8")])
def test_an_answer_that_can_not_be_kept_is_left_out_and_the_others_keep_theirs(refusal: Exception) -> None:
    database = Balking(lambda result: result.reply == "reply 2", refusal)

    counts, freed = record(database, make_results(5))

    assert counts == {"delivered": 5}
    assert sorted((result.id, result.reply) for result in database.kept) == [
        *(("0", "reply 0"), ("1", "reply 1"), ("2", None), ("3", "reply 3"), ("4", "reply 4"))
    ]
    assert freed == ["0", "1", "2", "3", "4"]


def test_what_can_never_be_recorded_is_left_to_its_lease_and_keeps_no_place() -> None:
    database = Balking(lambda result: result.id == "1", Problem())

    counts, freed = record(database, make_results(3))

    assert counts == {"delivered": 2, "unrecorded": 1}
    assert freed == ["0", "1", "2"]


def test_while_the_database_is_away_nothing_is_given_up() -> None:
    counts, freed = record(Balking(lambda _: False, Problem(), away=1), make_results(3), 0.6)

    assert counts == {"delivered": 3}
    assert freed == ["0", "1", "2"]


def test_what_is_busy_is_tried_again_and_keeps_its_place_till_then() -> None:
    database = Busy(1)

    counts, freed = record(database, make_results(3), BUSY_SECONDS + 0.3)

    assert (counts, freed) == ({"delivered": 3}, ["1", "2", "0"])
    assert database.batches == [["0", "1", "2"], ["0"]]


def test_in_the_end_what_is_busy_is_tried_once_more_and_then_left_to_its_lease() -> None:
    database = Busy(100)

    counts, freed = record(database, make_results(3), until=lambda: database.batches)

    assert (counts, freed) == ({"delivered": 2}, ["1", "2"])
    assert database.batches == [["0", "1", "2"], ["0"]]
