"""The examples of docs/api.md and its like: code in bash and JavaScript, and the reply that stands below it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.local.stack import ROOT

_PART = re.compile(
    r"^```(?P<language>\w+)\n(?P<code>(?:.*\n)*?)```$|^#+ (?P<heading>.+)$|^(?P<prose>.+)$", re.MULTILINE
)
EXACT = frozenset({"ok", "code", "title", "field"})
"""Members whose value has to be the documented one; of all others the type."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A documented reply: status, names of headers, and the JSON below them where there is any."""

    status: int
    headers: tuple[str, ...]
    body: Any


@dataclass
class Example:
    """One block of code; `reply` is None where the document only says that it works."""

    heading: str
    language: str
    code: str
    reply: Reply | None = None


@dataclass
class _Reader:
    heading: str = ""
    waiting: list[Example] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def take(self, part: re.Match[str]) -> None:
        """Code waits for the reply below it; prose or a heading ends the waiting."""
        language = part["language"]
        if language == "http":
            for example in self.waiting:
                example.reply = _parse_reply(part["code"])
        elif language in {"sh", "js"}:
            self.waiting.append(Example(self.heading, language, part["code"]))
            self.examples.append(self.waiting[-1])
            return
        self.heading = part["heading"] or self.heading
        self.waiting = []


def read_examples(language: str, page: str = "api.md") -> list[Example]:
    """All examples in a language, in the page's order."""
    reader = _Reader()
    for part in _PART.finditer((ROOT / "docs" / page).read_text()):
        reader.take(part)
    return [example for example in reader.examples if example.language == language]


def _parse_reply(text: str) -> Reply:
    head, _, body = text.partition("\n\n")
    first, *headers = head.splitlines()
    return Reply(
        int(first.split()[1]),
        tuple(line.partition(":")[0] for line in headers),
        json.loads(body) if body.strip() else None,
    )


def find_differences(documented: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Where `actual` is not of the documented shape; `{}` stands for any object, `null` for what may be absent."""
    if documented in (None, {}) and not isinstance(actual, list):
        return
    if isinstance(documented, dict) and isinstance(actual, dict):
        if documented.keys() != actual.keys():
            yield f"{path}: documented {sorted(documented)}, got {sorted(actual)}"
        for name in documented.keys() & actual.keys():
            yield from find_differences(documented[name], actual[name], f"{path}.{name}")
    elif isinstance(documented, list) and isinstance(actual, list):
        # Of a longer or shorter list the first: the newest row is the one the example is about.
        compared = len(documented) if len(documented) == len(actual) else 1
        pairs = zip(documented[:compared], actual[:compared], strict=False)
        for number, (wanted, got) in enumerate(pairs):
            yield from find_differences(wanted, got, f"{path}[{number}]")
    elif not _is_alike(documented, actual, exact=path.rpartition(".")[2] in EXACT):
        yield f"{path}: documented {documented!r}, got {actual!r}"


def _is_alike(documented: Any, actual: Any, *, exact: bool) -> bool:
    if exact:
        return bool(documented == actual)
    numbers = (int, float)
    return isinstance(actual, numbers if isinstance(documented, numbers) else type(documented))
