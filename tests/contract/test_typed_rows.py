"""Rows have types: mypy refuses a column that a row does not have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.local.stack import ROOT

PROGRAM = """
from shared.integrations.records import IntegrationRow
from shared.integrations.routes import get_integration
from shared.runtime.database.client import Database
from shared.runtime.web.call import Call

def read(database: Database, call: Call) -> None:
    row = database.read_one(IntegrationRow, "device_integrations", {})
    print(row["name"])
    print(row["nmae"])
    print(get_integration(call)["integration"]["secrets"])
    print(get_integration(call)["integration"]["secret"])
"""


def test_a_misspelt_column_does_not_pass_mypy(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    argv = [sys.executable, "-m", "mypy", str(program)]

    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    errors = [line.partition(": error: ")[2] for line in done.stdout.splitlines() if "error" in line]
    assert errors[:2] == [
        'TypedDict "IntegrationRow" has no key "nmae"  [typeddict-item]',
        'TypedDict "Integration" has no key "secret"  [typeddict-item]',
    ], done.stdout
    assert len(errors) == 3
