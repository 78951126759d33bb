"""Postgres has no text with NUL: one function replaces it, wherever that is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.runtime.portable import replace_nul

ROOT = Path(__file__).parents[2]
BY_HAND = re.compile(r"""\.replace\(\s*(["'])\\(x00|0|u0000)\1,\s*(["'])\\ufffd\3""")


def test_nobody_replaces_it_by_hand() -> None:
    found = [
        str(module.relative_to(ROOT))
        for module in (ROOT / "shared").rglob("*.py")
        if BY_HAND.search(module.read_text())
    ]

    assert found == ["shared/runtime/portable.py"]


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ("a\x00b", "a\ufffdb"),
        ({"a\x00": ["\x00", 1, None]}, {"a\ufffd": ["\ufffd", 1, None]}),
        (7, 7),
    ],
)
def test_it_is_replaced_in_texts_and_in_whatever_holds_them(value: object, replaced: object) -> None:
    assert replace_nul(value) == replaced
