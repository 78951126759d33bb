"""The console where the functions are: found behind the gateway, at a function's own address, and by npm."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from scripts.local.stack import ROOT
from tests.ports import find_free_port
from tests.stack import Stack
from tests.waiting import wait_until

FILES = ROOT / "shared" / "console"


def list_links(page: httpx.Response) -> list[str]:
    """What the page loads, by its own address."""
    found = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    return [urljoin(str(page.url), link) for link in found if not link.startswith("data:")]


@pytest.fixture(scope="module")
def alone(stack: Stack) -> Iterator[str]:
    """The console at a root of its own, as functions-framework runs it."""
    port = find_free_port()
    given = dict(line.split("=", 1) for line in shlex.split(stack.functions_env.read_text()))
    argv = [
        "--source",
        "functions/console.py",
        "--target",
        "console",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    program = str(Path(sys.executable).with_name("functions-framework"))
    environment = os.environ | given | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([program, *argv], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(url), "it does not start")
        yield url
        process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("path", ["/functions/v1/console", "/functions/v1/console/"])
def test_behind_the_gateway_the_page_and_all_it_loads_are_there(stack: Stack, path: str) -> None:
    page = httpx.get(f"{stack.url}{path}", timeout=60)

    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = list_links(page)
    assert links
    assert {httpx.get(link, timeout=60).status_code for link in links} == {200}


@pytest.mark.parametrize("path", ["", "/", "/console", "/console/"])
def test_at_an_address_of_its_own_too(alone: str, path: str) -> None:
    page = httpx.get(f"{alone}{path}", timeout=60)

    assert {httpx.get(link, timeout=60).status_code for link in list_links(page)} == {200}


def test_the_page_knows_where_the_project_is_and_no_secret(stack: Stack) -> None:
    page = httpx.get(f"{stack.url}/functions/v1/console/", timeout=60).text

    assert stack.url in page
    assert stack.anon_key in page
    secrets = (stack.service_role_key, stack.scheduler_secret, stack.jwt_secret)
    assert not [secret for secret in secrets if secret in page]
    assert "{{" not in page


def test_every_module_is_served_and_imports_only_what_is_there(stack: Stack) -> None:
    base = f"{stack.url}/functions/v1/console/"
    for file in sorted(FILES.rglob("*.js")):
        url = urljoin(base, file.relative_to(FILES).as_posix())

        module = httpx.get(url, timeout=60)

        assert module.headers["Content-Type"] == "text/javascript; charset=utf-8"
        wanted = re.findall(r"""(?:from|import\()\s*['"](\.[^'"$]+)['"]""", module.text)
        assert {httpx.head(urljoin(url, each), timeout=60).status_code for each in wanted} <= {200}, file.name


def test_a_module_is_sent_compressed_and_again_only_where_it_has_changed(stack: Stack) -> None:
    url = f"{stack.url}/functions/v1/console/elements/index.js"

    first = httpx.get(url, timeout=60)
    again = httpx.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=60)

    assert first.headers["Content-Encoding"] == "gzip"
    assert (again.status_code, again.content) == (304, b"")


def test_npm_installs_the_elements_from_the_address(stack: Stack, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Node and npm are not installed")
    (tmp_path / "package.json").write_text('{"private": true}')
    url = f"{stack.url}/functions/v1/console/elements.tgz"

    subprocess.run([npm, "install", "--no-audit", "--no-fund", url], cwd=tmp_path, check=True, timeout=120)

    name = json.loads((FILES / "elements" / "package.json").read_text())["name"]
    installed = tmp_path / "node_modules" / name
    assert {file.name for file in installed.iterdir()} == {
        file.name for file in (FILES / "elements").iterdir()
    }
    assert (installed / "index.js").read_bytes() == (FILES / "elements" / "index.js").read_bytes()
