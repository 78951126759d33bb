"""Forms: how a config is shown to those who fill it in, said by keywords of its JSON Schema.

`x-groups` is the order and the grouping of the fields. The rest stands at a field: `title` and `description`, which is
its docstring; `examples`; `x-unit`; `x-labels`, words for the values of an enum; `x-when`, without which it counts for
nothing; `x-lists`, where it is the id of what there is a list of; `contentMediaType` of a PEM text. A `when` is a small
JSON Schema of the config in which what is not set has its default, or null where it has none: `properties`, `const`,
`enum`, `pattern`, `anyOf`, `not`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Condition = Mapping[str, Any]

PEM: dict[str, Any] = {"contentMediaType": "application/x-pem-file"}
"""For `json_schema_extra` of a PEM text: several lines, which may come from a file."""

_UNITS = ("seconds", "minutes")
_WORDS = {
    "api": "API",
    "alpn": "ALPN",
    "ca": "CA",
    "golioth": "Golioth",
    "id": "ID",
    "ids": "IDs",
    "qos": "QoS",
    "tls": "TLS",
    "url": "URL",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Fields that stand together under a title; shown at once where `open`, and only while `when` holds."""

    title: str
    fields: tuple[str, ...]
    open: bool = False
    when: Condition | None = None


def only_with(**values: object) -> dict[str, Any]:
    """The condition that each of these fields has the value given."""
    return {"properties": {name: {"const": value} for name, value in values.items()}}


def make_title(name: str, _field: object = None) -> str:
    """The title of a field without one of its own: `ca_certificate` is "CA certificate"; a unit is shown apart."""
    words = [word for word in name.split("_") if word]
    if len(words) > 1 and words[-1] in _UNITS:
        words.pop()
    first, *rest = (_WORDS.get(word, word) for word in words)
    return " ".join((first[:1].upper() + first[1:], *rest))


def add_keywords(schema: dict[str, Any], groups: Iterator[Group]) -> None:
    """Complete the schema of a config: its groups, and the units that names of fields end with."""
    properties: dict[str, dict[str, Any]] = schema.get("properties", {})
    for name, written in properties.items():
        unit = name.rpartition("_")[2]
        if unit in _UNITS:
            written.setdefault("x-unit", unit)
    schema["x-groups"] = list(_write_groups(groups, set(properties)))


def _write_groups(groups: Iterator[Group], left: set[str]) -> Iterator[dict[str, Any]]:
    """Each field once, where it is named first, so that a provider may take those of its mixins into its own groups."""
    for group in groups:
        fields = [name for name in group.fields if name in left]
        left.difference_update(fields)
        if fields:
            written = asdict(group) | {"fields": fields}
            yield {key: value for key, value in written.items() if value is not None}
