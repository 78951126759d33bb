"""What one session hands to the next, in `Batch.state`: where the query, or a subscription that can, goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from shared.provider import Notebook, write_json

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql


class SavedState(TypedDict, total=False):
    """The state as JSON, as it is saved with the messages it speaks of."""

    key: str
    """What the cursor is one of; of anything else it says nothing."""
    cursor: Any
    way: str
    """How the subscription was last begun: `socket` or `events`."""
    told: list[str]


class Memory(Notebook):
    """The saved state, opened."""

    def __init__(self, graphql: Graphql, state: Mapping[str, object]) -> None:
        known = cast("SavedState", state)
        super().__init__(known.get("told") or ())
        source = (graphql.endpoint, graphql.query_cursor, graphql.subscription_cursor, graphql.first_cursor)
        self._key = hashlib.sha256(write_json(source)).hexdigest()[:16]
        is_known = known.get("key") == self._key
        self._cursor = known.get("cursor") if is_known else graphql.first_cursor
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
        self.changed = False
        return {"key": self._key, "cursor": self._cursor, "way": self._way, "told": sorted(self.told)}
