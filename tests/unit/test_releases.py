"""Released migrations stay as they were: what is changed, gone or slipped in is found; a release lists the new ones."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local.stack import ROOT
from scripts.releases.migrations import FILE, FOLDER, list_faults, read_releases
from shared import __version__

CHANGELOG = f"# Changelog\n\n## Unreleased\n\n## {__version__} - 2026-11-29\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of two migrations, about to be released."""
    (tmp_path / FOLDER).mkdir(parents=True)
    for name in ("20260101000100_first.sql", "20260101000300_third.sql"):
        (tmp_path / FOLDER / name).write_text(f"select '{name}';\n")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def release(root: Path, *arguments: str) -> tuple[int, str]:
    argv = [sys.executable, "-m", "scripts.releases", *arguments, "--root", str(root)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_release_lists_its_migrations_in_a_form_that_sha256sum_reads(root: Path) -> None:
    assert release(root, __version__) == (0, "")

    lines = [line for line in (root / FILE).read_text().splitlines() if not line.startswith("#")]
    assert lines == [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {FOLDER}/{file.name}"
        for file in sorted((root / FOLDER).iterdir())
    ]
    assert release(root, "--check") == (0, "")


@pytest.mark.parametrize("change", ["changed", "gone", "older"])
def test_a_released_migration_never_changes(root: Path, change: str) -> None:
    release(root, __version__)
    first = root / FOLDER / "20260101000100_first.sql"
    if change == "gone":
        first.unlink()
    else:
        (first if change == "changed" else first.with_name("20260101000200_second.sql")).write_text(
            "select 2;\n"
        )

    code, words = release(root, "--check")

    assert code == 1
    assert "a released migration never changes; add a new one" in words
    assert ("second" if change == "older" else "first") in words


def test_a_new_migration_is_free_until_the_next_release_lists_it(root: Path) -> None:
    release(root, __version__)
    new = root / FOLDER / "20260101000400_fourth.sql"

    for text in ("select 1;\n", "select 2;\n"):
        new.write_text(text)
        assert release(root, "--check") == (0, "")

    assert release(root, __version__) == (0, "")
    new.write_text("select 3;\n")
    assert release(root, "--check")[0] == 1


def test_what_is_tagged_is_released_and_is_not_listed_again(root: Path) -> None:
    release(root, __version__)
    identity = ["-c", "user.name=x", "-c", "user.email=x@x.test", "-c", "commit.gpgsign=false"]
    subprocess.run(
        ["git", "-C", str(root), *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True
    )
    subprocess.run(["git", "-C", str(root), "tag", f"v{__version__}"], check=True)
    before = (root / FILE).read_text()

    code, words = release(root, __version__)

    assert (code, (root / FILE).read_text()) == (1, before)
    assert "choose the next version" in words


def test_a_release_names_everything_that_is_not_ready(root: Path) -> None:
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")

    code, words = release(root, "9.9.9")

    assert code == 1
    assert "pyproject.toml says" in words
    assert "## 9.9.9 - YYYY-MM-DD" in words
    assert not (root / FILE).exists()


def test_the_sections_of_earlier_releases_stay_and_bind(root: Path) -> None:
    first = "20260101000100_first.sql"
    digest = hashlib.sha256((root / FOLDER / first).read_bytes()).hexdigest()
    (root / FILE).write_text(f"# 0.0.9\n{digest}  {FOLDER}/{first}\n")

    assert release(root, __version__) == (0, "")
    assert {name: len(sums) for name, sums in read_releases(root).items()} == {"0.0.9": 1, __version__: 1}

    (root / FOLDER / first).write_text("select 2;\n")
    assert release(root, __version__)[0] == 1


def test_a_line_that_is_no_checksum_is_told(root: Path) -> None:
    (root / FILE).write_text("abc  supabase/migrations/x.sql\n")

    with pytest.raises(ValueError, match="line 1"):
        read_releases(root)


def test_without_a_release_everything_is_free() -> None:
    assert list(list_faults({}, {"1_a.sql": "x"})) == []
