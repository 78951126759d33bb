"""Reads the small languages of PostgREST's query string, one character group at a time."""

from __future__ import annotations

import re

from scripts.local.rest.errors import RestError, refuse_syntax
from scripts.local.rest.nodes import Path

MAX_DEPTH = 20
NAME = re.compile(r"""(?:[^\s,.():"!>{}\[\]*-]|-(?!>)|[ ](?=[^\s,.():"!>*]))+""")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
OPENING, CLOSING = "([{", ")]}"


class Scanner:
    """A position in a text; `what` names the text in errors."""

    def __init__(self, what: str, text: str) -> None:
        self.what = what
        self.text = text
        self.position = 0
        self.depth = 0

    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self.position >= len(self.text)

    def accept(self, token: str) -> bool:
        """Skips the token if it comes next."""
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        return True

    def expect(self, token: str) -> None:
        """Skips the token, which must come next."""
        if not self.accept(token):
            raise self.refuse(f'expecting "{token}"')

    def refuse(self, expected: str) -> RestError:
        """400 naming the text and the place in it."""
        return refuse_syntax(self.what, self.text, f"{expected} at character {self.position + 1}")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Skips what the pattern matches here."""
        found = pattern.match(self.text, self.position)
        if found is not None:
            self.position = found.end()
        return found

    def quoted(self) -> str | None:
        """A text in double quotes, in which a backslash makes the next character itself."""
        found = self.match(QUOTED)
        return None if found is None else re.sub(r"\\(.)", r"\1", found.group(1), flags=re.DOTALL)

    def name(self) -> str:
        """A field name, quoted or not."""
        quoted = self.quoted()
        if quoted is not None:
            return quoted
        found = self.match(NAME)
        if found is None:
            raise self.refuse("expecting a field name")
        return found.group().strip()

    def path(self) -> Path:
        """A column and its json steps: `data->readings->0->>value`."""
        column = self.name()
        steps: list[tuple[str, str]] = []
        while self.text.startswith("->", self.position):
            arrow = "->>" if self.accept("->>") else "->"
            if arrow == "->":
                self.expect("->")
            steps.append((arrow, self.name()))
        return Path(column, tuple(steps))

    def until(self, stops: str) -> str:
        """The raw text up to one of the stops, outside of brackets and quotes."""
        start, open_brackets = self.position, 0
        while not self.at_end():
            character = self.text[self.position]
            if character == '"' and self.match(QUOTED):
                continue
            if open_brackets == 0 and character in stops:
                break
            open_brackets += (character in OPENING) - (character in CLOSING)
            self.position += 1
        return self.text[start : self.position]

    def enter(self) -> None:
        """One level deeper; a query string must not be able to exhaust the stack."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.refuse(f"at most {MAX_DEPTH} levels of nesting are read")

    def leave(self) -> None:
        """One level up again."""
        self.depth -= 1
