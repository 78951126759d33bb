"""Which of our files a call enters, in order; and what docs/architecture.md says of it."""

from __future__ import annotations

import re
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby, takewhile
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from scripts.local.stack import ROOT

PAGE = ROOT / "docs" / "architecture.md"
TOOLS = {
    f"shared/runtime/{name}.py"
    for name in (
        *("log", "settings", "errors", "problem", "deadline", "numbers", "exact_json", "idle_watch"),
        "telemetry/__init__",
    )
}
"""What the page does not count."""


class Step(NamedTuple):
    """One row of the page: a stop, and the files or folders that it asks."""

    stop: str
    asks: frozenset[str]


def read_steps(heading: str) -> list[Step]:
    """The steps of the table below a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if re.match(r"\| \d", line)]
    return [Step(_list_files(row[1])[0], frozenset(_list_files(row[-1]))) for row in rows]


def write_folders(steps: Sequence[Step], told: Sequence[Step]) -> list[Step]:
    """The steps with the folders that the page names in the place of the files in them."""
    folders = sorted({each for step in told for each in step.asks if each.endswith("/")}, reverse=True)

    def name(file: str) -> str:
        return next((each for each in folders if file.startswith(each)), file)

    return [Step(step.stop, frozenset(map(name, step.asks))) for step in steps]


def _list_files(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@dataclass
class Trace:
    """The files that were entered, one after the other, and the call stack when `told` was last entered."""

    told: Callable[..., Any]
    entered: list[str] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns; only this thread is looked at."""
        sys.setprofile(self._note)
        try:
            return call()
        finally:
            sys.setprofile(None)

    def list_steps(self) -> list[Step]:
        """What was entered, as steps: a stop is a file of `stack`, the others are asked by the one before."""
        steps: list[tuple[str, set[str]]] = []
        for file, _ in groupby(each for each in self.entered if each not in TOOLS):
            if file not in self.stack:
                steps[-1][1].add(file)
            elif not steps or steps[-1][0] != file:
                steps.append((file, set()))
        return [Step(stop, frozenset(asks)) for stop, asks in steps]

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        file = _name_file(frame)
        if event != "call" or file is None:
            return
        self.entered.append(file)
        if frame.f_code is self.told.__code__:
            self.stack = _list_stack(frame)


@dataclass(frozen=True)
class Mark:
    """A moment on the way: a function is called, as `is_it` knows it by its frame."""

    told: Callable[..., Any]
    is_it: Callable[[FrameType], bool] = lambda _: True

    def meets(self, frame: FrameType) -> bool:
        """Whether the frame is of that moment."""
        code = getattr(self.told, "__wrapped__", self.told).__code__
        return frame.f_code is code and self.is_it(frame)


class Way:
    """What a message went through on its way over several threads, from mark to mark.

    The part of a mark is what its thread has entered since the mark before it there, until the function that it names
    comes back. Its stops are the files that are on the call stack at that moment, without those that were there already
    at the mark before it in that thread, but for the last of these.
    """

    def __init__(self, marks: Sequence[Mark]) -> None:
        self._marks = list(marks)
        self._lock = threading.Lock()
        self._entered: dict[threading.Thread, list[str]] = defaultdict(list)
        self._stacks: dict[threading.Thread, list[str]] = defaultdict(list)
        self._open: dict[FrameType, int] = {}
        self._parts: list[tuple[list[str], list[str]]] = []

    def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns; this thread is looked at, and all that it begins."""
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        try:
            return call()
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def list_steps(self) -> list[Step]:
        """All stops in order; what is none, the stop asks after which it was first entered."""
        assert not self._marks, f"{self._marks[0].told} was not reached"
        steps: list[tuple[str, set[str]]] = []
        known = TOOLS | {stop for stops, _ in self._parts for stop in stops}
        for stops, entered in self._parts:
            part = dict[str, set[str]]((stop, set()) for stop in stops)
            last = stops[0]
            for file in entered:
                last = file if file in part else last
                part[last] |= {file} - known
                known.add(file)
            repeats = bool(steps) and steps[-1][0] == stops[0]
            steps += [*part.items()][repeats:]
        return [Step(stop, frozenset(asks)) for stop, asks in steps]

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        file = _name_file(frame)
        if file is None or frame.f_code.co_name == "<module>":
            return
        thread = threading.current_thread()
        with self._lock:
            if event == "call":
                self._entered[thread].append(file)
                if self._marks and self._marks[0].meets(frame):
                    del self._marks[0]
                    self._open[frame] = len(self._parts)
                    self._parts.append((self._find_stops(thread, _list_stack(frame)), []))
            elif event == "return" and frame in self._open:
                self._parts[self._open.pop(frame)][1].extend(self._entered.pop(thread))

    def _find_stops(self, thread: threading.Thread, stack: list[str]) -> list[str]:
        """The stack from the last file on that was on the one before it as well."""
        before, self._stacks[thread] = self._stacks[thread], stack
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, stack, strict=False)))
        return stack[max(0, common - 1) :]


def _name_file(frame: FrameType) -> str | None:
    return _find_ours(frame.f_code.co_filename)


@cache
def _find_ours(name: str) -> str | None:
    file = Path(name)
    ours = file.is_relative_to(ROOT / "shared") or file.is_relative_to(ROOT / "functions")
    return str(file.relative_to(ROOT)) if ours else None


def _list_stack(frame: FrameType | None) -> list[str]:
    files: list[str] = []
    while frame:
        file = _name_file(frame)
        if file and file not in files:
            files.insert(0, file)
        frame = frame.f_back
    return files
