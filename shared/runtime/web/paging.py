"""Pages of a list, newest first: a cursor names the last row seen, so that new rows don't shift what follows."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.runtime.errors import BadRequest, FieldError

DEFAULT_LIMIT = 50
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is asked for: at most `limit` rows after the one that `after` names, (created_at, id)."""

    limit: int
    after: tuple[str, str] | None

    def narrow(self, query: Mapping[str, str]) -> dict[str, str]:
        """The query for this page's rows, and one more that tells whether another page follows."""
        page = {**query, "order": "created_at.desc,id.desc", "limit": str(self.limit + 1)}
        if self.after:
            created_at, last_id = self.after
            page["or"] = f'(created_at.lt."{created_at}",and(created_at.eq."{created_at}",id.lt.{last_id}))'
        return page

    def cut(self, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
        """The page's rows, and the cursor of the next page where there is one."""
        page = rows[: self.limit]
        more = len(rows) > self.limit
        return page, write_cursor(page[-1]["created_at"], page[-1]["id"]) if more else None


def read_page(limit: str | None, cursor: str | None) -> Page:
    """The page that the query parameters name; BadRequest says which is malformed."""
    return Page(_parse_limit(limit), read_cursor(cursor) if cursor else None)


def write_cursor(moment: str, last_id: object) -> str:
    """The cursor that names a row by a time and its id."""
    return base64.urlsafe_b64encode(f"{moment} {last_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[str, str]:
    """The time and the id in a cursor; BadRequest where it is none of ours."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        moment, last_id = text.split(" ")
        return _check_timestamp(moment), _check_id(last_id)
    except (ValueError, binascii.Error):
        raise BadRequest(
            errors=[FieldError("cursor", "Send next_cursor of the page before, unchanged.")]
        ) from None


def _parse_limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_ROWS):
        raise BadRequest(errors=[FieldError("limit", f"Expected a number from 1 to {MOST_ROWS}.")])
    return int(text)


def _check_timestamp(text: str) -> str:
    if not set(text) <= set("0123456789-:.T+Z"):
        raise ValueError("not a timestamp")
    return text


def _check_id(text: str) -> str:
    # Ids are UUIDs, or numbers in the tables that are only ever added to.
    return text if text.isascii() and text.isdigit() else str(uuid.UUID(text))
