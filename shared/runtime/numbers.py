"""Numbers in JSON: `true` is none, though Python counts it as 1; 5.0 is the integer 5."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def refuse_truth(value: Any) -> Any:
    """`value` itself; ValueError for true and false."""
    if isinstance(value, bool):
        raise ValueError("write a number, not true or false")  # noqa: TRY004 - pydantic takes no TypeError
    return value


Whole = Annotated[int, BeforeValidator(refuse_truth)]
"""An integer in a body."""
