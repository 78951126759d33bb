"""Threads for what would keep an event loop waiting: of a number that is known, whoever asks for them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache, partial
from typing import TypeVar, TypeVarTuple

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

USUAL_THREADS = 64


async def run_aside(function: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
    """What the function gives, run in one of the threads once one is free; it logs as its caller would."""
    run = partial(copy_context().run, function, *args)
    return await asyncio.get_running_loop().run_in_executor(_load_threads(), run)


@cache
def _load_threads() -> ThreadPoolExecutor:
    """Begun at first use, for none outlives a fork."""
    return ThreadPoolExecutor(int(os.environ.get("THREADS") or USUAL_THREADS), "aside")
