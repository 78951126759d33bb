"""`scripts/screenshots [--to DIR]`: takes a picture of each screen, with a fleet publishing."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from playwright.sync_api import Page, expect, sync_playwright

from scripts.demonstration.fleet import DEVICES, start_fleet
from scripts.demonstration.platform import Session, sign_in, wait_for_session
from scripts.demonstration.receiver import Receiver
from scripts.demonstration.stack import run_stack
from scripts.local.stack import ROOT

READINGS = 20
WIDTH, HEIGHT = 1120, 720
SETTLE_MS = 1500
ARRIVE_SECONDS = 30.0
NOBODY = "mqtt://127.0.0.1:1"


def main() -> int:
    """Take them all; 0."""
    options = _read_options()
    options.to.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pictures-", ignore_cleanup_errors=True) as folder,
        run_stack(Path(folder), options.port) as stack,
        Receiver() as receiver,
    ):
        user = next(user for user in stack["users"] if user["role"] == "admin")
        admin = sign_in(stack["url"], stack["anon_key"], user["email"], user["password"])
        ids = _connect(stack, admin, receiver)
        start_fleet(stack["mqtt_url"], READINGS, lambda _: None).finish()
        _wait_for_messages(admin)
        _remember_an_hour(stack, ids["mqtt"])
        with _open_page(options) as page:
            camera = Camera(page, options.to, options.whole)
            _sign_in(camera, stack, user)
            _take_all(camera, ids | {"device": admin.rows("devices", "id")[0]["id"]})
    return 0


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument(
        "--to", type=Path, default=ROOT / ".local" / "screenshots", help="the folder they go to"
    )
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument(
        "--width", type=int, default=WIDTH, help=f"of the window, in pixels (default {WIDTH})"
    )
    parser.add_argument(
        "--whole", action="store_true", help="all of each page, not what fits into the window"
    )
    parser.add_argument("--port", type=int, default=54421, help="the port of the API (default 54421)")
    return parser.parse_args()


def _connect(stack: dict[str, Any], admin: Session, receiver: Receiver) -> dict[str, str]:
    """A broker and a webhook that work, and one of each that does not."""
    broker = urlsplit(stack["mqtt_url"])
    config = {"broker_url": f"{broker.scheme}://{broker.hostname}", "port": broker.port}
    topics = "devices/+/telemetry, devices/+/status"
    wanted: dict[str, tuple[str, str, dict[str, Any]]] = {
        "mqtt": ("mqtt", "Hall 2", config | {"topics": topics, "command_topic": "commands/{device}/{name}"}),
        "away": ("mqtt", "Old broker", {"broker_url": NOBODY, "topics": "meters/+/readings"}),
        "webhook": ("webhook", "Maintenance desk", {"url": receiver.url}),
    }
    ids = {key: admin.create_integration(*given)["integration"]["id"] for key, given in wanted.items()}
    wait_for_session(stack, ids["mqtt"])
    return ids


def _remember_an_hour(stack: dict[str, Any], integration_id: str) -> None:
    """As if the fleet had published for an hour: minutes counted, and a line for each value of a device."""
    with psycopg.connect(stack["db_url"]) as connection:
        connection.execute(
            "insert into integration_metrics (integration_id, organization_id, minute, received, stored, failed)"
            " select id, organization_id, date_trunc('minute', now()) - n * interval '1 minute', a + b, a, b"
            " from device_integrations, generate_series(1, 58) n,"
            " lateral (select 80 + (15 * sin(n / 5.0))::int + n %% 7 as a, (n %% 13 = 0)::int * 4 as b) c"
            " where id = %s on conflict do nothing",
            (integration_id,),
        )
        connection.execute(
            "update device_messages m set observed_at = now() - (40 - s.place) * interval '90 seconds'"
            " from (select id, row_number() over (partition by device_id order by id) as place"
            " from device_messages) s where s.id = m.id"
        )


def _wait_for_messages(admin: Session) -> None:
    deadline = time.monotonic() + ARRIVE_SECONDS
    while len(admin.rows("device_messages", "id")) < READINGS * len(DEVICES) and time.monotonic() < deadline:
        time.sleep(0.2)


@dataclass(frozen=True)
class Camera:
    """Takes a page once it has settled."""

    page: Page
    folder: Path
    whole: bool

    def take(self, name: str) -> None:
        """A picture under this name."""
        self.page.wait_for_timeout(SETTLE_MS)
        expect(self.page.get_by_text("Loading …")).to_have_count(0, timeout=ARRIVE_SECONDS * 1000)
        self.page.screenshot(path=self.folder / f"{name}.png", full_page=self.whole)
        print(self.folder / f"{name}.png")  # noqa: T201 - it speaks to the person at the terminal


@contextmanager
def _open_page(options: argparse.Namespace) -> Iterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not installed (Debian: sudo apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(
            viewport={"width": options.width, "height": HEIGHT},
            color_scheme="dark" if options.dark else "light",
            locale="en-US",
        )
        yield context.new_page()
        browser.close()


def _sign_in(camera: Camera, stack: dict[str, Any], user: dict[str, Any]) -> None:
    page = camera.page
    page.goto(stack["console_url"])
    page.get_by_label("Email").fill(user["email"])
    page.get_by_label("Password").fill(user["password"])
    camera.take("sign-in")
    page.keyboard.press("Enter")
    page.locator("organization-start").wait_for()


def _take_all(camera: Camera, ids: dict[str, str]) -> None:
    tabs = {"messages": "Messages", "activity": "Activity", "deliveries": "Deliveries"}
    screens = {
        "integration": f"integrations/{ids['mqtt']}",
        "messages": f"integrations/{ids['mqtt']}",
        "activity": f"integrations/{ids['mqtt']}",
        "deliveries": f"integrations/{ids['webhook']}",
        "devices": "devices",
        "device": f"devices/{ids['device']}",
        "codecs": "codecs",
        "alerts": "alerts",
        "audit": "audit",
        "members": "members",
        # Last: by then the broker that is away has failed.
        "integrations": "integrations",
        "start": "",
    }
    for name, screen in screens.items():
        _go(camera.page, screen)
        if name in tabs:
            camera.page.get_by_role("tab", name=tabs[name]).click()
        camera.take(name)
    _take_dialogs(camera)


def _go(page: Page, screen: str) -> None:
    page.goto(f"{page.url.partition('#')[0]}#/{screen}")


def _take_dialogs(camera: Camera) -> None:
    page = camera.page
    _go(page, "codecs")
    page.get_by_role("button", name="Write a codec").first.click()
    camera.take("codec")
    page.keyboard.press("Escape")
    _go(page, "integrations")
    page.get_by_role("button", name="Add integration").click()
    camera.take("types")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Old broker").click()
    page.get_by_role("button", name="Edit or test").click()
    camera.take("form")
    page.get_by_role("button", name="Test connection").click()
    page.get_by_text("The connection does not work yet.").wait_for()
    camera.take("dialog")


if __name__ == "__main__":
    sys.exit(main())
