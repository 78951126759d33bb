"""SQL of reading: a table's columns, filters, order and window, with what is embedded in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg.sql import SQL, Composable

from scripts.local.rest.binding import Binder, join, quote
from scripts.local.rest.errors import RestError, refuse_feature
from scripts.local.rest.filters import Scope
from scripts.local.rest.nodes import Column, Condition, Count, Embed, Logic, Node, Order, Star
from scripts.local.rest.relations import Relation, find_relation
from scripts.local.rest.schema import Schema, Table


class Reader:
    """Builds the statement of one request; every alias it makes is numbered, so none is used twice."""

    def __init__(self, schema: Schema, binder: Binder, max_rows: int | None = None) -> None:
        self.schema = schema
        self.max_rows = max_rows
        self.binder = binder
        self.aliases = 0

    def render_rows(
        self,
        node: Node,
        source: Composable,
        alias: str,
        table: Table | None,
        joins: list[Composable] | None = None,
    ) -> Composable:
        """`select … from source` with everything the node asks for; the source must be known by the alias."""
        scope = self.scope(alias, table)
        columns, laterals, terms = self._render_items(node, scope, table)
        terms += (joins or []) + [scope.render_term(term) for term in node.where]
        body = SQL("select {} from {}{}{}{}").format(
            join(columns) if columns else SQL(""),
            source,
            SQL("").join(laterals),
            scope.render_where(terms),
            SQL("") if self._is_count(node, table) else self._render_order(node, scope, table),
        )
        return body + self.render_window(node)

    def render_total(self, node: Node, source: Composable, alias: str, table: Table | None) -> Composable:
        """`select count(*)` of the rows the node's filters let through."""
        filtered = set(_list_filtered(node.where))
        needed = [embed for embed in node.embeds() if embed.inner or embed.name in filtered]
        counted = Node(items=needed, where=node.where)
        rows = Reader(self.schema, self.binder).render_rows(counted, source, alias, table)
        return SQL("select count(*) from ({}) as pgrst_total").format(rows)

    def scope(self, alias: str, table: Table | None) -> Scope:
        """The table under its alias, for rendering columns."""
        types = {name: column.type for name, column in table.columns.items()} if table else {}
        return Scope(alias, types, self.binder)

    def render_window(self, node: Node) -> Composable:
        """`limit` and `offset`, as far as given."""
        limits = [each for each in (node.limit, self.max_rows) if each is not None]
        limit = SQL(" limit {}").format(self.binder.bind(str(min(limits)))) if limits else SQL("")
        offset = SQL(" offset {}").format(self.binder.bind(str(node.offset))) if node.offset else SQL("")
        return limit + offset

    def _render_items(
        self, node: Node, scope: Scope, table: Table | None
    ) -> tuple[list[Composable], list[Composable], list[Composable]]:
        columns: list[Composable] = []
        laterals: list[Composable] = []
        terms: list[Composable] = []
        if self._is_count(node, table):
            return [SQL("count(*) as {}").format(quote(_name_of(node.items[0])))], laterals, terms
        for item in node.items:
            if isinstance(item, Embed):
                column, lateral, term = self._render_embed(item, scope, table)
                laterals.append(lateral)
                scope.presence[item.name] = term
                columns += [column] if item.node.items else []
                terms += [term] if item.inner else []
            else:
                columns.append(_render_column(item, scope))
        return columns, laterals, terms

    def _is_count(self, node: Node, table: Table | None) -> bool:
        """Whether the node asks for the number of rows only; the bare word counts where no column has that name."""
        counts = [item for item in node.items if _is_count_item(item, table)]
        if counts and len(node.items) > 1:
            raise refuse_feature("grouping: count next to other columns of the same table")
        return bool(counts)

    def _render_embed(
        self, embed: Embed, scope: Scope, table: Table | None
    ) -> tuple[Composable, Composable, Composable]:
        """The column, the lateral join and the filter (of an inner join) of an embedded table."""
        if table is None:
            raise refuse_feature("embedding into a function's rows that are not rows of a table")
        relation = find_relation(self.schema, table.name, embed)
        self.aliases += 1
        alias, joined = f"{relation.table}_{self.aliases}", f"pgrst_{self.aliases}"
        rows = self._render_related(embed, relation, scope.alias, alias)
        if relation.to_one:
            column = SQL("row_to_json({}.*)").format(quote(joined))
            present = SQL("{} is distinct from null").format(quote(joined))
        else:
            rows = SQL("select json_agg(pgrst_row) as pgrst_rows from ({}) as pgrst_row").format(rows)
            column = SQL("coalesce({}, '[]')").format(quote(joined, "pgrst_rows"))
            present = SQL("{} is not null").format(quote(joined, "pgrst_rows"))
        lateral = SQL(" left join lateral ({}) as {} on true").format(rows, quote(joined))
        return SQL("{} as {}").format(column, quote(embed.name)), lateral, present

    def _render_order(self, node: Node, scope: Scope, table: Table | None) -> Composable:
        for order in node.order:
            if order.embedded:
                scope.embedded_columns[order] = self._render_embedded_column(order, node, scope.alias, table)
        return scope.render_order(node.order)

    def _render_embedded_column(self, order: Order, node: Node, here: str, table: Table | None) -> Composable:
        """The column of the one row that is embedded, whether it is shown or not."""
        embed = next((embed for embed in node.embeds() if embed.name == order.embedded), None)
        if embed is None or table is None:
            hint = f"Verify that '{order.embedded}' is included in the 'select' query parameter."
            message = f"'{order.embedded}' is not an embedded resource in this request"
            raise RestError(400, "PGRST108", message, hint=hint)
        relation = find_relation(self.schema, table.name, embed)
        if not relation.to_one:
            details = (
                f"'{table.name}' and '{embed.name}' do not form a many-to-one or one-to-one relationship"
            )
            message = f"A related order on '{embed.name}' is not possible"
            raise RestError(400, "PGRST118", message, details=details)
        self.aliases += 1
        alone = Embed(embed.target, Node([Column(order.path)], embed.node.where))
        return SQL("({})").format(self._render_related(alone, relation, here, f"pgrst_{self.aliases}"))

    def _render_related(self, embed: Embed, relation: Relation, here: str, alias: str) -> Composable:
        joins: list[Composable] = [
            SQL("{} = {}").format(quote(alias, there), quote(here, column))
            for column, there in relation.pairs
        ]
        source = SQL("{} as {}").format(quote("public", relation.table), quote(alias))
        if relation.is_computed:
            function = quote("public", relation.key.name)
            source = SQL("{}({}.*) as {}").format(function, quote(here), quote(alias))
        if relation.junction:
            between = f"{alias}_between"
            joins = [
                *(SQL("{} = {}").format(quote(between, j), quote(here, c)) for c, j in relation.pairs),
                *(
                    SQL("{} = {}").format(quote(between, j), quote(alias, there))
                    for j, there in relation.junction.there
                ),
            ]
            table = quote("public", relation.key.table)
            source = SQL("{} cross join {} as {}").format(source, table, quote(between))
        node = embed.node if embed.node.items else Node([Star()], embed.node.where)
        return self.render_rows(node, source, alias, self.schema.tables[relation.table], joins)


def _list_filtered(terms: Iterable[Condition | Logic]) -> Iterator[str]:
    for term in terms:
        if isinstance(term, Logic):
            yield from _list_filtered(term.terms)
        else:
            yield term.path.column


def _is_count_item(item: Star | Count | Column | Embed, table: Table | None) -> bool:
    if isinstance(item, Count):
        return True
    bare = isinstance(item, Column) and item.path.column == "count" and not item.path.steps
    return bare and table is not None and "count" not in table.columns


def _name_of(item: Star | Count | Column | Embed) -> str:
    return (item.alias if isinstance(item, Count | Column) else None) or "count"


def _render_column(item: Star | Count | Column, scope: Scope) -> Composable:
    if not isinstance(item, Column):
        return SQL("{}.*").format(quote(scope.alias))
    rendered = scope.render_path(item.path)
    if item.cast:
        # The parser lets only the words of a type name through.
        rendered = SQL(f"cast({{}} as {item.cast})").format(rendered)
    if item.alias or item.path.steps:
        return SQL("{} as {}").format(rendered, quote(item.alias or item.path.name))
    return SQL("{} as {}").format(rendered, quote(item.path.column))
