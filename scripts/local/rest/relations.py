"""Finds the foreign key, the two of a junction, or the function that an embedded table or view is reached by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scripts.local.rest.errors import RestError
from scripts.local.rest.nodes import Embed
from scripts.local.rest.schema import ForeignKey, Schema

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """The table between two that refer to each other many to many: its key to there, and its columns here and there."""

    key: ForeignKey
    there: Pairs


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from one table to another; `pairs` are (column here, column there, or in the junction).

    A computed one has no pairs: `key` has the name of the function that is given a row and returns others.
    """

    key: ForeignKey
    table: str
    pairs: Pairs
    cardinality: str
    junction: Junction | None = None
    is_computed: bool = False

    @property
    def to_one(self) -> bool:
        """Whether it ends in one row."""
        return self.cardinality in {"many-to-one", "one-to-one"}

    @property
    def name(self) -> str:
        """What it is told from others by."""
        return self.key.table if self.junction else self.key.name


def find_relation(schema: Schema, origin: str, embed: Embed) -> Relation:
    """The one relation that the embed names; PGRST200 for none, PGRST201 (300) for several."""
    if computed := _find_computed(schema, origin, embed):
        return computed
    found = [
        relation for relation in _list_relations(schema, origin) if _fits(schema, origin, relation, embed)
    ]
    if len(found) == 1:
        return found[0]
    raise _refuse_ambiguous(origin, embed, found) if found else _refuse_unknown(origin, embed)


def _find_computed(schema: Schema, origin: str, embed: Embed) -> Relation | None:
    """A function of that name that is given a row and returns others; it goes before any key, as in PostgREST."""
    for function in schema.functions.get(embed.target, ()):
        if function.row_of and [each.type for each in function.arguments] == [f"public.{origin}"]:
            key = ForeignKey(function.name, origin, (), function.row_of, ())
            cardinality = "many-to-one" if function.returns_one else "one-to-many"
            return Relation(key, function.row_of, (), cardinality, is_computed=True)
    return None


def _list_relations(schema: Schema, origin: str) -> Iterator[Relation]:
    for key in schema.foreign_keys:
        pairs = tuple(zip(key.columns, key.referenced_columns, strict=True))
        unique = frozenset(key.columns) in schema.tables[key.table].unique
        if key.table == origin:
            yield Relation(key, key.referenced_table, pairs, "one-to-one" if unique else "many-to-one")
        if key.referenced_table == origin:
            back = tuple((there, here) for here, there in pairs)
            yield Relation(key, key.table, back, "one-to-one" if unique else "one-to-many")
            yield from _list_junctions(schema, key, back)


def _list_junctions(schema: Schema, key: ForeignKey, back: Pairs) -> Iterator[Relation]:
    """A table is a junction when its primary key holds two foreign keys."""
    held = set(schema.tables[key.table].primary_key)
    for other in schema.foreign_keys:
        is_other = other.table == key.table and other.name != key.name
        if (
            is_other
            and other.referenced_table != key.referenced_table
            and held >= {*key.columns, *other.columns}
        ):
            junction = Junction(other, tuple(zip(other.columns, other.referenced_columns, strict=True)))
            yield Relation(key, other.referenced_table, back, "many-to-many", junction)


def _fits(schema: Schema, origin: str, relation: Relation, embed: Embed) -> bool:
    """PostgREST's rules for targets and hints: a table, a constraint, a column, a junction."""
    here, there = (tuple(side) for side in zip(*relation.pairs, strict=True))
    names_table = embed.target == relation.table
    if relation.table == origin:
        # Both ways of one key: the table's name means rows that refer to this one, the column's the one referred to.
        if relation.cardinality == "one-to-many":
            return names_table and embed.hint in (None, *(there if len(there) == 1 else ()))
        return not relation.junction and embed.hint is None and here == (embed.target,)
    if embed.hint is not None:
        by_column = not relation.junction and (embed.hint,) in (here, there)
        return names_table and (embed.hint == relation.name or by_column)
    if names_table or relation.junction or schema.tables[relation.table].is_view:
        return names_table
    return embed.target == relation.key.name or here == (embed.target,)


def _refuse_unknown(origin: str, embed: Embed) -> RestError:
    hint = f"' using the hint '{embed.hint}" if embed.hint else ""
    return RestError(
        400,
        "PGRST200",
        f"Could not find a relationship between '{origin}' and '{embed.target}' in the schema cache",
        details=f"Searched for a foreign key relationship between '{origin}' and '{embed.target}{hint}' in the schema "
        "'public', but no matches were found.",
    )


def _refuse_ambiguous(origin: str, embed: Embed, found: list[Relation]) -> RestError:
    choices = ", ".join(f"'{embed.target}!{relation.name}'" for relation in found)
    return RestError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{origin}' and '{embed.target}'",
        details=[_describe(origin, relation) for relation in found],
        hint=f"Try changing '{embed.target}' to one of the following: {choices}. Find the desired relationship in the "
        "'details' key.",
    )


def _describe(origin: str, relation: Relation) -> dict[str, str]:
    here, there = (", ".join(side) for side in zip(*relation.pairs, strict=True))
    text = f"{relation.key.name} using {origin}({here}) and {relation.table}({there})"
    if relation.junction:
        other = relation.junction.key
        text = (
            f"{other.table} using {relation.key.name}({there}) and {other.name}({', '.join(other.columns)})"
        )
    return {
        "cardinality": relation.cardinality,
        "embedding": f"{origin} with {relation.table}",
        "relationship": text,
    }
