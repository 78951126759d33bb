"""Cursor pagination, newest first: a cursor names the last row seen, so that new rows don't shift what follows."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field

from shared.runtime.bodies import Instant, Query

MOST_ROWS = 200
Row = TypeVar("Row", bound=Mapping[str, object])
"""A TypedDict with `created_at` and `id`."""


def check_cursor(cursor: str) -> str:
    """`cursor` itself; ValueError where it is none of ours."""
    try:
        read_cursor(cursor)
    except ValueError:
        raise ValueError("Send next_cursor of the page before, unchanged.") from None
    return cursor


def _check_digits(text: str | int) -> str | int:
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError(f"Expected a number from 1 to {MOST_ROWS}.")
    return text


Cursor = Annotated[str, AfterValidator(check_cursor)]
Limit = Annotated[int, Field(ge=1, le=MOST_ROWS), BeforeValidator(_check_digits)]


class PageQuery(Query):
    """Which page is asked for."""

    limit: Limit = 50
    """How many at most; 50 where absent."""
    cursor: Cursor | None = None
    """`next_cursor` of the page before, unchanged."""

    @property
    def after(self) -> tuple[str, str] | tuple[None, None]:
        """The time and the id of the last row seen."""
        return read_cursor(self.cursor) if self.cursor else (None, None)

    def narrow(self, query: Mapping[str, str]) -> dict[str, str]:
        """The query for this page's rows, and one more that tells whether another page follows."""
        page = {**query, "order": "created_at.desc,id.desc", "limit": str(self.limit + 1)}
        created_at, last_id = self.after
        if created_at:
            page["or"] = f'(created_at.lt."{created_at}",and(created_at.eq."{created_at}",id.lt.{last_id}))'
        return page

    def cut(self, rows: list[Row]) -> tuple[list[Row], str | None]:
        """The page's rows, and the cursor of the next page where there is one."""
        page = rows[: self.limit]
        more = len(rows) > self.limit
        return page, write_cursor(page[-1]["created_at"], page[-1]["id"]) if more else None


class PeriodQuery(PageQuery):
    """Which page of what happened when."""

    from_: Instant | None = Field(None, alias="from")
    """What happened then or later."""
    to: Instant | None = None
    """What happened before."""

    def narrow(self, query: Mapping[str, str]) -> dict[str, str]:
        """As of every page, within the period."""
        within = {"gte": self.from_, "lt": self.to}
        bounds = [f'created_at.{sign}."{moment.isoformat()}"' for sign, moment in within.items() if moment]
        return super().narrow({**query, "and": f"({','.join(bounds)})"} if bounds else query)


def write_cursor(moment: object, last_id: object) -> str:
    """The cursor that names a row by a time and its id."""
    return base64.urlsafe_b64encode(f"{moment} {last_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[str, str]:
    """The time and the id in a cursor; ValueError where it is none of ours."""
    text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    moment, last_id = text.split(" ")
    return _check_timestamp(moment), _check_id(last_id)


def _check_timestamp(text: str) -> str:
    if not set(text) <= set("0123456789-:.T+Z"):
        raise ValueError("not a timestamp")
    return text


def _check_id(text: str) -> str:
    # Ids are UUIDs, or numbers in the tables that are only ever added to.
    return text if text.isascii() and text.isdigit() else str(uuid.UUID(text))
