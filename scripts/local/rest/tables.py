"""What the methods do on a table: GET and HEAD read it, POST, PATCH and DELETE change it."""

from __future__ import annotations

from urllib.parse import quote as quote_url

import orjson
from psycopg.sql import SQL, Composable
from werkzeug.wrappers import Response

from scripts.local.rest.answer import check_rows, describe_rows, make_response, wrap_rows
from scripts.local.rest.binding import Binder, join, quote
from scripts.local.rest.call import READING, Call
from scripts.local.rest.errors import RestError, refuse_feature
from scripts.local.rest.payload import parse_rows
from scripts.local.rest.plan import Plan
from scripts.local.rest.query import Query
from scripts.local.rest.read import Reader
from scripts.local.rest.schema import Schema, Table
from scripts.local.rest.transaction import Row, Statement
from scripts.local.rest.window import choose_status, describe_range
from scripts.local.rest.write import Upsert, Writer


def plan_table(schema: Schema, name: str, call: Call, content: bytes) -> Plan:
    """The statement of a request on a table, and how its result is answered."""
    table = _find_table(schema, name)
    query = call.parse_query(call.pairs)
    if call.method in READING:
        return _plan_read(schema, table, call, query)
    if call.method == "PUT":
        raise refuse_feature("PUT; upsert with POST and Prefer: resolution=merge-duplicates")
    if call.method not in ("POST", "PATCH", "DELETE"):
        raise RestError(405, "PGRST117", f"Unsupported HTTP method: {call.method}")
    return _plan_write(schema, table, call, content, query)


def _find_table(schema: Schema, name: str) -> Table:
    found = schema.tables.get(name)
    if found is None:
        raise RestError(404, "PGRST205", f"Could not find the table 'public.{name}' in the schema cache")
    return found


def _plan_read(schema: Schema, table: Table, call: Call, query: Query) -> Plan:
    binder = Binder()
    reader = Reader(schema, binder, call.max_rows)
    source = SQL("{} as {}").format(quote("public", table.name), quote(table.name))
    rows = reader.render_rows(query.node, source, table.name, table)
    total = reader.render_total(query.node, source, table.name, table) if call.preferences.counts else None
    wrapped = wrap_rows(rows, call.media, total, with_body=call.method == "GET")
    statement = Statement(wrapped.as_bytes(None), binder.values, read_only=True, check=check_rows(call.media))
    return Plan(statement, lambda row: _answer_read(call, query, row))


def _answer_read(call: Call, query: Query, row: Row) -> Response:
    status = choose_status(query.node.offset, row.rows, row.total)
    return make_response(row, status, call.media, describe_rows(call, query.node.offset, row))


def _plan_write(schema: Schema, table: Table, call: Call, content: bytes, query: Query) -> Plan:
    binder = Binder()
    writer = Writer(schema, table, query, binder)
    shows = call.preferences.returns == "representation"
    changed = _render_change(writer, call, content, _render_returned(writer, call))
    rows = writer.render_answer() if shows else SQL("select * from pgrst_source")
    with_body = shows or call.preferences.returns == "headers-only"
    wrapped = SQL("with pgrst_source as ({}) {}").format(
        changed, wrap_rows(rows, call.media, None, with_body=with_body)
    )
    check = check_rows(call.media, call.preferences.max_affected)
    statement = Statement(wrapped.as_bytes(None), binder.values, check=check)
    return Plan(statement, lambda row: _answer_write(table, call, row))


def _render_returned(writer: Writer, call: Call) -> Composable:
    """What the change returns of its rows: `1` needs no privilege to read."""
    if call.preferences.returns == "representation":
        return writer.render_returned()
    keys = writer.table.primary_key
    if call.preferences.returns == "headers-only" and call.method == "POST" and keys:
        return join([quote(writer.table.name, name) for name in keys])
    return SQL("1")


def _render_change(writer: Writer, call: Call, content: bytes, returned: Composable) -> Composable:
    if call.method == "DELETE":
        return writer.render_delete(returned)
    call.check_content_type()
    payload = parse_rows(content, same_keys=writer.query.columns is None)
    if call.method == "PATCH":
        return writer.render_update(payload, returned)
    resolution = call.preferences.resolution
    upsert = Upsert(merge=resolution == "merge-duplicates") if resolution else None
    return writer.render_insert(payload, returned, upsert, missing_default=call.preferences.missing_default)


def _answer_write(table: Table, call: Call, row: Row) -> Response:
    shows = call.preferences.returns == "representation"
    made = row.inserted != 0  # an upsert that only changed rows has made none
    status = (201 if made else 200) if call.method == "POST" else 200 if shows else 204
    total = row.rows if call.preferences.counts else None
    rows = row.rows if call.method == "PATCH" else 0
    headers = {"Content-Range": describe_range(0, rows, total)}
    if call.preferences.returns == "headers-only" and call.method == "POST" and row.rows == 1:
        headers["Location"] = _locate(table, row)
    names = ("resolution", "missing") if call.method == "POST" else ()
    applied = call.preferences.applied(*names, "return", "count", "handling", "max-affected")
    if applied:
        headers["Preference-Applied"] = applied
    return make_response(
        row if shows else Row(None, row.rows, None, row.headers, row.status), status, call.media, headers
    )


def _locate(table: Table, row: Row) -> str:
    """The URL of the inserted row, by its primary key."""
    keys = orjson.loads(row.body or b"[{}]")[0]
    return f"/{table.name}?" + "&".join(f"{name}=eq.{quote_url(str(value))}" for name, value in keys.items())
