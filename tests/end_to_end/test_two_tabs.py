"""Tabs that wake up with an expired session keep it: supabase-js in several processes, and in a real browser."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Stack

PAGE = """<!doctype html><script src="/supabase.js"></script><script>
const told = TOLD;
async function wakeUp() {
  const client = supabase.createClient(told.url, told.anonKey, { auth: { storageKey: "session" } });
  const events = [];
  client.auth.onAuthStateChange((event) => void events.push(event));
  const { data } = await client.auth.getUser();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const rows = await client.from("organizations").select("name");
  const seen = { user: data.user?.email, rows: rows.data, error: rows.error?.message ?? null, events };
  await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
}
if (location.pathname === "/tab") {
  wakeUp();
} else {
  localStorage.setItem("session", JSON.stringify(told.session));
  for (let tab = 0; tab < told.tabs; tab += 1) window.open("/tab", "_blank");
}
</script>"""
HERE = Path(__file__).parent
BEGIN_SECONDS = 2.0


def expire(session: dict[str, Any]) -> dict[str, Any]:
    """As a tab finds it that has slept for two hours."""
    return session | {"expires_at": int(time.time()) - 3600, "expires_in": 3600}


@pytest.mark.parametrize("tabs", [2, 3])
def test_tabs_with_an_expired_session_all_keep_it(
    stack: Stack, node_modules: Path, tmp_path: Path, tabs: int
) -> None:
    member = stack.user("member", 1)
    storage = tmp_path / "storage.json"
    storage.write_text(json.dumps({"session": json.dumps(expire(stack.sign_in(member)))}))
    script = shutil.copy(HERE / "two_tabs.mjs", node_modules.parent)
    begin = str(int((time.time() + BEGIN_SECONDS) * 1000))

    running = [
        subprocess.Popen(
            ["node", script, stack.url, stack.anon_key, str(storage), begin],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(tabs)
    ]
    seen = []
    for tab in running:
        output, errors = tab.communicate(timeout=90)
        assert tab.returncode == 0, errors
        seen.append(json.loads(output))

    for tab in seen:
        assert (tab["user"], tab["again"]) == (member.email, None), seen
        assert len(tab["rows"]) == 1
        assert "SIGNED_OUT" not in tab["events"]


@contextmanager
def serve_page(told: dict[str, Any], script: Path) -> Iterator[tuple[str, queue.Queue[Any]]]:
    """The address of the frontend, and what its tabs have seen."""
    seen: queue.Queue[Any] = queue.Queue()
    page = PAGE.replace("TOLD", json.dumps(told)).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_script = self.path == "/supabase.js"
            self._answer(script.read_bytes() if is_script else page, "javascript" if is_script else "html")

        def do_POST(self) -> None:
            seen.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(b"", "plain")

        def _answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"text/{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's name
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", seen
        server.shutdown()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("tabs", [2, 3])
def test_browser_tabs_with_an_expired_session_all_keep_it(
    stack: Stack, node_modules: Path, tmp_path: Path, tabs: int
) -> None:
    member = stack.user("member", 1)
    told = {"url": stack.url, "anonKey": stack.anon_key, "session": expire(stack.sign_in(member))}
    script = node_modules / "@supabase" / "supabase-js" / "dist" / "umd" / "supabase.js"
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-popup-blocking",
        "--disable-gpu",
        "--no-first-run",
    ]
    with serve_page(told | {"tabs": tabs}, script) as (address, seen):
        browser = subprocess.Popen(
            ["chromium", *options, f"--user-data-dir={tmp_path}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            results = [seen.get(timeout=90) for _ in range(tabs)]
        finally:
            browser.terminate()
            browser.wait(30)

    for tab in results:
        assert (tab["user"], tab["error"], len(tab["rows"])) == (member.email, None, 1), results
        assert "SIGNED_OUT" not in tab["events"]
