"""The fields of a config that the database reads by their name are the mixins' own, and have the same defaults."""

from __future__ import annotations

import re
from pathlib import Path

from shared.provider import (
    MIXINS,
    CodecFields,
    LorawanReceiver,
    Notifier,
    Provider,
    SharedPoller,
    TransformFields,
)

SOURCES: tuple[type[Provider], ...] = (
    *MIXINS,
    CodecFields,
    TransformFields,
    LorawanReceiver,
    Notifier,
    SharedPoller,
)
MIGRATIONS = Path(__file__).resolve().parents[3] / "supabase" / "migrations"

_NAMED = re.compile(r"\b\w*settings\s*(?:->>?|\?)\s*'(\w+)'")
_BOUND = re.compile(r"read_(?:bound|seconds)\(\s*[\w.]*settings,\s*'(\w+)',\s*(\d+)")
_COUNTED = re.compile(r"'retry_schedule'\)\s*else (\d+)")


def read_sql() -> str:
    return "\n".join(file.read_text("utf-8") for file in sorted(MIGRATIONS.glob("*.sql")))


def list_declaring() -> set[type[Provider]]:
    """The mixins, and what they share, that say which of their fields the database reads."""
    return {
        each
        for mixin in SOURCES
        for each in mixin.__mro__
        if "read_in_sql" in vars(each) and issubclass(each, Provider)
    }


def test_the_database_reads_the_fields_that_the_mixins_declare_and_no_others() -> None:
    sql = read_sql()

    read = set(_NAMED.findall(sql)) | {name for name, _ in _BOUND.findall(sql)}

    assert read == {name for mixin in list_declaring() for name in mixin.read_in_sql}


def test_every_declared_field_is_a_field_of_its_mixin() -> None:
    for mixin in list_declaring():
        assert mixin.read_in_sql <= vars(mixin).get("__annotations__", {}).keys()


def test_the_database_has_the_same_defaults() -> None:
    sql = read_sql()
    fields = {name: field for mixin in SOURCES for name, field in mixin.model_fields.items()}

    bounds = _BOUND.findall(sql)

    assert bounds
    assert {(name, int(default)) for name, default in bounds} == {
        (name, fields[name].default) for name, _ in bounds
    }
    assert [int(count) for count in _COUNTED.findall(sql)] == [len(fields["retry_schedule"].default)]
