"""An address that is itself a secret: what is shown of it, and what of it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from shared.provider.fields import locate_url

PART_LENGTH = 8
"""Characters from which a part of a secret address is hidden alone too."""


def show_origin(url: str) -> str | None:
    """Scheme and host, with the port where it is written; None for what is no address."""
    try:
        scheme, *_ = locate_url(url)
    except ValueError:
        return None
    return f"{scheme}://{urlsplit(url).netloc}"


def list_parts(url: str) -> Iterator[str]:
    """What gives a secret address away: what follows its host, and what is in that, unless too short to be told."""
    rest = url.partition(urlsplit(url).netloc)[2]
    yield from [rest] if rest.strip("/") else []
    yield from (part for part in (rest[1:], *re.split(r"[/?&=]", rest)) if len(part) >= PART_LENGTH)
