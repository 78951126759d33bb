"""Check: the connection test, step by step."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from shared.provider.base import Capability
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Problem
from shared.runtime.outbound import resolve_checked

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a connection test: its name, whether it passed, what was seen, and how long it took."""

    name: str
    ok: bool
    detail: str
    ms: float


class Checker(Capability):
    """A provider whose connection can be tested."""

    capability: ClassVar[str] = "check"
    lacking: ClassVar[str] = "connection test"

    @abstractmethod
    def check(self) -> Iterator[Check]:
        """Test the connection step by step, within ten seconds; a failed step ends it."""


def run_check(name: str, step: Callable[[], str]) -> Check:
    """Run one step of a connection test; `step` returns what it saw, or raises a Problem that says what failed."""
    begun = time.perf_counter()
    try:
        ok, detail = True, step()
    except Problem as problem:
        ok, detail = False, problem.detail
    return Check(name, ok, detail, round((time.perf_counter() - begun) * 1000, 1))


def run_checks(steps: Iterable[tuple[str, Callable[[], str]]]) -> Iterator[Check]:
    """Run steps by their names, one after the other; a failed one is the last."""
    for name, step in steps:
        check = run_check(name, step)
        yield check
        if not check.ok:
            return


def explain_host(host: str, port: int, deadline: Deadline) -> str:
    """A step: at which addresses it is. OutsideError where it is at none, or at one that may not be called."""
    addresses = resolve_checked(host, port, deadline.remaining())
    return f"{host} is {', '.join(each.address for each in addresses)}."


def explain_url(url: str, deadline: Deadline) -> str:
    """The same of the host of an http(s) URL."""
    parts = urlsplit(url)
    return explain_host(parts.hostname or "", parts.port or PORTS[parts.scheme], deadline)
