"""Wraps rows into the one Row a statement returns, and the Row into an HTTP response."""

from __future__ import annotations

from collections.abc import Callable

import orjson
from psycopg.sql import SQL, Composable
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from scripts.local.rest.call import Call, Media
from scripts.local.rest.errors import RestError
from scripts.local.rest.transaction import Row
from scripts.local.rest.window import describe_range

# Functions may set the response's headers and status, as PostgREST's documentation describes; an upsert counts the rows
# that are new.
INSERTED = "local.inserted"
REPLY_SETTINGS = ", ".join(
    f"nullif(current_setting('{name}', true), '')"
    for name in ("response.headers", "response.status", INSERTED)
)
CSV = (
    "(select coalesce(string_agg(pgrst_key, ','), '') from"
    " json_object_keys((array_agg(row_to_json(pgrst_row)))[1]) as pgrst_key) || chr(10) ||"
    " coalesce(string_agg(substring(pgrst_row::text, 2, length(pgrst_row::text) - 2), chr(10)), '')"
)


def wrap_rows(rows: Composable, media: Media, total: Composable | None, *, with_body: bool) -> Composable:
    """The statement that returns the rows as one JSON text with their number and the total."""
    counted = SQL("({})").format(total) if total is not None else SQL("null::bigint")
    return SQL("select {}, count(*), {}, {} from ({}) as pgrst_row").format(
        SQL(_body_of(media)) if with_body else SQL("null::text"), counted, SQL(REPLY_SETTINGS), rows
    )


def check_rows(media: Media, most: int | None = None) -> Callable[[Row], None] | None:
    """The check that there is the one row a client asks for, and no more than it allows to be changed."""
    if not media.single and most is None:
        return None

    def check(row: Row) -> None:
        details = f"The result contains {row.rows} rows"
        if media.single and row.rows != 1:
            raise RestError(
                406, "PGRST116", "Cannot coerce the result to a single JSON object", details=details
            )
        if most is not None and row.rows > most:
            message = "Query result exceeds max-affected preference constraint"
            raise RestError(400, "PGRST124", message, details=f"The query affects {row.rows} rows")

    return check


def describe_rows(call: Call, offset: int, row: Row) -> dict[str, str]:
    """The headers that tell which of how many rows these are."""
    applied = call.preferences.applied("count", "handling", "max-affected")
    headers = {"Content-Range": describe_range(offset, row.rows, row.total)}
    return headers | ({"Preference-Applied": applied} if applied else {})


def make_response(row: Row, status: int, media: Media, headers: dict[str, str]) -> Response:
    """The response; without a body it has no content type either."""
    reply = Headers(headers)
    for name, value in _read_headers(row.headers):
        reply[name] = value
    if row.status is not None:
        status = _read_status(row.status)
    response = Response(row.body or b"", status, reply)
    if row.body is None:
        response.headers.remove("Content-Type")
    else:
        response.headers["Content-Type"] = media.content_type
    return response


def _body_of(media: Media) -> str:
    if media.csv:
        return CSV
    rows = "json_agg(pgrst_row)->0" if media.single else "coalesce(json_agg(pgrst_row), '[]')"
    return f"json_strip_nulls({rows})::text" if media.strip_nulls else f"({rows})::text"


def _read_headers(setting: bytes | None) -> list[tuple[str, str]]:
    if setting is None:
        return []
    try:
        return [(name, str(value)) for pair in orjson.loads(setting) for name, value in pair.items()]
    except (ValueError, AttributeError, TypeError):
        message = "response.headers guc must be a JSON array composed of objects with a single key and a string value"
        raise RestError(500, "PGRST111", message) from None


def _read_status(setting: bytes) -> int:
    if not setting.isdigit() or not 100 <= int(setting) <= 599:  # noqa: PLR2004 - what HTTP has
        raise RestError(500, "PGRST112", "response.status guc must be a valid status code")
    return int(setting)
