"""What one session hands to the next, in `Batch.state`: where each partition is read on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, cast

from shared.provider import Notebook


class SavedState(TypedDict, total=False):
    """The state as JSON, as it is saved with the messages it speaks of."""

    cluster: str | None
    topics: list[str]
    """As the config named them then: what one of these patterns has found since was not there before."""
    offsets: dict[str, dict[str, int]]
    """Of each partition, by topic and number, the offset of the record that is read next."""
    made_anew: dict[str, int]
    """How often a partition, as `topic:number`, was found made anew, whose offsets began again."""
    lag: int
    """How many records there were to read still: what metrics say of it is read here, of any provider."""
    told: list[str]
    codec: dict[str, Any]


class Memory(Notebook):
    """The saved state, opened. Where another cluster answers than before, none of its offsets holds."""

    def __init__(self, state: Mapping[str, object]) -> None:
        known = cast("SavedState", state)
        super().__init__(known.get("told") or ())
        self.cluster = known.get("cluster")
        self.topics = tuple(known.get("topics") or ())
        self.offsets = {topic: dict(places) for topic, places in (known.get("offsets") or {}).items()}
        self.made_anew = dict(known.get("made_anew") or {})
        self.codec_state = dict(known.get("codec") or {})
        self.lag = known.get("lag", 0)

    def meet_cluster(self, name: str | None) -> None:
        """The cluster calls itself so."""
        if self.cluster and name and name != self.cluster:
            self.note(
                "warning",
                "Another cluster answers than before: its topics are read from their beginning. What the one before "
                "had that was not read yet is lost.",
                "broker.overflowed",
            )
            self.offsets = {}
        if name and name != self.cluster:
            self.cluster, self.changed = name, True

    def find_offset(self, topic: str, number: int) -> int | None:
        """Where a partition is read on from; None where it was never read."""
        return self.offsets.get(topic, {}).get(str(number))

    def save(self, topics: tuple[str, ...], offsets: dict[str, dict[str, int]], lag: int) -> SavedState:
        """The state as JSON, with these places."""
        self.topics, self.offsets, self.lag, self.changed = topics, offsets, lag, False
        return {
            "cluster": self.cluster,
            "topics": list(topics),
            "offsets": offsets,
            "made_anew": {
                name: count for name, count in self.made_anew.items() if name.rpartition(":")[0] in offsets
            },
            "lag": lag,
            "told": sorted(self.told),
            "codec": self.codec_state,
        }
