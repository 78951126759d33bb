"""The console as somebody sees it who has signed in, and what a page must not do while they look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from scripts.local.seed import User
from tests.platform import Platform
from tests.stack import Stack

pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-browser.txt)")

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page

PATIENCE_MS = 30_000
REFUSED = "Failed to load resource"
"""What the browser itself says of every answer from 400 on; tests that want none look at what is shown."""

WATCHING = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => {
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`)
});
"""
EVERYTHING = """
() => {
  const inner = (root) => [...root.querySelectorAll('*')].filter((each) => each.shadowRoot);
  const read = (root) => root.innerHTML + inner(root).map((each) => read(each.shadowRoot)).join('');
  const stored = JSON.stringify([{ ...localStorage }, { ...sessionStorage }]);
  return read(document.documentElement) + stored + location.href;
}
"""


@dataclass
class Console:
    """One tab; `said` is what its scripts complained of."""

    stack: Stack
    page: Page
    user: User | None
    said: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"{self.stack.url}/functions/v1/console"

    def open(self, screen: str = "") -> None:
        """A screen by the part of the address after #/."""
        self.page.goto(f"{self.address}#/{screen}")

    def see(self, name: str) -> Locator:
        """The first element of ours with this name."""
        return self.page.locator(name).first

    def button(self, name: str, **more: Any) -> Locator:
        """A button by what it says."""
        return self.page.get_by_role("button", name=name, **more)

    def place(self, name: str) -> Locator:
        """A field of the dialog with all that belongs to it; its group is opened where it is closed."""
        place = self.dialog.locator(f'[data-field="{name}"]').first
        place.wait_for(state="attached")
        group = self.dialog.locator(f'details:not([open]):has([data-field="{name}"]) > summary')
        if group.count():
            group.first.click()
        return place

    def field(self, name: str) -> Locator:
        """The control of a field of the dialog."""
        return self.place(name).locator("input:not([type=file]), select, textarea").first

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.locator("device-integration-dialog dialog")

    def add(self, kind: str) -> None:
        """The empty form for a new integration."""
        self.open("integrations")
        self.button("Add integration").first.click()
        self.dialog.locator(f'[data-type="{kind}"]').click()

    def edit(self, integration_id: str) -> None:
        """The form of a saved one."""
        self.open(f"integrations/{integration_id}")
        self.button("Edit or test").click()
        self.dialog.locator("form").wait_for()

    def save(self) -> None:
        """Presses Save."""
        self.dialog.get_by_role("button", name="Save", exact=True).click()

    def read_everything(self) -> str:
        """All markup, that of shadow roots too, what is stored, and the address."""
        return str(self.page.evaluate(EVERYTHING))

    def check_clean(self) -> None:
        """No script has failed, and nothing was against the content security policy."""
        assert self.page.evaluate("window.violations ?? []") == []
        assert self.said == []

    def hear(self, message: ConsoleMessage) -> None:
        """Keeps what scripts complain of."""
        if message.type in {"error", "warning"} and not message.text.startswith(REFUSED):
            self.said.append(message.text)


@contextmanager
def open_console(browser: Browser, stack: Stack, user: User | None, **options: Any) -> Iterator[Console]:
    """A tab of a context of its own, signed in as the user; it has to be clean at the end."""
    context = browser.new_context(
        **{"viewport": {"width": 1200, "height": 900}, "locale": "en-US", "reduced_motion": "reduce"}
        | options
    )
    context.set_default_timeout(PATIENCE_MS)
    if user:
        sign_in(context, stack, user)
    context.add_init_script(WATCHING)
    console = Console(stack, context.new_page(), user)
    console.page.on("console", console.hear)
    console.page.on(
        "pageerror", lambda error: console.said.append(f"{error.name}: {error.message} {error.stack}")
    )
    try:
        yield console
        console.check_clean()
    finally:
        context.close()


def sign_in(context: BrowserContext, stack: Stack, user: User) -> None:
    """Every page of the context begins with a session of the user's."""
    session = json.dumps(json.dumps(stack.sign_in(user)))
    context.add_init_script(
        f"sessionStorage.getItem('di-session') ?? sessionStorage.setItem('di-session', {session})"
    )


def create_mqtt(admin: Platform, name: str = "Broker", **config: Any) -> dict[str, Any]:
    """A broker's integration that is switched off: no worker looks at it."""
    given = {"broker_url": "mqtt://127.0.0.1:1", "topics": ["devices/+/telemetry"]} | config
    return admin.create("mqtt", given, name=name, status="inactive")
