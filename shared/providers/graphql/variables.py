"""Variables of operations: JSON with places that are filled in, of which each operation gets those that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.provider import Context, compile_template, read_json, render_template, write_json
from shared.providers.graphql.document import read_operation

CURSOR: Context = {"cursor": frozenset()}
COMMAND: Context = {
    "device": frozenset(),
    "name": frozenset(),
    "payload": None,
    "command_id": frozenset(),
}

_PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
Variables = Mapping[str, Any]


def check_variables(variables: Variables | None, context: Context) -> None:
    """ValueError where they are no template with those places."""
    compile_template(variables, context)


def choose_variables(document: str, variables: Variables | None, context: Context) -> Variables:
    """Those of `variables` that the document names; where there are none, the places of the same names."""
    given = variables if variables is not None else {name: f"{{{{{name}}}}}" for name in context}
    named = read_operation(document).variables
    return {name: value for name, value in given.items() if name in named}


def has_place(variables: Variables, name: str) -> bool:
    """Whether `name` is filled in anywhere in them."""
    return name in {found[1] for found in _PLACE.finditer(write_json(variables).decode())}


def fill_variables(variables: Variables, values: Variables) -> Variables:
    """`variables` with `values` in their places.

    One that is nothing but a place without a value is left out, so that the document's own default counts.
    """
    known = {name: value for name, value in variables.items() if not _is_empty(value, values)}
    filled: Variables = read_json(render_template(compile_template(known, dict.fromkeys(values)), values))
    return filled


def _is_empty(value: Any, values: Variables) -> bool:
    place = _PLACE.fullmatch(value.strip()) if isinstance(value, str) else None
    return place is not None and values.get(place[1]) is None
