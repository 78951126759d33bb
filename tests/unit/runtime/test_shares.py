"""Shares of a process's places: most for one alone, equal ones for many, one always for somebody new."""

from __future__ import annotations

from collections import Counter

import pytest

from shared.runtime.shares import Shares


def lease(shares: Shares, names: list[str]) -> Counter[str]:
    """One lease of all that wait, in turns; how many each got."""
    room, limit = shares.find_room(1_000), shares.limit()
    left = {name: limit["of"].get(name, limit["each"]) for name in names}
    taken: Counter[str] = Counter()
    while taken.total() < room and any(left.values()):
        for name in names:
            if left[name] and taken.total() < room:
                left[name] -= 1
                taken[name] += 1
                shares.take(name)
    return taken


@pytest.mark.parametrize(("greed", "alone"), [(1.0, 500), (9.0, 900)])
def test_one_alone_has_most_of_the_places(greed: float, alone: int) -> None:
    shares = Shares(1_000, greed=greed)

    for _ in range(10):
        lease(shares, ["one"])

    assert 1_000 - shares.free == alone


@pytest.mark.parametrize("greed", [1.0, 9.0])
@pytest.mark.parametrize("count", [1, 2, 12, 60])
def test_somebody_new_finds_a_place_however_many_take_all_they_may(count: int, greed: float) -> None:
    shares = Shares(1_000, greed=greed)
    names = [f"hoarder-{number}" for number in range(count)]
    held: Counter[str] = Counter()

    for _ in range(60):
        held += lease(shares, names)
        for name in names:
            ended = (held[name] + 3) // 4
            held[name] -= ended
            for _ in range(ended):
                shares.give_back(name)
    for _ in range(10):
        held += lease(shares, names)

    assert min(shares.free, shares.limit()["each"]) > 0
    assert max(held.values()) - min(held.values()) <= 0.1 * 1_000


def test_what_is_given_back_may_be_taken_again() -> None:
    shares = Shares(10)
    lease(shares, ["one"])
    held = 10 - shares.free

    for _ in range(held):
        shares.give_back("one")

    assert (shares.free, shares.limit()) == (10, {"each": 5, "of": {}})


def test_large_bodies_are_shared_as_places_are() -> None:
    shares = Shares(1_000, 32)
    shares.take("large", 16)
    shares.take("small", 1)

    limit = shares.limit()

    assert limit["of"]["large"] == 0
    assert limit["of"]["small"] > 0
    assert shares.free_bytes == 15
