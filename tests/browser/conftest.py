"""One browser for all tests of a process; a tab for each, signed in as an admin on a stack without integrations."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform
from tests.stack import Stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.console import Console


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window.

    Ends with the module: while it is there, a loop runs in this thread, in which asyncio can run no other.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def admin(stack: Stack) -> Platform:
    """An admin whose organization has nothing yet."""
    with stack.connect() as connection:
        for table in ("webhook_deliveries", "device_integrations", "device_messages", "devices", "codecs"):
            connection.execute(f"delete from {table}")
    return Platform(stack, stack.user("admin", 0))


@pytest.fixture
def console(browser: Browser, stack: Stack, admin: Platform) -> Iterator[Console]:
    """The admin's tab."""
    from tests.browser.console import open_console

    with open_console(browser, stack, admin.user) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """A webhook endpoint that answers 200."""
    with HttpReceiver() as started:
        yield started
