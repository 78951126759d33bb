"""How many integrations are asked to be judged at once, as the database answers in time or does not."""

from __future__ import annotations

from typing import Any

import pytest

from shared.monitoring import alerts
from shared.monitoring.alerts import AT_ONCE, watch_alerts
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Unavailable
from shared.runtime.idle_watch import Pulse

JUDGED = {"judged": 1, "is_full": True, "raised": 0, "resolved": 0, "told": 0, "broken": {}, "platform": []}


class Slow(Database):
    """Stands at the border to PostgREST: answers as it is told, then ends the watch."""

    def __init__(self, deadline: Deadline, answers: list[Any]) -> None:
        self.asked: list[int] = []
        self._deadline = deadline
        self._answers = answers

    def call(self, function: str, **arguments: Any) -> Any:
        assert function == "judge_integrations"
        self.asked.append(arguments["p_limit"])
        answer = self._answers.pop(0)
        if not self._answers:
            self._deadline.shorten()
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_after_a_call_that_did_not_end_in_time_half_as_many_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerts, "PAUSE_SECONDS", 0)
    deadline = Deadline(3600)
    refused = [Unavailable()] * 8
    database = Slow(deadline, [*refused, JUDGED, JUDGED, BadRequest(), JUDGED])

    counts = watch_alerts(database, deadline, Pulse())

    assert database.asked == [100, 50, 25, 12, 6, 3, 1, 1, 1, AT_ONCE, AT_ONCE, AT_ONCE]
    assert (counts["failed_calls"], counts["judged"]) == (9, 3)
