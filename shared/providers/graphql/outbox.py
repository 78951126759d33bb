"""The outbox of results. They come unasked: what has come is counted, and then whether there is room for more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.provider import SMALL, Batch, Bounds, NamedBody, Outbox, weigh_json

BOUNDS = Bounds(messages=2_000, size=16_000_000)


class ResultOutbox(Outbox):
    """Hands batches over, and waits for their commits where there are too many; for one session."""

    def __init__(self, owner: str) -> None:
        super().__init__(BOUNDS, owner)

    def hand_over(self, batch: Batch, bodies: Sequence[NamedBody] = ()) -> Iterator[Batch]:
        """Hand over `batch`, made of `bodies`; then a sign of life again and again until there is room for more."""
        for _, body in bodies:
            self.add(len(body), weigh_json(body))
        yield self.hand(batch)
        yield from self.wait_for_room()

    def has_room(self, coming: int = 0) -> bool:
        """Whether there is room for as much again, which is not taken: whether more comes nobody knows."""
        if not self.has_handed:
            self.close()
            return True
        weight = self.weight + coming
        if weight > SMALL:
            self._holding.hold(weight)
        return self.is_within_bounds and self._holding.has_room(2 * weight)
