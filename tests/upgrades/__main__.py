"""`python -m tests.upgrades 0.2.0`: the filled dump of a release, from a stack of its own; scripts/release runs it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.stack import Serve, find_free_port
from tests.upgrades.filled import RING, count_rows, dump_stack, fill_stack, write_dump


def main(version: str) -> None:
    """Fill a stack and write its dump; ends with a word where a table has no row yet."""
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        serve = Serve(Path(folder), find_free_port(), environment={"INTEGRATION_KEYS": RING})
        stack = serve.start()
        try:
            fill_stack(stack)
            with stack.connect() as connection:
                empty = [table for table, rows in count_rows(connection).items() if not rows]
            text = dump_stack(stack)
        finally:
            serve.stop()
    if empty:
        sys.exit(f"Without a row: {', '.join(empty)}. Add one to tests/database/estate.sql.")
    file = write_dump(version, text)
    sys.stderr.write(f"{file.name}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1])
