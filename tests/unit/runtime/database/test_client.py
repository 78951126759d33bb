"""What the database refuses, as the problem that is answered."""

from __future__ import annotations

import pytest

from shared.runtime.database.client import Refusal, make_problem
from shared.runtime.errors import Conflict, LeaseLost, Problem, QuotaExceeded

TAKEN = '{"limit": 600, "allowed": false, "remaining": 0, "seconds": %d}'


@pytest.mark.parametrize(
    ("hint", "kind", "code"),
    [
        ("quota_exceeded", QuotaExceeded, "quota_exceeded"),
        ("wrong_status", Conflict, "conflict"),
        (None, LeaseLost, "lease_lost"),
        ("other", LeaseLost, "lease_lost"),
    ],
)
def test_a_conflict_is_told_apart_by_its_hint(hint: str | None, kind: type[Problem], code: str) -> None:
    problem = make_problem({"code": "PT409", "message": "At most 50 subscribers here.", "hint": hint})

    assert (type(problem), problem.status, problem.code) == (kind, 409, code)
    assert (problem.detail == "At most 50 subscribers here.") == (kind is not LeaseLost)


@pytest.mark.parametrize(("seconds", "wait"), [(0, "1"), (7, "7")])
def test_a_spent_budget_says_when_to_try_again(seconds: int, wait: str) -> None:
    refusal: Refusal = {
        "code": "PT429",
        "message": "More than 600 a minute.",
        "hint": "rate_limited",
        "details": TAKEN % seconds,
    }

    problem = make_problem(refusal)

    assert (problem.status, problem.code, problem.detail) == (429, "rate_limited", "More than 600 a minute.")
    assert problem.headers == {"Retry-After": wait}


def test_where_no_budget_is_told_a_minute_is_waited() -> None:
    assert make_problem({"code": "PT429", "message": "1000 ids."}).headers == {"Retry-After": "60"}
