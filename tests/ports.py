"""Ports for what a test begins, and begins again: of each process of a test run its own."""

from __future__ import annotations

import itertools
import os
import secrets

from scripts.local.ports import is_free

SLICE = 1_500
LOWEST = 20_000
HIGHEST = 32_000
"""Below what the system hands out by itself, above what scripts/ choose from: none of either is taken meanwhile."""


def _list_own() -> list[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    begin = LOWEST + worker * SLICE % (HIGHEST - LOWEST)
    own = [*range(begin, begin + SLICE)]
    # Another run on the same machine begins elsewhere.
    turned = secrets.randbelow(SLICE)
    return own[turned:] + own[:turned]


_OWN = itertools.cycle(_list_own())


def find_free_port() -> int:
    """A loopback port that nobody uses just now, and that nobody else is given before it is listened on."""
    return next(port for port in _OWN if is_free(port))
