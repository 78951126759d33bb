"""What may be thrown at any step of any loop: ours, Python's, and what is no Exception."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st

from shared.runtime.errors import BadRequest, LeaseLost, OutsideError, Problem, RateLimited, Unavailable

ERRORS: list[type[BaseException]] = [
    Problem,
    BadRequest,
    LeaseLost,
    OutsideError,
    RateLimited,
    Unavailable,
    KeyError,
    TypeError,
    ValueError,
    OSError,
    RuntimeError,
    RecursionError,
    MemoryError,
    StopIteration,
    AssertionError,
    TimeoutError,
]
WORST: list[type[BaseException]] = [*ERRORS, SystemExit, GeneratorExit, asyncio.CancelledError]
"""Of threads and tasks of one item: there they must end nothing else, either."""

errors = st.sampled_from(ERRORS)
worst = st.sampled_from(WORST)
