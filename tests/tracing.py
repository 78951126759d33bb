"""Which of our files a call enters, in order; and what docs/architecture.md says of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from scripts.local.stack import ROOT

PAGE = ROOT / "docs" / "architecture.md"
TOOLS = {f"shared/runtime/{name}.py" for name in ("log", "settings", "errors", "deadline", "numbers")}
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


def _name_file(frame: FrameType) -> str | None:
    file = Path(frame.f_code.co_filename)
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
