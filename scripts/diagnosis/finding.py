"""What a look at one thing found."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """`ok`; `missing`, with the remedy in `detail`; or `unknown`, with how it could be looked at."""

    name: str
    state: Literal["ok", "missing", "unknown"]
    detail: str
