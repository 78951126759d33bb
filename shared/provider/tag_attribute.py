"""Tags where the other side has none of its own: in one attribute of a device, joined by commas."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from shared.provider.values import Item
from shared.runtime.errors import ProviderRefused

TAGS = "tags"
MOST_CHARACTERS = 200


def read_tags(device: Item) -> tuple[str, ...]:
    """Those of the attribute, sorted; `device` has its `attributes`."""
    text = device.item("attributes").text(TAGS, 1_024) or ""
    return tuple(sorted({each.strip() for each in text.split(",") if each.strip()}))


def join_tags(
    attributes: Mapping[str, object],
    tags: Sequence[str],
    most: int = MOST_CHARACTERS,
    pattern: str = r"[^,]+",
) -> dict[str, object]:
    """The attributes with these tags, each of that pattern; ProviderRefused where they don't fit."""
    if wrong := [each for each in tags if not re.fullmatch(pattern, each)]:
        raise _refuse(f"A tag can't be written so there: {wrong[0]!r}.")
    joined = ",".join(sorted(set(tags)))
    if len(joined) > most:
        raise _refuse(f"All tags of a device have {most} characters there.")
    kept = {name: value for name, value in attributes.items() if name != TAGS}
    return kept | ({TAGS: joined} if joined else {})


def _refuse(words: str) -> ProviderRefused:
    return ProviderRefused(words, answered=HTTPStatus.UNPROCESSABLE_ENTITY)
