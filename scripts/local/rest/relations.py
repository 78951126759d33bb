"""Finds the foreign key that an embedded table is reached by."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.local.rest.errors import RestError
from scripts.local.rest.nodes import Embed
from scripts.local.rest.schema import ForeignKey, Schema


@dataclass(frozen=True, slots=True)
class Relation:
    """A way from one table to another; `pairs` are (column here, column there), `to_one` whether it ends in one row."""

    key: ForeignKey
    table: str
    pairs: tuple[tuple[str, str], ...]
    outgoing: bool
    to_one: bool

    @property
    def cardinality(self) -> str:
        """PostgREST's word for it."""
        if self.outgoing:
            return "many-to-one"
        return "one-to-one" if self.to_one else "one-to-many"


def find_relation(schema: Schema, origin: str, embed: Embed) -> Relation:
    """The one relation that the embed names; PGRST200 for none, PGRST201 (300) for several."""
    found = [relation for relation in _list_relations(schema, origin) if _answers_to(relation, embed)]
    if len(found) == 1:
        return found[0]
    raise _refuse_ambiguous(origin, embed, found) if found else _refuse_unknown(origin, embed)


def _list_relations(schema: Schema, origin: str) -> list[Relation]:
    relations = []
    for key in schema.foreign_keys:
        pairs = tuple(zip(key.columns, key.referenced_columns, strict=True))
        if key.table == origin:
            relations.append(Relation(key, key.referenced_table, pairs, outgoing=True, to_one=True))
        if key.referenced_table == origin:
            unique = frozenset(key.columns) in schema.tables[key.table].unique
            back = tuple((there, here) for here, there in pairs)
            relations.append(Relation(key, key.table, back, outgoing=False, to_one=unique))
    return relations


def _answers_to(relation: Relation, embed: Embed) -> bool:
    key = relation.key
    by_column = relation.outgoing and key.columns == (embed.target,)
    if embed.target not in (relation.table, key.name) and not by_column:
        return False
    return embed.hint is None or embed.hint in (key.name, *key.columns)


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
    choices = ", ".join(f"'{embed.target}!{relation.key.name}'" for relation in found)
    return RestError(
        300,
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{origin}' and '{embed.target}'",
        details=[_describe(origin, relation) for relation in found],
        hint=f"Try changing '{embed.target}' to one of the following: {choices}. Find the desired relationship in the "
        "'details' key.",
    )


def _describe(origin: str, relation: Relation) -> dict[str, str]:
    here = ", ".join(here for here, _ in relation.pairs)
    there = ", ".join(there for _, there in relation.pairs)
    return {
        "cardinality": relation.cardinality,
        "embedding": f"{origin} with {relation.table}",
        "relationship": f"{relation.key.name} using {origin}({here}) and {relation.table}({there})",
    }
