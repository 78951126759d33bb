"""What a query string says, as plain data: the parser makes these, the SQL builders read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Path:
    """A column, or a place inside a json column: steps are (`->` or `->>`, key)."""

    column: str
    steps: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The key of the result: the last step that is not an array index, else the column."""
        keys = [key for _, key in self.steps if not key.lstrip("-").isdecimal()]
        return keys[-1] if keys else self.column


@dataclass(frozen=True, slots=True)
class Star:
    """`*`: every column."""


@dataclass(frozen=True, slots=True)
class Count:
    """`count` or `count()`: how many rows."""

    alias: str


@dataclass(frozen=True, slots=True)
class Column:
    """`alias:path::cast`."""

    path: Path
    alias: str | None = None
    cast: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """`path=not.operator(quantifier).value`."""

    path: Path
    operator: str
    value: str
    negated: bool = False
    quantifier: str | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """`and(…)` or `or(…)`, perhaps negated."""

    operator: str
    terms: tuple[Condition | Logic, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """`path.asc|desc.nullsfirst|nullslast`, or `embedded(path)…`; what was not said is empty."""

    path: Path
    direction: str = ""
    nulls: str = ""
    embedded: str = ""


@dataclass(slots=True)
class Node:
    """One table being read: its columns, filters, order and window, and what is embedded in it."""

    items: Sequence[Star | Count | Column | Embed] = field(default_factory=list)
    where: list[Condition | Logic] = field(default_factory=list)
    order: list[Order] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

    def embeds(self) -> list[Embed]:
        """The related tables that this one shows."""
        return [item for item in self.items if isinstance(item, Embed)]


@dataclass(slots=True)
class Embed:
    """`alias:target!hint!inner(…)`."""

    target: str
    node: Node
    alias: str | None = None
    hint: str | None = None
    inner: bool = False

    @property
    def name(self) -> str:
        """The key of the result."""
        return self.alias or self.target
