"""requirements.txt is what a deployment installs: everything the functions import, with all that brings along."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DEPLOYED = ("functions", "shared")


def read_pins() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}


def list_imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_everything_that_is_imported_is_required() -> None:
    files = [file for folder in DEPLOYED for file in (ROOT / folder).rglob("*.py")]
    modules = {name.partition(".")[0] for file in files for name in list_imports(file)}
    foreign = modules - sys.stdlib_module_names - set(DEPLOYED)

    owners = packages_distributions()
    missing = {
        module
        for module in foreign
        if not {canonicalize_name(name) for name in owners[module]} & read_pins().keys()
    }

    assert {"aiohttp", "certifi", "paho", "pydantic"} <= foreign
    assert missing == set()


def test_everything_that_a_requirement_brings_along_is_pinned_too() -> None:
    pins = read_pins()

    wanted = {
        canonicalize_name(needed.name)
        for name in pins
        for needed in map(Requirement, requires(name) or [])
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
    }

    assert wanted <= pins.keys()
    assert {name: f"=={version(name)}" for name in pins} == pins
