"""scripts/bench NAME [--json] [--quick | --smoke]: runs one benchmark, prints a table, or JSON as the last line."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import pkgutil
import platform
from typing import cast

from rich.console import Console
from rich.table import Table

import scripts.benchmarks
from scripts.benchmarks._bench import Bench, Benchmark, Numbers, make_progress

PACKAGES = ("psycopg", "gunicorn", "paho-mqtt", "aiohttp")


def main() -> None:
    """The command line."""
    names = find_benchmarks()
    options = _read_options(names)
    benchmark = load_benchmark(options.name)
    with make_progress() as progress:
        numbers = benchmark.measure(Bench(options.quick or options.smoke, progress, options.smoke))
    if options.json:
        print(json.dumps(numbers))
    else:
        Console().print(describe_numbers(options.name, benchmark, numbers))


def find_benchmarks() -> list[str]:
    """The names of the modules here that measure something."""
    found = pkgutil.iter_modules(scripts.benchmarks.__path__)
    return sorted(module.name for module in found if not module.name.startswith("_"))


def load_benchmark(name: str) -> Benchmark:
    """The module of that name."""
    return cast("Benchmark", importlib.import_module(f"scripts.benchmarks.{name}"))


def describe_numbers(name: str, benchmark: Benchmark, numbers: Numbers) -> Table:
    """The numbers beside those to reach, with the machine and the versions."""
    summary = (benchmark.__doc__ or "").split("\n", 1)[0]
    table = Table(title=f"{name}: {summary}", caption=f"{_describe_machine()}\n{_describe_versions()}")
    table.add_column("measured")
    table.add_column("value", justify="right")
    table.add_column("to reach")
    for key, value in numbers.items():
        table.add_row(key, f"{value:,.3f}".rstrip("0").rstrip("."), benchmark.REACH.get(key, ""))
    return table


def _describe_machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} {platform.release()}"


def _describe_versions() -> str:
    versions = [f"{package} {importlib.metadata.version(package)}" for package in PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *versions])


def _read_options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("name", choices=names, help="what to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--quick", action="store_true", help="finish within a minute, less exactly")
    parser.add_argument(
        "--smoke", action="store_true", help="see only whether it runs: the numbers say nothing"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
