"""JMESPath expressions over what an API answers: each has a name, and all are looked for at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from shared.codecs.codec import Codec
from shared.codecs.contract import Uplink
from shared.provider.items import write_item

EXPRESSION_LIMIT = 2_000

_STEP = r"[A-Za-z_][A-Za-z0-9_]{0,200}(?:\[-?[0-9]{1,9}\])*"
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP})*")
"""Names and indexes, as in data.items[-1].id: what JMESPath finds by them needs no engine."""

_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|-?[0-9]+")

Expression = Annotated[str, Field(min_length=1, max_length=EXPRESSION_LIMIT)]


class Found(NamedTuple):
    """What the expressions found in a document, by their names; or why they could not be asked."""

    values: Mapping[str, Any]
    error: str | None = None


class Expressions:
    """Expressions by their names, of one organization, for one thread. A document for them has 256 KiB at most.

    What is only names and indexes is looked up here, and in documents of any size.
    """

    def __init__(self, organization_id: str, expressions: Mapping[str, str]) -> None:
        self._paths = {name: _split(text) for name, text in expressions.items() if _PATH.fullmatch(text)}
        rest = {name: text for name, text in expressions.items() if name not in self._paths}
        source = ", ".join(f"{name}: {text}" for name, text in rest.items())
        self._codec = Codec(organization_id, "jmespath", f"{{{source}}}") if rest else None

    def check(self) -> None:
        """Compile them. Errors: SourceRefused."""
        if self._codec:
            self._codec.check()

    def find(self, documents: Sequence[Any]) -> list[Found]:
        """What they find in each document. Errors: Unavailable."""
        told = [
            Found({name: _follow(each, path) for name, path in self._paths.items()}) for each in documents
        ]
        if self._codec is None:
            return told
        decoded = self._codec.decode([Uplink(write_item(each)) for each in documents])
        return [
            Found({}, each.errors[0]) if each.errors else Found({**known.values, **(each.data or {})})
            for known, each in zip(told, decoded, strict=True)
        ]


def _split(text: str) -> tuple[str | int, ...]:
    return tuple(part if part[0].isalpha() or part[0] == "_" else int(part) for part in _PART.findall(text))


def _follow(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(step, str):
            document = document.get(step) if isinstance(document, dict) else None
        elif isinstance(document, list) and -len(document) <= step < len(document):
            document = document[step]
        else:
            return None
    return document
