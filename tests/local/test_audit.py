"""scripts/audit asks about every package of the image, and tells what is known or that it could not ask."""

from __future__ import annotations

import json
import subprocess
import sys

from scripts.local.stack import ROOT
from tests.fakes.http_receiver import Answer, HttpReceiver, Received
from tests.ports import find_free_port


def audit(database: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.vulnerabilities", "--database", database],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def answer(request: Received) -> Answer:
    """As OSV does: one result for each query, in their order."""
    queries = json.loads(request.body)["queries"]
    results = [
        {"vulns": [{"id": "CVE-1"}]} if query["package"]["name"] == "flask" else {} for query in queries
    ]
    return Answer(200, json.dumps({"results": results}).encode())


def test_a_known_vulnerability_is_told_with_its_package_and_version() -> None:
    pins = (ROOT / "requirements.lock").read_text().count("==")

    with HttpReceiver(answer) as database:
        done = audit(f"http://127.0.0.1:{database.port}")

    assert done.returncode == 1
    assert "flask 3.1.3: CVE-1" in done.stdout
    assert f"{pins} packages, 1 with known vulnerabilities." in done.stdout


def test_a_database_that_can_not_be_reached_is_told_and_stops_nobody() -> None:
    done = audit(f"http://127.0.0.1:{find_free_port()}")

    assert done.returncode == 0
    assert "Not audited" in done.stdout
