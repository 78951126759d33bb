"""Asks OSV, the public database of known vulnerabilities, about every package the image installs.

Sends names and versions of requirements.lock, nothing else. Ends with 1 where a vulnerability is known, with 0 and a
word where the database can't be reached: a machine without network can still be checked.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import httpx

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"
DATABASE = "https://api.osv.dev"
SECONDS = 20.0
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__.partition("\n")[0])
    parser.add_argument("--database", default=DATABASE, help="default: %(default)s")
    pins = _PIN.findall(LOCK.read_text())
    try:
        known = find_vulnerabilities(pins, parser.parse_args().database)
    except (httpx.HTTPError, ValueError) as error:
        print(f"Not audited: the database of vulnerabilities can't be reached ({type(error).__name__}).")
        return 0
    for package, ids in known.items():
        print(f"{package}: {', '.join(ids)}")
    print(f"{len(pins)} packages, {len(known)} with known vulnerabilities.")
    return int(bool(known))


def find_vulnerabilities(pins: list[tuple[str, str]], database: str) -> dict[str, list[str]]:
    """The ids of what is known about each package that is not fine; httpx.HTTPError or ValueError without an answer."""
    package = {"ecosystem": "PyPI"}
    queries = [{"package": package | {"name": name}, "version": version} for name, version in pins]
    reply = httpx.post(f"{database}/v1/querybatch", json={"queries": queries}, timeout=SECONDS)
    results: list[dict[str, Any]] = reply.raise_for_status().json()["results"]
    return {
        f"{name} {version}": [found["id"] for found in result["vulns"]]
        for (name, version), result in zip(pins, results, strict=True)
        if result.get("vulns")
    }


if __name__ == "__main__":
    sys.exit(main())
