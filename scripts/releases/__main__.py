"""`python -m scripts.releases 0.2.0` lists the migrations of a release; `--check` says whether they are as released."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from scripts.releases.migrations import (
    list_faults,
    merge_sums,
    read_releases,
    sum_migrations,
    write_releases,
)
from shared import __version__

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """The command line; exit code 1 where something is not as it has to be."""
    parser = argparse.ArgumentParser(prog="scripts/release", description=__doc__)
    parser.add_argument("version", nargs="?", help="what is released, such as 0.2.0")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if bool(given.version) == given.check:
        parser.error("give a version, or --check")
    faults = list(_list_released(given.root) if given.check else _make_release(given.root, given.version))
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return int(bool(faults))


def _list_released(root: Path) -> Iterator[str]:
    yield from list_faults(merge_sums(read_releases(root)), sum_migrations(root))


def _make_release(root: Path, version: str) -> Iterator[str]:
    """List what no release before has, where nothing is in the way; else what is."""
    before = {name: sums for name, sums in read_releases(root).items() if name != version}
    listed, present = merge_sums(before), sum_migrations(root)
    faults = [*_find_unready(root, version), *list_faults(listed, present)]
    yield from faults
    if not faults:
        new = {name: digest for name, digest in present.items() if name not in listed}
        write_releases(root, before | {version: new})


def _find_unready(root: Path, version: str) -> Iterator[str]:
    tag = ["git", "-C", str(root), "tag", "--list", f"v{version}"]
    if subprocess.run(tag, capture_output=True, text=True, check=False).stdout.strip():
        yield f"{version} is tagged, so it is released: choose the next version."
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if {project, __version__} != {version}:
        yield f"pyproject.toml says {project} and shared/__init__.py {__version__}; both have to say {version}."
    if not re.search(
        rf"(?m)^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text()
    ):
        yield f"CHANGELOG.md has no heading `## {version} - YYYY-MM-DD`; what is under Unreleased goes there."


if __name__ == "__main__":
    sys.exit(main())
