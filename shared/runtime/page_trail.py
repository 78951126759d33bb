"""Following the pages of an outside list by its cursors: one that leads in a circle, or never ends, is told.

Cursors may be long, pages many, and whoever follows them may be another worker later: so not all of them are kept, but
one at a time, taken anew after 1, 2, 4, 8 … pages (Brent's cycle detection). A circle is found within three times its
length and what led to it.
"""

from __future__ import annotations

import hashlib
from typing import TypedDict

MOST_PAGES = 100_000
"""Of one list; none of ours has as many."""

CIRCLE = "its pages lead in a circle, or have no end"
"""What is wrong with a list for which `follow_cursor` says None."""


class Trail(TypedDict):
    """How many pages there were, and the hash of one of their cursors."""

    pages: int
    mark: str


def follow_cursor(trail: Trail | None, cursor: str) -> Trail | None:
    """`trail` (None at first) with the page that `cursor` leads to; None where following it leads nowhere."""
    before = trail or Trail(pages=0, mark="")
    pages, place = before["pages"] + 1, hashlib.sha256(cursor.encode(errors="backslashreplace")).hexdigest()
    if place == before["mark"] or pages > MOST_PAGES:
        return None
    is_power_of_two = pages & (pages - 1) == 0
    return Trail(pages=pages, mark=place if is_power_of_two else before["mark"])
