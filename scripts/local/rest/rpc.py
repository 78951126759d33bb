"""What GET and POST do on a function.

A POST's body is bound once, as it came, and Postgres takes it apart: `json_to_record($1) as (name type, …)`. Its keys
choose among functions of one name and leave defaults to those not given; so the first call of a function looks at them
here, and the calls after it take them to be the same, which Postgres checks (see Guess).
"""

from __future__ import annotations

from dataclasses import replace

from psycopg.sql import SQL, Composable
from werkzeug.wrappers import Response

from scripts.local.rest.answer import REPLY_SETTINGS, check_rows, describe_rows, make_response, wrap_rows
from scripts.local.rest.binding import JSONB, Binder, Value, bind_text, quote
from scripts.local.rest.call import OTHER_BODIES, READING, Call
from scripts.local.rest.errors import RestError, refuse_feature
from scripts.local.rest.filters import make_array
from scripts.local.rest.functions import (
    find_function,
    find_unnamed,
    list_argument_names,
    refuse_unknown,
    takes_whole,
)
from scripts.local.rest.invocation import (
    Invocation,
    bind_whole,
    invoke_with_body,
    invoke_with_text,
    invoke_with_whole,
    make_body,
    render_guarded,
    render_plain,
)
from scripts.local.rest.nodes import Star
from scripts.local.rest.payload import parse_json, refuse_body
from scripts.local.rest.plan import Guess, Plan
from scripts.local.rest.query import Query
from scripts.local.rest.read import Reader
from scripts.local.rest.schema import Function, Schema, UsualCall
from scripts.local.rest.transaction import Row, Statement
from scripts.local.rest.window import choose_status

JSON = "application/json"
Pairs = list[tuple[str, str]]


def plan_call(schema: Schema, name: str, call: Call, content: bytes) -> Plan:
    """The statement of an rpc, and how its result is answered."""
    rpc = Rpc(schema, name, call)
    if call.method in READING:
        return rpc.plan_get()
    if call.method == "POST":
        return rpc.plan_post(content)
    raise RestError(405, "PGRST101", f"Cannot use the {call.method} method on RPC")


