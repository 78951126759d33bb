"""`python -m tests.browser.numbers`: what the console costs a browser, medians of five."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from scripts.local.stack import ROOT
from shared.runtime.web.static import make_file
from tests.browser.console import Console, create_mqtt, open_console
from tests.conftest import UNLIMITED
from tests.platform import Platform
from tests.ports import find_free_port
from tests.stack import Serve, Stack

MODULES = ROOT / "shared" / "console"
ROUNDS = 5
MANY = 10_000
PAINT = """
() => new Promise((resolve) => {
  const look = () => {
    const [painted] = performance.getEntriesByName('first-contentful-paint');
    if (painted) resolve(painted.startTime);
    else requestAnimationFrame(look);
  };
  look();
})
"""
FRAMES = """
async (scroller) => {
  const [frames, tasks] = [[], []];
  const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((each) => each.duration)));
  watch.observe({ type: 'longtask' });
  let before = performance.now();
  for (let step = 0; step < 300; step++) {
    scroller.scrollTop += 400;
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - before);
    before = performance.now();
  }
  frames.sort((one, other) => one - other);
  const at = (part) => Math.round(frames[Math.floor(frames.length * part)] * 10) / 10;
  return [at(0.5), at(0.95), Math.round(Math.max(0, ...tasks))];
}
"""


def main() -> int:
    """Print them all; 0."""
    with tempfile.TemporaryDirectory(prefix="numbers-") as folder, sync_playwright() as playwright:
        serve = Serve(Path(folder), find_free_port(), environment=dict(UNLIMITED))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            for name, value in measure(browser, serve.start()):
                print(f"{name:<58} {value}", flush=True)  # noqa: T201 - it speaks to the person at the terminal
        finally:
            browser.close()
            serve.stop()
    return 0


def measure(browser: Browser, stack: Stack) -> Iterator[tuple[str, object]]:
    """Name and value of each number."""
    admin = Platform(stack, stack.user("admin", 0))
    saved = create_mqtt(admin)
    yield "all JS, raw / gzip, kB", _weigh([*MODULES.rglob("*.js")])
    yield (
        "lines of JS without words",
        sum(_count_lines(file) for file in MODULES.rglob("*.js") if "words" not in file.name),
    )
    with open_console(browser, stack, admin.user) as console:
        loaded: list[str] = []
        console.page.on(
            "request", lambda request: loaded.append(request.url) if request.url.endswith(".js") else None
        )
        console.open()
        console.page.get_by_text("No messages yet.").wait_for()
        yield (
            "JS of the first screen, raw / gzip, kB",
            _weigh([MODULES / url.split("/v/")[1].partition("/")[2] for url in set(loaded)]),
        )
        yield "first paint at the first visit, ms", round(console.page.evaluate(PAINT))
        yield "first paint, warm, ms", _take_median(lambda: _paint_again(console))
        yield "start page with data, warm, ms", _take_median(lambda: _show_start(console))
        console.open("integrations")
        yield "dialog open, ms", _take_median(lambda: _open_dialog(console))
        yield "first test step, ms", _take_median(lambda: _first_step(console, stack))
    _make_devices(stack, saved["id"])
    with open_console(browser, stack, admin.user) as console:
        console.open("devices")
        console.page.get_by_text("10,000 devices").wait_for()
        frames = console.page.locator(".scroller").evaluate(FRAMES)
        yield "10,000 devices: frame p50 / p95 / longest task, ms", " / ".join(map(str, frames))
        yield "10,000 devices: rows in the page", console.page.locator("tbody tr").count()
        yield "search among 10,000, ms", _take_median(lambda: _search(console))


def _weigh(files: list[Path]) -> str:
    served = [make_file(file.name, file.read_bytes()) for file in files]
    raw = sum(len(file.body) for file in served)
    packed = sum(len(file.packed or file.body) for file in served)
    return f"{raw / 1000:.1f} / {packed / 1000:.1f}"


def _count_lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def _take_median(measure_once: Callable[[], float]) -> float:
    return round(statistics.median(measure_once() for _ in range(ROUNDS)))


@contextmanager
def _clock(page: Page) -> Iterator[Callable[[], float]]:
    begun = page.evaluate("performance.now()")
    yield lambda: float(page.evaluate("performance.now()") - begun)


def _paint_again(console: Console) -> float:
    console.page.reload()
    return float(console.page.evaluate(PAINT))


def _show_start(console: Console) -> float:
    console.page.reload()
    console.button("Broker").wait_for()
    return float(console.page.evaluate("performance.now()"))


def _open_dialog(console: Console) -> float:
    with _clock(console.page) as read:
        console.button("Add integration").first.click()
        console.dialog.locator('[data-type="mqtt"]').click()
        console.dialog.locator("form").wait_for()
        took = read()
    console.page.keyboard.press("Escape")
    console.dialog.wait_for(state="detached")
    return took


def _first_step(console: Console, stack: Stack) -> float:
    console.add("mqtt")
    console.field("broker_url").fill(stack.mqtt_url)
    console.field("topics").fill("a/+")
    with _clock(console.page) as read:
        console.dialog.get_by_role("button", name="Test connection").click()
        console.dialog.locator(".steps li").first.wait_for()
        took = read()
    console.page.keyboard.press("Escape")
    console.dialog.get_by_role("button", name="Throw it away").click()
    return took


def _search(console: Console) -> float:
    search: Any = console.page.get_by_role("searchbox")
    search.fill("")
    console.page.get_by_text("10,000 devices").wait_for()
    with _clock(console.page) as read:
        search.fill("meter 777")
        console.page.get_by_text("11 devices").wait_for()
        return read()


def _make_devices(stack: Stack, integration_id: str) -> None:
    with stack.connect() as connection:
        connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name, status)"
            " select organization_id, id, 'meter-' || lpad(n::text, 5, '0'), 'Meter ' || n, 'online'"
            " from device_integrations, generate_series(1, %s) n where id = %s",
            (MANY, integration_id),
        )


if __name__ == "__main__":
    sys.exit(main())
