"""`python -m tests.upgrades 0.2.0`: the filled dump of a release, from a stack of its own; scripts/release runs it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.ports import find_free_port
from tests.stack import Serve
from tests.upgrades.filled import RING, dump_stack, fill_stack, write_dump


def main(version: str) -> None:
    """Fill a stack and write its dump; where no row can be invented for a new table, it goes into rows.sql."""
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        serve = Serve(Path(folder), find_free_port(), environment={"INTEGRATION_KEYS": RING})
        stack = serve.start()
        try:
            fill_stack(stack)
            text = dump_stack(stack)
        finally:
            serve.stop()
    file = write_dump(version, text)
    sys.stderr.write(f"{file.name}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1])
