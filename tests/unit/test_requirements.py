"""requirements.txt is what a deployment installs, requirements-local.txt what the local stack adds: everything that is
imported, with all that brings along; and the locks know the files of each by their hashes."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DEPLOYED = ("functions", "shared")
LOCAL = (*DEPLOYED, "scripts")
LISTS = {DEPLOYED: ("requirements.txt",), LOCAL: ("requirements.txt", "requirements-local.txt")}
LOCKS = {DEPLOYED: "requirements.lock", LOCAL: "requirements-local.lock"}


def read_pins(folders: tuple[str, ...]) -> dict[str, str]:
    lines = [
        line for name in LISTS[folders] for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}


def list_imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("folders", [DEPLOYED, LOCAL], ids=["deployed", "local"])
def test_everything_that_is_imported_is_required(folders: tuple[str, ...]) -> None:
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    modules = {name.partition(".")[0] for file in files for name in list_imports(file)}
    foreign = modules - sys.stdlib_module_names - set(LOCAL)

    owners = packages_distributions()
    missing = {
        module
        for module in foreign
        if not {canonicalize_name(name) for name in owners[module]} & read_pins(folders).keys()
    }

    assert {"aiohttp", "certifi", "paho", "pydantic"} <= foreign
    assert missing == set()


@pytest.mark.parametrize("folders", [DEPLOYED, LOCAL], ids=["deployed", "local"])
def test_everything_that_a_requirement_brings_along_is_pinned_too(folders: tuple[str, ...]) -> None:
    pins = read_pins(folders)

    wanted = {
        canonicalize_name(needed.name)
        for name in pins
        for needed in map(Requirement, requires(name) or [])
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
    }

    assert wanted <= pins.keys()
    assert {name: f"=={version(name)}" for name in pins} == pins


@pytest.mark.parametrize("folders", [DEPLOYED, LOCAL], ids=["deployed", "local"])
def test_the_lock_holds_the_pinned_requirements_each_with_the_hashes_of_its_files(
    folders: tuple[str, ...],
) -> None:
    text = (ROOT / LOCKS[folders]).read_text(encoding="utf-8")
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line[0] != "#"]
    locked = {
        Requirement(line.partition(" --hash")[0]): line.count("--hash=sha256:")
        for line in lines
        # Nothing of this runs on Windows itself; uv writes down what it would take there.
        if "sys_platform == 'win32'" not in line
    }

    assert {canonicalize_name(pin.name): str(pin.specifier) for pin in locked} == read_pins(folders)
    assert min(locked.values()) >= 1
    assert {option for line in lines for option in re.findall(r"(?<!\S)--[\w-]+", line)} == {"--hash"}
    assert "://" not in text
