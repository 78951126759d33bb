"""What is to be run for a request, and how its result becomes the response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from scripts.local.rest.transaction import Row, Statement


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and the answer to its row."""

    statement: Statement
    answer: Callable[[Row], Response]
