"""The first run of a script in a fresh clone: what it installs, and how it ends when it is stopped or may not write."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.local.stack import ROOT
from tests.local.terminal import Terminal
from tests.ports import find_free_port

FILES = ("requirements.txt", "requirements-local.txt", "requirements-dev.txt")
LOCK = "requirements-local.lock"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project's scripts and requirements, without an environment."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*FILES, LOCK):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("moment", ["Setting up .venv", "15 packages"])
def test_control_c_while_setting_up_ends_clean_and_leaves_no_half_environment(
    clone: Path, moment: str
) -> None:
    with Terminal([clone / "scripts" / "demo", "--port", str(find_free_port())], cwd=clone) as terminal:
        terminal.wait_for(moment)

        terminal.press_control_c()

        assert terminal.wait() == 130
    assert "Traceback" not in terminal.text
    assert "Stopped" in terminal.text
    assert not (clone / ".venv").exists()


def test_a_clone_that_can_not_be_written_is_told_so_without_a_traceback(clone: Path) -> None:
    # What stands in the way is the same for root, whom no permissions stop.
    (clone / ".venv.lock").mkdir()

    done = subprocess.run(
        [str(clone / "scripts" / "serve"), "--port", str(find_free_port())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "can't be written" in done.stderr
    assert "clone the project to a folder that you may write to" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (clone / ".venv").exists()


def test_a_package_that_is_not_the_one_that_was_locked_is_not_installed(clone: Path) -> None:
    lock = clone / LOCK
    lock.write_text(re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", lock.read_text()))

    done = subprocess.run(
        [str(clone / "scripts" / "serve"), "--port", str(find_free_port())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "could not be installed" in done.stderr
    assert not (clone / ".venv" / ".local").exists()


def test_the_demo_waits_for_none_of_what_only_tests_and_checks_need() -> None:
    local = {line.split("==")[0] for name in FILES[:2] for line in (ROOT / name).read_text().splitlines()}

    assert local.isdisjoint({"mypy", "ruff", "pytest", "schemathesis", "hypothesis", "supabase"})
