"""What is to be run for a request, and how its result becomes the response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from scripts.local.rest.transaction import Row, Statement


@dataclass(frozen=True, slots=True)
class Guess:
    """What a plan took for granted without looking: where it was wrong its statement returns no row, or fails.

    `was_wrong` looks, after a failure.
    """

    was_wrong: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and the answer to its row."""

    statement: Statement
    answer: Callable[[Row], Response]
    guess: Guess | None = None
