"""SQL of columns, filters and orders."""

from __future__ import annotations

from psycopg.sql import SQL, Composable

from scripts.local.rest.binding import Binder, join, quote
from scripts.local.rest.conditions import IS_VALUES, OPERATORS, split_values
from scripts.local.rest.errors import refuse_feature
from scripts.local.rest.nodes import Condition, Logic, Order, Path

JSON_TYPES = ("json", "jsonb")
PATTERNS = ("like", "ilike")


class Scope:
    """A table in a statement: its alias, and the types of the columns that are known."""

    def __init__(self, alias: str, types: dict[str, str], binder: Binder) -> None:
        self.alias = alias
        # By the names of embedded tables: whether they have rows.
        self.presence: dict[str, Composable] = {}
        # Columns of embedded tables that rows are ordered by.
        self.embedded_columns: dict[Order, Composable] = {}
        self.types = types
        self.binder = binder

    def render_path(self, path: Path) -> Composable:
        """A column, or a place inside a json, composite or array column."""
        column: Composable = quote(self.alias, path.column)
        if not path.steps:
            return column
        if self.types.get(path.column) not in JSON_TYPES:
            column = SQL("to_jsonb({})").format(column)
        return SQL("").join([column, *(self._render_step(arrow, key) for arrow, key in path.steps)])

    def render_where(self, terms: list[Composable]) -> Composable:
        """The `where` clause of these terms, empty without any."""
        return SQL(" where ") + join(terms, " and ") if terms else SQL("")

    def render_term(self, term: Condition | Logic) -> Composable:
        """One filter, negated where asked."""
        if isinstance(term, Logic):
            rendered = join([self.render_term(inner) for inner in term.terms], f" {term.operator} ")
        else:
            rendered = self._render_condition(term)
        return SQL("not ({})" if term.negated else "({})").format(rendered)

    def render_order(self, orders: list[Order]) -> Composable:
        """The `order by` clause, empty without any."""
        if not orders:
            return SQL("")
        return SQL(" order by ") + join([self._render_order_term(order) for order in orders])

    def _render_step(self, arrow: str, key: str) -> Composable:
        kind = "int" if key.lstrip("-").isdecimal() and len(key) < 10 else "text"  # noqa: PLR2004 - fits an int
        return SQL(f"{arrow} {{}}::{kind}").format(self.binder.bind(key))

    def _render_condition(self, condition: Condition) -> Composable:
        if condition.path.column in self.presence and condition.path.column not in self.types:
            return self._render_presence(condition)
        left = self.render_path(condition.path)
        operator = OPERATORS[condition.operator]
        if condition.operator == "is":
            return SQL(f"{{}} is {IS_VALUES[condition.value.lower()]}").format(left)
        if condition.operator == "in":
            return SQL("{} = any ({})").format(
                left, self.binder.bind(make_array(split_values(condition.value)))
            )
        value = condition.value.replace("*", "%") if condition.operator in PATTERNS else condition.value
        template = (
            f"{{}} {operator} {condition.quantifier} ({{}})"
            if condition.quantifier
            else f"{{}} {operator} {{}}"
        )
        return SQL(template).format(left, self.binder.bind(value))

    def _render_presence(self, condition: Condition) -> Composable:
        """`embedded=is.null` and `embedded=not.is.null`: whether it has no rows."""
        if (condition.operator, condition.value.lower()) != ("is", "null") or condition.path.steps:
            raise refuse_feature(f"a filter on '{condition.path.column}' other than is.null and not.is.null")
        return SQL("not ({})").format(self.presence[condition.path.column])

    def _render_order_term(self, order: Order) -> Composable:
        nulls = {"nullsfirst": " nulls first", "nullslast": " nulls last"}.get(order.nulls, "")
        column = self.embedded_columns[order] if order.embedded else self.render_path(order.path)
        return column + SQL(f" {order.direction}{nulls}")


def make_array(values: list[str]) -> str:
    """The text of a Postgres array with these members."""
    members = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{member}"' for member in members) + "}"
