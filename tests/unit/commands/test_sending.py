"""Recording what came of commands when the database balks: one that can't be kept costs the others nothing."""

from __future__ import annotations

from typing import Any

import pytest

from shared.commands.sending import AT_ONCE, REFERENCE_LIMIT, UNKEPT, CommandResult, _Commands, _describe
from shared.provider import Outcome
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Unavailable
from shared.runtime.idle_watch import Pulse


class Balking(Database):
    """Stands at the border to PostgREST: refuses what has the result poison."""

    def __init__(self, refusal: Exception) -> None:
        self.kept: list[CommandResult] = []
        self._refusal = refusal

    def call(self, function: str, **arguments: Any) -> Any:
        assert function == "finish_commands"
        results: list[CommandResult] = arguments["p_results"]
        if any(each.result == "poison" for each in results):
            raise self._refusal
        self.kept += results
        return {"sent": len(results)}


def finish(refusal: Exception) -> tuple[_Commands, list[CommandResult]]:
    database = Balking(refusal)
    commands = _Commands(database, Deadline(1), Pulse())
    words = ("fine", "poison", "well")
    ended = [CommandResult(f"{n}", "", "confirmed", result=word) for n, word in enumerate(words)]
    commands.attempt("failed_calls", lambda: commands.finish(ended))
    return commands, database.kept


@pytest.mark.parametrize("refusal", [BadRequest(), TypeError("str is not valid UTF-8")])
def test_an_answer_that_can_not_be_kept_is_left_out_and_the_others_keep_theirs(refusal: Exception) -> None:
    commands, kept = finish(refusal)

    assert commands.counts == {"sent": 3}
    assert [(each.outcome, each.result, each.error) for each in kept] == [
        ("confirmed", "fine", None),
        ("confirmed", None, UNKEPT),
        ("confirmed", "well", None),
    ]


def test_while_the_database_is_away_results_are_left_to_their_leases() -> None:
    commands, kept = finish(Unavailable())

    assert (commands.counts, kept) == ({"failed_calls": 1}, [])


class Busy(Database):
    """Stands there too: says that one is busy."""

    def __init__(self) -> None:
        pass

    def call(self, function: str, **arguments: Any) -> Any:
        assert function == "finish_commands"
        return {"sent": len(arguments["p_results"]) - 1, "busy": ["1"]}


def test_what_is_busy_is_kept_for_the_next_time() -> None:
    commands = _Commands(Busy(), Deadline(1), Pulse())

    commands.record([CommandResult(f"{n}", "", "sent") for n in range(3)])

    assert (commands.counts, commands.find_room()) == ({"sent": 2}, AT_ONCE - 1)


def test_the_name_that_the_other_side_gives_a_command_is_kept_in_so_many_characters() -> None:
    row: Any = {"id": "c", "lease_token": "t"}

    result = _describe(row, Outcome("a\x00" + "b" * 1_000_000))

    assert result.reference == "a\ufffd" + "b" * (REFERENCE_LIMIT - 2)
    assert _describe(row, Outcome()).reference is None
