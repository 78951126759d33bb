"""What one session hands to the next, in `Batch.state`: where the stream or the pages go on."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, cast

from shared.provider import Notebook, NotebookState


class SavedState(NotebookState, total=False):
    """The state as JSON, as it is saved with the messages it speaks of; another service or request begins anew."""

    cursor: Any
    epoch: str
    """Of a stream without a cursor, in which run of it messages are the same as before."""
    is_whole: bool
    """Whether the service itself has ended the last stream: the next one may say all of it again."""
    page: str | int | None
    ahead: Any
    """Between two pages, the cursor that the pages so far have come to."""
    pages: int
    """How many pages in a row have named another."""
    codec: dict[str, Any]


class Memory(Notebook):
    """The saved state, opened."""

    def __init__(self, state: Mapping[str, object], key: str, first_cursor: Any) -> None:
        super().__init__(state, key)
        known = cast("SavedState", state if self.is_same else {"codec": state.get("codec")})
        self.cursor = known.get("cursor", first_cursor)
        self.since = 0
        """How many messages of this stream have come since one had that cursor, or since it began there."""
        self.epoch = known.get("epoch", "")
        self.is_whole = known.get("is_whole", False)
        self.page = known.get("page")
        self.ahead = known.get("ahead")
        self.pages = known.get("pages", 0)
        self.codec_state = dict(known.get("codec") or {})

    def begin_stream(self) -> None:
        """What comes is new, unless the last stream had an end; with a cursor, what follows that one."""
        self.epoch = self.epoch if self.is_whole and self.epoch else uuid.uuid4().hex
        self.is_whole = False
        self.since = 0

    def end_stream(self) -> None:
        """The service itself has ended it."""
        self.is_whole = True
        self.changed = True

    def forget_place(self, first_cursor: Any) -> None:
        """Begin where a first session does."""
        self.cursor, self.since = first_cursor, 0
        self.forget_page()

    def forget_page(self) -> None:
        """The next poll asks for its first page, by the cursor."""
        self.page, self.ahead, self.pages = None, None, 0
        self.changed = True

    def save(self) -> SavedState:
        """The state as JSON."""
        return {
            **self.save_notebook(),
            "cursor": self.cursor,
            "epoch": self.epoch,
            "is_whole": self.is_whole,
            "page": self.page,
            "ahead": self.ahead,
            "pages": self.pages,
            "codec": self.codec_state,
        }