class Rpc:
    """One call of one function."""

    def __init__(self, schema: Schema, name: str, call: Call) -> None:
        self.schema = schema
        self.name = name
        self.call = call
        self.binder = Binder()

    def plan_get(self) -> Plan:
        """Arguments from the query string; what is not an argument is a filter or the like."""
        names = list_argument_names(self.schema, self.name) - {""}
        given: dict[str, list[str]] = {}
        for key, value in self.call.pairs:
            if key in names:
                given.setdefault(key, []).append(value)
        function = find_function(self.schema, self.name, given)
        if function is None:
            raise refuse_unknown(self.name, [key for key, _ in self.call.pairs], with_body=False)
        rest = [(key, value) for key, value in self.call.pairs if key not in names]
        return self._plan(invoke_with_text(function, given, self.binder), rest)

    def plan_post(self, content: bytes) -> Plan:
        """Arguments from the body."""
        content_type = self.call.request.mimetype or JSON
        if content_type != JSON:
            return self._plan_whole(content, content_type)
        if content and self.call.may_guess and not self.call.pairs:
            if (usual := self._guess_call(content)) is not None:
                return self._plan_usual(content, *usual)
            if takes_whole(self.schema, self.name):
                return self._plan_unread(content)
        return self._plan_named(content)

    def _guess_call(self, content: bytes) -> UsualCall | None:
        """The last call of this function of which the body seems to have all keys."""
        for function, keys in self.schema.usual_calls.get(self.name, ()):
            if all(b'"%s"' % key.encode() in content for key in keys):
                return function, keys
        return None

    def _plan_usual(self, content: bytes, function: Function, keys: tuple[str, ...]) -> Plan:
        """The call as it was made last time; Postgres checks the keys while it has the body parsed anyway."""
        values = [make_body(function, keys, content), bind_text(make_array(sorted(keys)))]
        plan = self._plan_value(function, render_guarded(function, keys, self.call.media), values)

        def was_wrong() -> bool:
            document = parse_json(content)
            return not isinstance(document, dict) or set(document) != set(keys)

        return replace(plan, guess=Guess(was_wrong))

    def _plan_unread(self, content: bytes) -> Plan:
        """The call of a function that has no other argument than the body, whatever its keys are."""

        def was_wrong() -> bool:
            parse_json(content)
            return False

        return replace(self._plan_whole(content, JSON), guess=Guess(was_wrong))

    def _plan_named(self, content: bytes) -> Plan:
        document = parse_json(content) if content else {}
        if not isinstance(document, dict):
            return self._plan_whole(content, JSON)
        keys = tuple(document)
        function = find_function(self.schema, self.name, keys)
        if function is None:
            return self._plan_whole(content, JSON, keys)
        if not self.call.pairs and _returns_one_value(function):
            values = [make_body(function, keys, content)] if keys else []
            if values and values[0].oid == JSONB:
                self.schema.remember_call(self.name, function, keys)
            return self._plan_value(function, render_plain(function, keys, self.call.media), values)
        return self._plan(invoke_with_body(function, keys, content, self.binder), self.call.pairs)

    def _plan_whole(self, content: bytes, content_type: str, keys: tuple[str, ...] | None = None) -> Plan:
        """The whole body as the one unnamed argument."""
        function = find_unnamed(self.schema, self.name, content_type)
        if function is None and content_type in OTHER_BODIES:
            self.call.check_content_type()
        if function is None and content_type == JSON and keys is None and self.name in self.schema.functions:
            raise refuse_body("The body of an rpc must be a JSON object of named arguments")
        if function is None:
            raise refuse_unknown(self.name, keys or (), with_body=True)
        invocation = invoke_with_whole(function, bind_whole(function, content_type, content), self.binder)
        return self._plan(invocation, self.call.pairs)

    def _plan(self, invocation: Invocation, pairs: Pairs) -> Plan:
        function = invocation.function
        query = self._parse_rest(function, pairs)
        if _returns_one_value(function):
            text = invocation.render_single(self.call.media).as_bytes(None)
            return self._plan_value(function, text, self.binder.values)
        if function.returns == "value":
            rendered = self._render_values(invocation, query)
        else:
            rendered = self._render_table(invocation, query)
        most = self.call.preferences.max_affected
        check = check_rows(self.call.media, most) if function.returns_set else None
        statement = Statement(
            rendered.as_bytes(None), self.binder.values, read_only=self._is_read_only(function), check=check
        )
        return Plan(statement, lambda row: self._answer_rows(query, row))

    def _plan_value(self, function: Function, text: bytes, values: list[Value]) -> Plan:
        if self.call.preferences.max_affected is not None:
            message = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"
            raise RestError(400, "PGRST128", message)
        if self.call.media.csv:
            raise refuse_feature("text/csv of a function that does not return rows")
        statement = Statement(text, values, read_only=self._is_read_only(function))
        return Plan(statement, lambda row: self._answer_value(function, row))

    def _is_read_only(self, function: Function) -> bool:
        return self.call.method in READING or not function.volatile

    def _parse_rest(self, function: Function, pairs: Pairs) -> Query:
        """What the query string asks of the result."""
        try:
            query = self.call.parse_query(pairs)
        except RestError as error:
            if error.code == "PGRST100" and self.call.method in READING:
                # A misspelt argument looks like a filter that can't be read.
                raise refuse_unknown(
                    self.name, [key for key, _ in self.call.pairs], with_body=False
                ) from error
            raise
        node = query.node
        if query.columns is not None:
            raise refuse_feature("columns= on an rpc")
        if function.returns != "row" and (node.where or node.order or node.items != [Star()]):
            raise refuse_feature("select, filters and order on a function that does not return rows")
        return query

    def _render_values(self, invocation: Invocation, query: Query) -> Composable:
        """A set of values: an array of them, not of objects."""
        single = self.call.media.single
        return SQL(
            "with pgrst_all as materialized (select {} as pgrst_value{}) "
            "select ({})::text, count(*), {}, {} from (select * from pgrst_all{}) as pgrst_row"
        ).format(
            invocation.render_value(),
            invocation.render_from(),
            SQL("json_agg(pgrst_value)->0" if single else "coalesce(json_agg(pgrst_value), '[]')"),
            SQL("(select count(*) from pgrst_all)" if self.call.preferences.counts else "null::bigint"),
            SQL(REPLY_SETTINGS),
            Reader(self.schema, self.binder, self.call.max_rows).render_window(query.node),
        )

    def _render_table(self, invocation: Invocation, query: Query) -> Composable:
        """Rows, read like those of a table; for a total they are kept aside, so that the function runs once."""
        function = invocation.function
        reader = Reader(self.schema, self.binder, self.call.max_rows)
        table = self.schema.tables.get(function.row_of or "")
        alias, source = quote(function.name), invocation.render_table(function.name)
        kept: Composable = SQL("")
        total: Composable | None = None
        if self.call.preferences.counts:
            kept = SQL("with pgrst_all as materialized (select {}.* from {}) ").format(alias, source)
            source = SQL("pgrst_all as {}").format(alias)
            total = reader.render_total(query.node, source, function.name, table)
        rows = reader.render_rows(query.node, source, function.name, table)
        single = self.call.media.single or not function.returns_set
        media = replace(self.call.media, single=single)
        return kept + wrap_rows(rows, media, total, with_body=self.call.method != "HEAD")

    def _answer_value(self, function: Function, row: Row) -> Response:
        headers = describe_rows(
            self.call, 0, replace(row, rows=1, total=1 if self.call.preferences.counts else None)
        )
        if function.returns == "void":
            return make_response(replace(row, body=None, rows=0), 204, self.call.media, headers)
        body = row.body if row.body is not None else b"null"
        return make_response(Row(body, 1, None, row.headers, row.status), 200, self.call.media, headers)

    def _answer_rows(self, query: Query, row: Row) -> Response:
        status = choose_status(query.node.offset, row.rows, row.total)
        return make_response(row, status, self.call.media, describe_rows(self.call, query.node.offset, row))


def _returns_one_value(function: Function) -> bool:
    return function.returns == "void" or (function.returns == "value" and not function.returns_set)
