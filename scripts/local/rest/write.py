"""SQL of insert, upsert, update and delete; the changed rows are read back within the same statement."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg.sql import SQL, Composable

from scripts.local.rest.answer import INSERTED
from scripts.local.rest.binding import Binder, join, quote
from scripts.local.rest.errors import RestError, refuse_feature
from scripts.local.rest.nodes import Column, Embed, Node, Path, Star
from scripts.local.rest.payload import Payload
from scripts.local.rest.query import Query
from scripts.local.rest.read import Reader
from scripts.local.rest.relations import find_relation
from scripts.local.rest.schema import Schema, Table, TableColumn

BODY = quote("pgrst_body")


@dataclass(frozen=True, slots=True)
class Upsert:
    """What to do with a row that is there already: `merge` it or leave it."""

    merge: bool


class Writer:
    """Builds the statement that changes one table; `returned` is what is read back of the changed rows."""

    def __init__(self, schema: Schema, table: Table, query: Query, binder: Binder) -> None:
        if query.node.limit is not None or query.node.offset:
            raise refuse_feature("limit and offset on insert, update and delete")
        self.schema = schema
        self.table = table
        self.query = query
        self.reader = Reader(schema, binder)
        self.binder = binder
        self.target = SQL("{} as {}").format(quote("public", table.name), quote(table.name))

    def render_insert(
        self, payload: Payload, returned: Composable, upsert: Upsert | None, *, missing_default: bool
    ) -> Composable:
        """`insert into … returning …`."""
        columns = self._columns_of(payload)
        if not columns:
            # As many rows of nothing but defaults: `default values` would make one.
            return SQL("insert into {} select from generate_series(1, {}) returning {}").format(
                self.target, payload.rows, returned
            )
        source = (
            self._render_defaulted(payload, columns)
            if missing_default
            else self._render_source(payload, columns)
        )
        return SQL("insert into {} ({}) select {} from {}{}{} returning {}").format(
            self.target,
            join([quote(column.name) for column in columns]),
            join([quote("pgrst_body", column.name) for column in columns]),
            source,
            _count_inserted(1) if upsert else SQL(""),
            self._render_conflict(columns, upsert) if upsert else SQL(""),
            returned,
        )

    def render_update(self, payload: Payload, returned: Composable) -> Composable:
        """`update … set … where … returning …`; of a body of several rows the first counts."""
        self._require_filters("UPDATE")
        columns = self._columns_of(payload)
        if not columns:
            return self._render_nothing(returned)
        assignments = [SQL("{} = {}").format(quote(c.name), quote("pgrst_body", c.name)) for c in columns]
        return SQL("update {} set {} from (select * from {} limit 1) as {}{} returning {}").format(
            self.target,
            join(assignments),
            self._render_source(payload, columns),
            BODY,
            self._render_filters(),
            returned,
        )

    def render_delete(self, returned: Composable) -> Composable:
        """`delete from … where … returning …`."""
        self._require_filters("DELETE")
        return SQL("delete from {}{} returning {}").format(self.target, self._render_filters(), returned)

    def render_returned(self) -> Composable:
        """The columns that the answer will need, and no others: a caller may not be allowed to read them all."""
        names: dict[str, None] = {}
        for item in self._expanded_items():
            if isinstance(item, Column):
                names.setdefault(item.path.column)
            elif isinstance(item, Embed):
                relation = find_relation(self.schema, self.table.name, item)
                if relation.is_computed:
                    raise refuse_feature("embedding by a function into what a write returns")
                names |= dict.fromkeys(here for here, _ in relation.pairs)
        names |= dict.fromkeys(order.path.column for order in self.query.node.order)
        return join(
            [SQL("{} as {}").format(quote(self.table.name, name), quote(name)) for name in names]
            or [SQL("1")]
        )

    def render_answer(self) -> Composable:
        """What `select` asks for, read from the changed rows; the filters have done their work already."""
        node = Node(items=self._expanded_items(), order=self.query.node.order)
        source = SQL("pgrst_source as {}").format(quote(self.table.name))
        return self.reader.render_rows(node, source, self.table.name, self.table)

    def _expanded_items(self) -> list[Star | Column | Embed]:
        items: list[Star | Column | Embed] = []
        for item in self.query.node.items:
            if isinstance(item, Star):
                items += [Column(Path(name)) for name in self.table.columns]
            elif isinstance(item, Column | Embed):
                items.append(item)
            else:
                raise refuse_feature("count() of changed rows; ask for Prefer: count=exact")
        return items

    def _columns_of(self, payload: Payload) -> list[TableColumn]:
        names = payload.keys if self.query.columns is None else self.query.columns
        for name in (*names, *(self.query.on_conflict or ())):
            if name not in self.table.columns:
                message = f"Could not find the '{name}' column of '{self.table.name}' in the schema cache"
                raise RestError(400, "PGRST204", message)
        return [self.table.columns[name] for name in dict.fromkeys(names)]

    def _render_source(self, payload: Payload, columns: list[TableColumn]) -> Composable:
        body = self.binder.bind(payload.as_json())
        return SQL("json_to_recordset({}) as {}({})").format(body, BODY, _define(columns))

    def _render_defaulted(self, payload: Payload, columns: list[TableColumn]) -> Composable:
        """Each row laid over the columns' defaults, which are evaluated for each row anew."""
        body = self.binder.bind(payload.as_json())
        defaults: list[Composable] = []
        for column in columns:
            if column.default is not None:
                # The default is SQL from the catalog, written by the table's owner.
                defaults += [SQL("{}::text").format(self.binder.bind(column.name)), SQL(column.default)]
        return SQL(
            "jsonb_array_elements({}::jsonb) as pgrst_element cross join lateral "
            "jsonb_to_record(jsonb_build_object({}) || pgrst_element) as {}({})"
        ).format(body, join(defaults), BODY, _define(columns))

    def _render_conflict(self, columns: list[TableColumn], upsert: Upsert) -> Composable:
        names = self.query.on_conflict or list(self.table.primary_key)
        if not names:
            return SQL("")
        target = join([quote(name) for name in names])
        if not upsert.merge:
            return SQL(" on conflict ({}) do nothing").format(target)
        sets = [SQL("{} = excluded.{}").format(quote(c.name), quote(c.name)) for c in columns]
        changed = _count_inserted(-1)
        return SQL(" on conflict ({}) do update set {}{}").format(target, join(sets), changed)

    def _require_filters(self, verb: str) -> None:
        if not self.query.node.where:
            # Supabase loads the safeupdate extension for its API; this is that extension's answer.
            raise RestError(400, "21000", f"{verb} requires a WHERE clause")

    def _render_filters(self) -> Composable:
        scope = self.reader.scope(self.table.name, self.table)
        return scope.render_where([scope.render_term(term) for term in self.query.node.where])

    def _render_nothing(self, returned: Composable) -> Composable:
        return SQL("select {} from {} where false").format(returned, self.target)


def _count_inserted(number: int) -> Composable:
    """A clause that always holds and counts: each row that is offered one up, each that was there already one down."""
    before = f"coalesce(nullif(current_setting('{INSERTED}', true), ''), '0')::int"
    return SQL(f" where set_config('{INSERTED}', ({before} + {number})::text, true) is not null")


def _define(columns: list[TableColumn]) -> Composable:
    return join([SQL("{} {}").format(quote(column.name), SQL(column.type)) for column in columns])
