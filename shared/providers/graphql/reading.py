"""Results as items: where they are in the data, what each is called, and the cursor behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.provider import (
    Expressions,
    Found,
    NamedBody,
    ProtocolFailed,
    name_item,
    write_item,
)

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql

MOST_ITEMS = 10_000
"""Of one result."""

CURSOR_LIMIT = 4_096
PREFIX = "graphql"


class Read(NamedTuple):
    """What a result says: its items, and the cursor behind them, None where it says none."""

    items: Sequence[Any]
    cursor: Any = None


class ResultReader:
    """Reads the results of one operation, whose expressions are `items` and `cursor`."""

    def __init__(self, graphql: Graphql, items: str | None, cursor: str | None) -> None:
        given = {"items": items, "cursor": cursor}
        expressions = {name: text for name, text in given.items() if text}
        self._graphql = graphql
        self._finds_items = items is not None
        self._expressions = Expressions(graphql.identity.organization_id, expressions)

    def check(self) -> None:
        """Compile what it reads by. Errors: SourceRefused."""
        self._expressions.check()

    def read(self, results: Sequence[Any]) -> list[Read | str]:
        """What each result's data says; or why that can't be told. Errors: Unavailable."""
        found = self._expressions.find(results)
        return [self._read(data, each) for data, each in zip(results, found, strict=True)]

    def read_one(self, data: Any) -> Read:
        """What one result's data says. Errors: ProtocolFailed, Unavailable."""
        (read,) = self.read([data])
        if isinstance(read, str):
            raise ProtocolFailed(read)
        return read

    def name(self, items: Sequence[Any]) -> list[NamedBody]:
        """Each item as a body, with its event id."""
        key = self._graphql.item_key
        return [(name_item(item, key, PREFIX), write_item(item)) for item in items]

    def _read(self, data: Any, found: Found) -> Read | str:
        if found.error:
            return f"The result can't be read: {found.error}"
        told = found.values.get("items") if self._finds_items else _find_only(data)
        items = told if isinstance(told, list) else [] if told is None else [told]
        if len(items) > MOST_ITEMS:
            return f"A result has {len(items):,} items; ask for at most {MOST_ITEMS:,}."
        cursor = found.values.get("cursor")
        text = write_item(cursor)
        if len(text) > CURSOR_LIMIT:
            return f"The cursor has {len(text):,} bytes; at most {CURSOR_LIMIT:,} are kept."
        return Read([item for item in items if item is not None], None if cursor == "" else cursor)


def _find_only(data: Any) -> Any:
    """What the only field of the data holds; all of it where there are several."""
    return next(iter(data.values())) if isinstance(data, dict) and len(data) == 1 else data
