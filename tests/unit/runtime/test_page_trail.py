"""Lists of the outside that lead in a circle or never end: found by what a state of two values remembers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain, count, cycle

import pytest

from shared.runtime import page_trail
from shared.runtime.page_trail import Trail, follow_cursor


def follow(cursors: Iterable[str]) -> int | None:
    """How many cursors were followed until one led nowhere; None where all could be."""
    trail: Trail | None = None
    for number, cursor in enumerate(cursors, 1):
        trail = follow_cursor(trail, cursor)
        if trail is None:
            return number
        trail = json.loads(json.dumps(trail))
    return None


@pytest.mark.parametrize("lead", [0, 1, 5, 100])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 1_000])
def test_a_circle_is_found_soon_whatever_leads_to_it(lead: int, length: int) -> None:
    circle = (f"c{number}" for number in cycle(range(length)))

    found = follow(chain((f"l{number}" for number in range(lead)), circle))

    assert found is not None
    assert lead + length < found <= 3 * (lead + length) + 1


def test_a_list_without_end_is_told_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_trail, "MOST_PAGES", 1_000)

    assert follow(map(str, count())) == 1_001


def test_whatever_cursors_are_long_or_odd_lists_are_followed_to_their_end() -> None:
    assert follow(["", "\ud800", "\x00", "x" * 100_000, "y" * 100_000]) is None
    assert follow(map(str, range(50_000))) is None
