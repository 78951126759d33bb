"""What the births of edge nodes have told: names and types behind aliases, the next sequence number, who is there.

It is JSON, since it has to outlive this process: the codec's state.
"""

from __future__ import annotations

from typing import Any

from shared.codecs.sandbox.program import CodecError

MOST_NODES = 1_000
MOST_METRICS = 5_000
MOST_IN_ALL = 50_000
"""Metrics of one edge node and its devices, and of all nodes."""

MOST_CHARACTERS, MOST_CHARACTERS_IN_ALL = 1_000_000, 4_000_000
"""Of the names of one edge node with its devices, metrics and aliases, and of all nodes."""

SEQUENCE = 256
ASK_AGAIN_SECONDS = 60.0


class Node:
    """One edge node, within the codec's state."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept

    @property
    def birth_number(self) -> int | None:
        """bdSeq of the last birth."""
        number = self._kept.get("birth")
        return number if isinstance(number, int) else None

    @property
    def devices(self) -> list[str]:
        """Its devices that are there."""
        return list(self._kept["devices"])

    def begin(self, birth_number: int | None, sequence: int) -> None:
        """It is born: what was known of it is no longer valid."""
        self._kept.update(_make_kept())
        self._kept.update({"birth": birth_number, "sequence": sequence % SEQUENCE})

    def add_device(self, device: str) -> None:
        """A device of it is born."""
        if device not in self._kept["devices"]:
            self._grow(len(device))
            self._kept["devices"].append(device)

    def remove_device(self, device: str) -> None:
        """A device of it is gone."""
        if device in self._kept["devices"]:
            self._kept["devices"].remove(device)
            self._grow(-len(device))

    def learn(self, device: str, metric: Any) -> None:
        """Keep what a birth says of a metric. Errors: CodecError where a node has too many."""
        types, aliases = self._kept["types"], self._kept["aliases"]
        key, alias = f"{device}\n{metric.name}", str(metric.alias)
        if key not in types:
            if len(types) >= MOST_METRICS:
                raise CodecError(f"The edge node has more than {MOST_METRICS:,} metrics.")
            self._grow(len(key))
        types[key] = metric.datatype
        if metric.HasField("alias"):
            self._grow(len(metric.name) - len(aliases[alias]) if alias in aliases else len(key) + len(alias))
            aliases[alias] = metric.name

    def _grow(self, characters: int) -> None:
        self._kept["size"] += characters
        if self._kept["size"] > MOST_CHARACTERS:
            raise CodecError(f"The names of the edge node have more than {MOST_CHARACTERS:,} characters.")

    def find_name(self, metric: Any) -> str | None:
        """A metric's name, by its alias where it has only that; None where no birth has told it."""
        if metric.HasField("name"):
            return str(metric.name)
        name = self._kept["aliases"].get(str(metric.alias))
        return name if isinstance(name, str) else None

    def find_type(self, device: str, name: str) -> int:
        """The data type that the birth gave a metric; 0 where it is not known."""
        number = self._kept["types"].get(f"{device}\n{name}")
        return number if isinstance(number, int) else 0

    def follow(self, sequence: int) -> bool:
        """Whether no message is missing before this one."""
        expected = (self._kept["sequence"] + 1) % SEQUENCE if self.is_known else sequence
        self._kept["sequence"] = sequence % SEQUENCE
        return bool(expected == sequence)

    @property
    def is_known(self) -> bool:
        """Whether anything of it was seen."""
        return isinstance(self._kept["sequence"], int)

    def may_ask(self, now: float) -> bool:
        """Whether a rebirth may be asked for now: not when it was a moment ago."""
        if now - self._kept["asked"] < ASK_AGAIN_SECONDS:
            return False
        self._kept["asked"] = now
        return True


def find_node(state: dict[str, Any], group: str, edge: str) -> Node:
    """The node of that name, new where it was not known; the one known longest makes room."""
    nodes: dict[str, Any] = state.setdefault("nodes", {})
    kept = nodes.pop(f"{group}/{edge}", None) or _make_kept() | {"asked": 0.0}
    nodes[f"{group}/{edge}"] = kept
    while len(nodes) > MOST_NODES or (len(nodes) > 1 and _exceed_bounds(nodes)):
        nodes.pop(next(iter(nodes)))
    return Node(kept)


def _exceed_bounds(nodes: dict[str, Any]) -> bool:
    metrics = sum(len(kept["types"]) for kept in nodes.values())
    characters = sum(len(name) + kept["size"] for name, kept in nodes.items())
    return metrics > MOST_IN_ALL or characters > MOST_CHARACTERS_IN_ALL


def _make_kept() -> dict[str, Any]:
    return {"birth": None, "sequence": None, "devices": [], "types": {}, "aliases": {}, "size": 0}
