"""What one session hands to the next, in `Batch.state`: where each partition is read on from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from shared.provider import Notebook, NotebookState

SavedPlace = int | list[int | None] | None
"""A `Place`, as one number where it is no more than that; null of a partition that was there from the beginning on and
could not be asked for yet."""


class Place(NamedTuple):
    """Where a partition is read on from."""

    offset: int
    """Of the record that is read next."""
    stamp: int | None = None
    """The timestamp of the record before it, in milliseconds, by which one tells whether it is that partition still."""
    made_anew: int = 0
    """How often it was found made anew, so that its offsets began again."""

    def save(self) -> SavedPlace:
        """As JSON."""
        return self.offset if self[1:] == (None, 0) else [*self]


class SavedState(NotebookState, total=False):
    """The state as JSON, as it is saved with the messages it speaks of."""

    cluster: str | None
    topics: list[str]
    """As the config named them then: what one of these patterns has found since was not there before."""
    begun: int
    """When the first session began, in milliseconds since 1970."""
    parts: dict[str, dict[str, SavedPlace]]
    """Where each partition is read on from, by topic and number."""
    lag: int
    """How many records there were to read still: what health and metrics say of it is read here, of any provider."""
    codec: dict[str, Any]


class Memory(Notebook):
    """The saved state, opened. Where another cluster answers than before, none of its offsets holds."""

    def __init__(self, state: Mapping[str, object]) -> None:
        known = cast("SavedState", state)
        super().__init__(state)
        self.cluster = known.get("cluster")
        self.topics = tuple(known.get("topics") or ())
        self.begun = known.get("begun") or round(time.time() * 1000)
        self.parts = {topic: dict(places) for topic, places in (known.get("parts") or {}).items()}
        self.codec_state = dict(known.get("codec") or {})
        self.lag = known.get("lag", 0)

    def meet_cluster(self, name: str | None, *, tells: bool) -> None:
        """The cluster calls itself so. Of several sessions one `tells` where it is another."""
        if self.cluster and name and name != self.cluster:
            self.parts = {}
            if tells:
                self.note(
                    "warning",
                    "Another cluster answers than before: its topics are read from their beginning. What the one "
                    "before had that was not read yet is lost.",
                    "broker.overflowed",
                )
        if name and name != self.cluster:
            self.cluster, self.changed = name, True

    def note_backlog(self, left: int) -> bool:
        """Whether there was more to read when the time was up, which is told once."""
        if left:
            self.tell_once(
                "backlog",
                f"There were {left:,} records still to be read when the session ended; the next one goes on with them. "
                "If this stays so, more comes than is stored: use the worker, and with several raise "
                "parallel_sessions, or make several integrations for the topics.",
            )
        else:
            self.forget_told("backlog")
        return bool(left)

    def find_place(self, topic: str, number: int) -> Place | None:
        """Where a partition is read on from; None where it was never read."""
        saved = self.parts.get(topic, {}).get(str(number))
        return Place(*saved) if isinstance(saved, list) else saved if saved is None else Place(saved)  # type: ignore[arg-type]

    def was_there(self, topic: str, number: int) -> bool:
        """Whether a partition was there from the beginning on, though it could not be asked for."""
        return str(number) in self.parts.get(topic, {})

    def save(self, topics: tuple[str, ...], parts: dict[str, dict[str, SavedPlace]], lag: int) -> SavedState:
        """The state as JSON, with these places."""
        self.topics, self.parts, self.lag = topics, parts, lag
        return {
            **self.save_notebook(),
            "cluster": self.cluster,
            "topics": list(topics),
            "begun": self.begun,
            "parts": parts,
            "lag": lag,
            "codec": self.codec_state,
        }
