"""Problems in words."""

from __future__ import annotations

from shared.runtime.errors import BadRequest, FieldError, NotFound


def test_a_problem_explains_itself_with_each_wrong_field() -> None:
    problem = BadRequest(
        "Not like this.", errors=[FieldError("a", "Too long."), FieldError("b.c", "Required.")]
    )

    assert problem.explain() == "Not like this. a: Too long.; b.c: Required."


def test_a_problem_without_wrong_fields_is_its_detail() -> None:
    assert NotFound("No such device.").explain() == "No such device."
