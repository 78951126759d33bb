"""What every benchmark is given: how long it may take, and a progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Numbers = dict[str, float]
LEAST, SMOKE_PART, SMOKE_MOST = 2, 10, 2_000


@dataclass(frozen=True, slots=True)
class Bench:
    """One run; `quick` asks for an answer within a minute, `smoke` only whether there is one, of any numbers."""

    quick: bool
    progress: Progress
    smoke: bool = False

    def rounds(self, many: int, few: int) -> int:
        """How often to repeat: many times, or a few where it has to be quick."""
        return self.size(few if self.quick else many)

    def size(self, full: int) -> int:
        """How much there is of something in every run but a smoke run, and the little there is in that."""
        return max(LEAST, min(full // SMOKE_PART, SMOKE_MOST)) if self.smoke else full

    def track(self, label: str, rounds: int) -> Iterator[int]:
        """Counts the rounds and shows them."""
        yield from self.progress.track(range(rounds), description=label)

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Shows that something without rounds is under way."""
        task = self.progress.add_task(label, total=None)
        yield
        self.progress.update(task, total=1, completed=1)


class Benchmark(Protocol):
    """A module of this package."""

    __doc__: str | None
    REACH: dict[str, str]

    def measure(self, bench: Bench) -> Numbers:
        """Runs it and returns its numbers."""


def make_progress() -> Progress:
    """A progress bar on standard error, so that standard output holds results only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )
