"""`python -m scripts.openapi` writes docs/openapi.json; with `--check` it says whether the file is current."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson

from scripts.openapi.document import describe_api

FILE = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def main() -> int:
    """Write or check the file; exit code 1 when it is checked and not current."""
    parser = argparse.ArgumentParser(prog="python -m scripts.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail unless it is current")
    check = parser.parse_args().check
    wanted = orjson.dumps(describe_api(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if not check:
        FILE.write_bytes(wanted)
    elif not FILE.exists() or FILE.read_bytes() != wanted:
        print("Not current: run python -m scripts.openapi and commit docs/openapi.json.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
