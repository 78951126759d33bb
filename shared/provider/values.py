"""The one reader of values from outside: whatever is malformed counts as absent, and no text holds a NUL."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite, nan

LONGEST_TEXT = 512
LONGEST_COUNT = 18
"""Digits: more does not fit into JSON's 64 bits, or is refused by Python."""

EXACT = 2**53
"""Up to which a float holds every whole number."""

FIRST_YEAR = 2000
"""What is before is no time of anything here: some write the year 1 for "never"."""

Object = Mapping[str, object]
"""An object of their JSON, of which nothing is known yet."""


class Item:
    """An object, field by field. Of what is no object, every field is absent."""

    def __init__(self, value: object) -> None:
        self.fields: Object = value if isinstance(value, dict) else {}

    def text(self, name: str, most: int = LONGEST_TEXT) -> str | None:
        """The first `most` characters of a text that is not empty."""
        return read_text(self.fields.get(name), most)

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a list."""
        found = (read_text(each) for each in read_list(self.fields.get(name)))
        return tuple(each for each in found if each)

    def time(self, name: str) -> str | None:
        """A moment as ISO 8601 in UTC."""
        moment = read_moment(self.fields.get(name))
        return moment.isoformat() if moment else None

    def count(self, name: str) -> int | None:
        """A number that is not negative, which may be written as text where it is large."""
        value = self.fields.get(name)
        text = str(value) if isinstance(value, int | str) else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_COUNT else None

    def number(self, name: str) -> float | None:
        """A finite number, also one that is written as text."""
        return read_number(self.fields.get(name))

    def item(self, name: str) -> Item:
        """An object within."""
        return Item(self.fields.get(name))

    def items(self, name: str) -> list[Item]:
        """The objects of a list."""
        return [Item(each) for each in read_list(self.fields.get(name)) if isinstance(each, dict)]

    def named(self, name: str) -> dict[str, Item]:
        """The objects within an object, by their names in order."""
        found = {
            read_text(key): Item(each)
            for key, each in self.item(name).fields.items()
            if isinstance(each, dict)
        }
        return {key: found[key] for key in sorted(filter(None, found))}


def read_text(value: object, most: int = LONGEST_TEXT) -> str | None:
    """`value` where it is a text that is not empty."""
    return value.replace("\x00", "")[:most] or None if isinstance(value, str) else None


def read_number(value: object) -> float | None:
    """A finite number; 7.0 comes as 7."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else nan
    except (ValueError, OverflowError):
        return None
    if not isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def read_list(value: object) -> list[object]:
    """`value` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def read_moment(value: object) -> datetime | None:
    """The moment that an ISO 8601 text says; without an offset UTC is meant."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        in_utc = moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
    return in_utc if in_utc and in_utc.year >= FIRST_YEAR else None
