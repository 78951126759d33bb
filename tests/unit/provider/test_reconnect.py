"""Backing off before another connection: with signs of life, and no longer than the session lasts."""

from __future__ import annotations

from shared.provider import Batch, Deadline, back_off


def test_backing_off_gives_signs_of_life_for_its_time() -> None:
    deadline = Deadline(60)

    signs = list(back_off(0.02, deadline))

    assert (signs[0], all(each.is_empty for each in signs), deadline.expired) == (Batch(), True, False)


def test_backing_off_ends_with_the_session() -> None:
    deadline = Deadline(60)
    signs = back_off(600, deadline)
    first = next(signs)

    deadline.shorten()

    assert (first, list(signs)) == (Batch(), [])
