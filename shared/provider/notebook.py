"""What a session has to tell its admin, and what it has told already: saved with its state, so that it is told once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from shared.provider.batch import Note


class NotebookState(TypedDict, total=False):
    """What a session's state as JSON has of its notebook."""

    key: str
    """What the rest is of: of anything else it says nothing."""
    told: list[str]


class Notebook:
    """Notes for the activity log. `changed` says that what is to be saved differs from what was saved last.

    `key` names what the session reads, where that can become another; `is_same` says that `state` is of it.
    """

    def __init__(self, state: Mapping[str, object], key: str | None = None) -> None:
        known = cast("NotebookState", state)
        self.changed = False
        self.told = set(known.get("told") or ())
        self.is_same = known.get("key") == key
        self._key = key
        self._notes: list[Note] = []

    def note(
        self, level: str, message: str, alert: str | None = None, alert_level: str | None = None
    ) -> None:
        """Something for the activity log, and for an alert where it has one; see `Note`."""
        self._notes.append(Note(level, message, alert, alert_level))

    def tell_once(
        self, key: str, message: str, alert: str | None = None, alert_level: str | None = None
    ) -> None:
        """A warning that is not repeated until `forget_told`."""
        if key not in self.told:
            self.told.add(key)
            self.changed = True
            self.note("warning", message, alert, alert_level)

    def forget_told(self, key: str) -> bool:
        """What a warning was about is over; it would be told again. Whether it was told."""
        if key not in self.told:
            return False
        self.told.remove(key)
        self.changed = True
        return True

    def save_notebook(self) -> NotebookState:
        """As JSON, to be saved now with the rest of the state."""
        self.changed = False
        told = sorted(self.told)
        return {"told": told} if self._key is None else {"key": self._key, "told": told}

    @property
    def has_news(self) -> bool:
        """Whether there is something to save or tell even without messages."""
        return self.changed or bool(self._notes)

    def take_notes(self) -> list[Note]:
        """The notes since the last call."""
        notes, self._notes = self._notes, []
        return notes
