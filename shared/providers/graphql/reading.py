"""Results as items: where they are in the data, what each is called, and the cursor behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.provider import (
    UNLIFTED,
    Expressions,
    Found,
    Lifted,
    NamedBody,
    ProtocolFailed,
    name_item,
    write_item,
)

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql
    from shared.providers.graphql.saved_state import Memory

MOST_ITEMS = 10_000
"""Of one result."""

CURSOR_LIMIT = 4_096
PREFIX = "graphql"


NAMELESS = (
    "Items have nothing at item_key, so their content names them, and of equal ones only one is stored: ask for a "
    "field that is each item's own, and let item_key name it. With null there this is meant, and not told."
)
UNPLACED = "There is no cursor in the results: what {field} looks for is not in them, so {effect}; check it."


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
        self._cursor_field = _describe_field(graphql) if cursor else None
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

    def name(self, items: Sequence[Any], lifted: Lifted = UNLIFTED) -> list[NamedBody]:
        """Each item as a body, with its event id and whatever of it was lifted out."""
        key = self._graphql.item_key
        return [(name_item(item, key, PREFIX), lifted.restore(write_item(item))) for item in items]

    def judge(self, read: Read, bodies: Sequence[NamedBody], memory: Memory) -> None:
        """Tell once what would be lost without a word: items of no name, a list of which no cursor leads on."""
        if self._graphql.item_key and any(name.startswith(f"{PREFIX}-content:") for name, _ in bodies):
            memory.tell_once("nameless", NAMELESS)
        if self._cursor_field is None or not read.items:
            return
        if read.cursor is not None:
            memory.forget_told("unplaced")
        elif memory.cursor == self._graphql.first_cursor:
            field, effect = self._cursor_field
            memory.tell_once("unplaced", UNPLACED.format(field=field, effect=effect))

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


def _describe_field(graphql: Graphql) -> tuple[str, str]:
    """The field that finds the cursor, and what comes of one that finds none."""
    if graphql.is_streaming:
        return "subscription_cursor", "what comes between two sessions is lost"
    return "query_cursor", "only the first page is ever read"


def _find_only(data: Any) -> Any:
    """What the only field of the data holds; all of it where there are several."""
    return next(iter(data.values())) if isinstance(data, dict) and len(data) == 1 else data
