"""Ranges: the `Range` header in, `Content-Range` and its status out."""

from __future__ import annotations

import re

from scripts.local.rest.errors import RestError
from scripts.local.rest.nodes import Node

RANGE = re.compile(r"(\d{1,18})-(\d{1,18})?")


def apply_range(node: Node, header: str | None) -> None:
    """Narrows the node's limit and offset to the header's range, as PostgREST does for GET."""
    found = RANGE.fullmatch((header or "").removeprefix("items="))
    if found is None:
        return
    first = max(int(found.group(1)), node.offset)
    ends = [int(found.group(2)) + 1] if found.group(2) else []
    if ends and ends[0] <= int(found.group(1)):
        raise _refuse_range(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header."
        )
    if node.limit is not None:
        ends.append(node.offset + node.limit)
    node.offset = first
    node.limit = max(min(ends) - first, 0) if ends else None


def describe_range(offset: int, rows: int, total: int | None) -> str:
    """The value of Content-Range: `0-9/100`, `*/0`, `0-9/*`."""
    shown = f"{offset}-{offset + rows - 1}" if rows else "*"
    return f"{shown}/{'*' if total is None else total}"


def choose_status(offset: int, rows: int, total: int | None) -> int:
    """200 for everything, 206 for a part; an offset past the end is 416 where the total is known."""
    if total is None:
        return 200
    if offset > total:
        raise _refuse_range(f"An offset of {offset} was requested, but there are only {total} rows.")
    return 206 if rows < total else 200


def _refuse_range(details: str) -> RestError:
    return RestError(416, "PGRST103", "Requested range not satisfiable", details=details)
