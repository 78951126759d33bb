"""The activity of an integration as CSV (RFC 4180), in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import orjson

from shared.integrations.bodies import ActivityFilters, ActivityRow
from shared.integrations.scope import list_page
from shared.runtime.web.call import Call
from shared.runtime.web.paging import MOST_ROWS

MOST_LINES = 10_000
COLUMNS = ("created_at", "level", "kind", "message", "details")
FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=[=+\-@\t\r])")
"""Before what spreadsheets take for a formula, though it stands in quotes (OWASP, CSV injection): at the beginning, and
after what one of another language takes for the end of a cell."""


def list_export(call: Call, query: ActivityFilters) -> Iterator[ActivityRow]:
    """The rows from page to page, up to `MOST_LINES`; NotFound where the integration is not visible."""
    page = query.model_copy(update={"limit": MOST_ROWS})
    for _ in range(MOST_LINES // MOST_ROWS):
        rows, cursor = list_page(call, ActivityRow, "integration_activity", page)
        yield from rows
        if cursor is None:
            return
        page = page.model_copy(update={"cursor": cursor})


def write_csv(rows: Iterator[ActivityRow]) -> str:
    """The lines, with a header."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = (row["created_at"], row["level"], row["kind"], row["message"], row["details"])
        writer.writerow(
            [_defuse(cell if isinstance(cell, str) else orjson.dumps(cell).decode()) for cell in cells]
        )
    return lines.getvalue()


def _defuse(cell: str) -> str:
    return FORMULA.sub("'", cell)
