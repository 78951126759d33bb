"""Modules that are read in one sitting."""

from __future__ import annotations

from scripts.local.stack import ROOT

MOST_LINES = 250


def test_no_module_has_more_lines_than_one_reads_at_once() -> None:
    files = [file for folder in ("functions", "shared") for file in (ROOT / folder).rglob("*.py")]

    assert files
    assert [file.name for file in files if len(file.read_text().splitlines()) > MOST_LINES] == []
