"""SQL of reading: a table's columns, filters, order and window, with what is embedded in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg.sql import SQL, Composable

from scripts.local.rest.binding import Binder, join, quote
from scripts.local.rest.errors import refuse_feature
from scripts.local.rest.filters import Scope
from scripts.local.rest.nodes import Column, Condition, Count, Embed, Logic, Node, Star
from scripts.local.rest.relations import Relation, find_relation
from scripts.local.rest.schema import Schema, Table


class Reader:
    """Builds the statement of one request; every alias it makes is numbered, so none is used twice."""

    def __init__(self, schema: Schema, binder: Binder) -> None:
        self.schema = schema
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
        _refuse_embed_filters(node, table)
        scope = self.scope(alias, table)
        columns, laterals, terms = self._render_items(node, scope, table)
        terms += (joins or []) + [scope.render_term(term) for term in node.where]
        body = SQL("select {} from {}{}{}{}").format(
            join(columns) if columns else SQL(""),
            source,
            SQL("").join(laterals),
            scope.render_where(terms),
            SQL("") if self._is_count(node, table) else scope.render_order(node.order),
        )
        return body + self.render_window(node)

    def render_total(self, node: Node, source: Composable, alias: str, table: Table | None) -> Composable:
        """`select count(*)` of the rows the node's filters let through."""
        inner = [embed for embed in node.embeds() if embed.inner]
        counted = Node(items=list(inner), where=node.where)
        rows = self.render_rows(counted, source, alias, table)
        return SQL("select count(*) from ({}) as pgrst_total").format(rows)

    def scope(self, alias: str, table: Table | None) -> Scope:
        """The table under its alias, for rendering columns."""
        types = {name: column.type for name, column in table.columns.items()} if table else {}
        return Scope(alias, types, self.binder)

    def render_window(self, node: Node) -> Composable:
        """`limit` and `offset`, as far as given."""
        limit = (
            SQL(" limit {}").format(self.binder.bind(str(node.limit))) if node.limit is not None else SQL("")
        )
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

    def _render_related(self, embed: Embed, relation: Relation, here: str, alias: str) -> Composable:
        joins: list[Composable] = [
            SQL("{} = {}").format(quote(alias, there), quote(here, column))
            for column, there in relation.pairs
        ]
        source = SQL("{} as {}").format(quote("public", relation.table), quote(alias))
        node = embed.node if embed.node.items else Node([Star()], embed.node.where)
        return self.render_rows(node, source, alias, self.schema.tables[relation.table], joins)


def _refuse_embed_filters(node: Node, table: Table | None) -> None:
    """A filter on the name of an embedded table (`children=is.null`) would be taken for one on a column."""
    embedded = {embed.name for embed in node.embeds()} - set(table.columns if table else ())
    for column in _list_filtered(node.where):
        if column in embedded:
            raise refuse_feature(
                f"a filter on whether '{column}' has rows; {column}!inner(...) keeps those that have"
            )


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
