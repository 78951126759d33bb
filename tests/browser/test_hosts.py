"""The elements in other people's pages: a React app, a plain page, both with supabase-js as it is published."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as Late

from scripts.local.stack import ROOT
from tests.browser.console import PATIENCE_MS, Console, create_mqtt
from tests.platform import Platform
from tests.stack import Stack

EXAMPLES = ROOT / "docs" / "examples"
BUNDLER = "esbuild@0.25.0"
HOSTILE = """
() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`body, body * { font: italic 40px serif !important; color: lime !important;
    background: red !important; text-transform: uppercase !important; letter-spacing: 9px !important;
    text-align: center !important; white-space: pre !important }
    button, table, h2 { display: none !important }`);
  document.adoptedStyleSheets = [sheet];
}
"""
LOOKS = """
() => ['h2', 'button', 'th', '.empty, td'].map((name) => {
  const look = getComputedStyle(document.querySelector('device-integrations').shadowRoot.querySelector(name));
  return [look.font, look.color, look.textTransform, look.letterSpacing, look.textAlign, look.display].join();
})
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
        """Nobody reads it."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address at which a folder is served."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-US")
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def test_a_plain_page_shows_the_list_and_the_dialog(
    page: Page, stack: Stack, admin: Platform, node_modules: Path, tmp_path: Path
) -> None:
    create_mqtt(admin)
    told = {
        "url": stack.url,
        "anonKey": stack.anon_key,
        "email": admin.user.email,
        "password": admin.user.password,
        "elements": f"{stack.functions_url}/console/elements/index.js",
    }
    shutil.copy(EXAMPLES / "plain" / "index.html", tmp_path)
    shutil.copy(node_modules / "@supabase" / "supabase-js" / "dist" / "umd" / "supabase.js", tmp_path)
    (tmp_path / "config.js").write_text(f"window.config = {json.dumps(told)}")
    with serve(tmp_path) as address:
        page.goto(address)
        page.get_by_role("button", name="Broker").click()
        page.get_by_role("dialog", name="Broker").locator('[data-field="username"] input').fill("platform")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("dialog").wait_for(state="detached")

    assert admin.call("GET", "/integrations").json()["integrations"][0]["config"]["username"] == "platform"


@pytest.fixture
def react_app(stack: Stack, admin: Platform, tmp_path: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("Node and npm are not installed")
    shutil.copytree(EXAMPLES / "react", tmp_path, dirs_exist_ok=True)
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    elements = f"{stack.functions_url}/console/elements.tgz"
    subprocess.run([npm, "install", *quiet, elements, BUNDLER], cwd=tmp_path, check=True, timeout=300)
    told = {
        "SUPABASE_URL": stack.url,
        "SUPABASE_ANON_KEY": stack.anon_key,
        "EMAIL": admin.user.email,
        "PASSWORD": admin.user.password,
    }
    defined = [f"--define:import.meta.env.VITE_{name}={json.dumps(value)}" for name, value in told.items()]
    bundle = [
        "node_modules/.bin/esbuild",
        "main.jsx",
        "--bundle",
        "--splitting",
        "--format=esm",
        "--jsx=automatic",
        "--outdir=built",
        "--log-level=error",
    ]
    subprocess.run([*bundle, *defined], cwd=tmp_path, check=True, timeout=120)
    (tmp_path / "index.html").write_text(
        '<!doctype html><title>App</title><div id="app"></div><script type="module" src="built/main.js"></script>'
    )
    return tmp_path


def test_a_react_app_shows_the_list_and_opens_its_own_place(
    page: Page, admin: Platform, react_app: Path
) -> None:
    create_mqtt(admin)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"{request.url} {request.failure}"))
    page.on("response", lambda reply: said.append(f"{reply.url} {reply.status}"))
    with serve(react_app) as address:
        page.goto(address)
        add = page.get_by_role("button", name="Add integration")
        try:
            add.wait_for()
        except Late:
            pytest.fail(f"The app shows {page.locator('body').inner_text()!r}; {said}")
        add.click()
        page.get_by_role("dialog").locator('[data-type="webhook"]').click()
        page.get_by_role("dialog").locator('[data-field="name"] input').fill("From React")
        page.get_by_role("dialog").locator('[data-field="url"] input').fill("https://hooks.example.com/")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("button", name="I have copied it").click()
        page.get_by_role("button", name="From React").click()

        page.get_by_role("heading", name="From React").wait_for()
        page.get_by_role("button", name="All integrations").click()
        page.get_by_role("button", name="Broker").wait_for()


def test_a_host_with_hostile_styles_changes_nothing_inside(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    console.open("integrations")
    console.button("Broker").wait_for()
    before: list[Any] = console.page.evaluate(LOOKS)
    console.page.evaluate(HOSTILE)

    assert console.page.evaluate(LOOKS) == before
