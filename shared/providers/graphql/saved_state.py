"""What one session hands to the next, in `Batch.state`: where the query, or a subscription that can, goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from shared.provider import Notebook, NotebookState, write_json

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql


class SavedState(NotebookState, total=False):
    """The state as JSON, as it is saved with the messages it speaks of."""

    cursor: Any
    way: str
    """How the subscription was last begun: `socket` or `events`."""


class Memory(Notebook):
    """The saved state, opened."""

    def __init__(self, graphql: Graphql, state: Mapping[str, object]) -> None:
        source = (graphql.endpoint, graphql.query_cursor, graphql.subscription_cursor, graphql.first_cursor)
        super().__init__(state, hashlib.sha256(write_json(source)).hexdigest()[:16])
        known = cast("SavedState", state)
        self._cursor = known.get("cursor") if self.is_same else graphql.first_cursor
        self._way = known.get("way", "")

    @property
    def cursor(self) -> Any:
        """From where on is asked; None where the document says so itself."""
        return self._cursor

    @cursor.setter
    def cursor(self, cursor: Any) -> None:
        if cursor != self._cursor:
            self._cursor, self.changed = cursor, True

    @property
    def way(self) -> str:
        """How the subscription was last begun; empty where it was not."""
        return self._way

    @way.setter
    def way(self, way: str) -> None:
        if way != self._way:
            self._way, self.changed = way, True

    def save(self) -> SavedState:
        """The state as JSON."""
        return {**self.save_notebook(), "cursor": self._cursor, "way": self._way}
