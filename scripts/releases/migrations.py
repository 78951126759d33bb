"""The migrations as they were released, in supabase/migrations.sha256: a list that `sha256sum -c` reads."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

FOLDER = "supabase/migrations"
FILE = "supabase/migrations.sha256"
RULE = "a released migration never changes; add a new one"

HEADING = f"""\
# The migrations as they were released, written by scripts/release: {RULE}.
# sha256sum -c {FILE}
"""

_RELEASE = re.compile(r"# (\d+\.\d+\.\d+)")
_LINE = re.compile(rf"([0-9a-f]{{64}})  {FOLDER}/([^/\s]+\.sql)")

Sums = dict[str, str]
"""SHA-256 by file name."""


def sum_migrations(root: Path) -> Sums:
    """What is there."""
    files = sorted((root / FOLDER).glob("*.sql"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def read_releases(root: Path) -> dict[str, Sums]:
    """What each release listed; ValueError for a line that is none."""
    releases: dict[str, Sums] = {}
    text = (root / FILE).read_text() if (root / FILE).exists() else ""
    listed: Sums = {}
    for number, line in enumerate(text.removeprefix(HEADING).splitlines(), start=1):
        if found := _RELEASE.fullmatch(line):
            listed = releases.setdefault(found[1], {})
        elif found := _LINE.fullmatch(line):
            listed[found[2]] = found[1]
        elif line.strip():
            raise ValueError(f"{FILE}: {line!r}, line {number} below the heading, is no checksum.")
    return releases


def write_releases(root: Path, releases: Mapping[str, Sums]) -> None:
    """Replace the list."""
    lines = [
        line
        for version, sums in releases.items()
        for line in (f"# {version}", *(f"{digest}  {FOLDER}/{name}" for name, digest in sums.items()))
    ]
    (root / FILE).write_text(HEADING + "".join(f"{line}\n" for line in lines))


def list_faults(released: Sums, present: Sums) -> Iterator[str]:
    """What is not as it was released. What is newer than all that was is free until the next release lists it."""
    for name, digest in released.items():
        if name not in present:
            yield f"{name} is gone: {RULE}."
        elif present[name] != digest:
            yield f"{name} is not what it was: {RULE}."
    latest = max(released, default="")
    for name in present.keys() - released.keys():
        if name < latest:
            yield (
                f"{name} is older than {latest}, which is released, so it would be applied nowhere any more: "
                f"{RULE}, with a later number."
            )


def merge_sums(releases: Mapping[str, Sums]) -> Sums:
    """All that was ever released."""
    return {name: digest for sums in releases.values() for name, digest in sums.items()}
