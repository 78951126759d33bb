"""Every screen: for everybody, in the dark, on a small screen, in another language, in a page that means it badly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from shared.provider.catalogue import find_provider
from tests.browser.console import Console, open_console
from tests.browser.estate import SCREENS, TABS, Estate, build_estate
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform
from tests.waiting import wait_until

AXE = Axe()
INTERNATIONAL = {
    "name",
    "integration",
    "firmware",
    "rollouts",
    "screen_codecs",
    "codecs",
    "topic",
    "tab_firmware",
    "artifact",
    "role_admin",
    "inADay",
    "identifier",
}
TEXTS = """
() => {
  const read = (root) => [...root.querySelectorAll('*')].flatMap((each) => [
    ...[...each.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data.trim()),
    each.placeholder, each.ariaLabel, ...(each.shadowRoot ? read(each.shadowRoot) : []),
  ]);
  return read(document.body).filter(Boolean);
}
"""
LONG_WORD = 5
"""Shorter ones, such as kinds and names, are data too."""
EXPIRED = {"code": "PGRST301", "message": "JWT expired", "details": None, "hint": None}
CONTRAST = {"runOnly": ["color-contrast"]}


@pytest.fixture
def estate(admin: Platform, receiver: HttpReceiver) -> Estate:
    return build_estate(admin, receiver)


def settle(console: Console, loading: str = "Loading …") -> None:
    """Until nothing on the screen is still being read."""
    console.page.wait_for_load_state("networkidle")
    console.page.get_by_text(loading).first.wait_for(state="detached")


def list_screens(estate: Estate) -> list[str]:
    return [*SCREENS, f"devices/{estate.device_id}"]


def judge(console: Console, where: str) -> None:
    console.page.emulate_media(color_scheme="light")
    light = AXE.run(console.page)
    console.page.emulate_media(color_scheme="dark")
    dark = AXE.run(console.page, options=CONTRAST)
    for theme, results in (("light", light), ("dark", dark)):
        found = [
            (each["id"], node["html"], node["failureSummary"])
            for each in results.response["violations"]
            for node in each["nodes"]
        ]
        assert found == [], f"{where}, {theme}"


def test_axe_finds_nothing_on_any_screen_in_either_theme(console: Console, estate: Estate) -> None:
    for screen in list_screens(estate):
        console.open(screen)
        settle(console)
        judge(console, screen)
    for kind, tabs in TABS.items():
        console.open(f"integrations/{getattr(estate, kind)['id']}")
        for tab in tabs:
            console.page.get_by_role("tab", name=tab).click()
            settle(console)
            judge(console, f"{kind}: {tab}")


def test_axe_finds_nothing_in_the_dialog_with_errors_steps_and_a_question(console: Console) -> None:
    console.open("integrations")
    console.page.get_by_text("No integrations yet").wait_for()
    judge(console, "empty list")
    console.button("Add integration").first.click()
    console.dialog.locator(".card").first.wait_for()
    judge(console, "types")
    console.dialog.locator('[data-type="mqtt"]').click()
    console.save()
    console.dialog.get_by_role("alert").first.get_by_text("need your attention").wait_for()
    judge(console, "errors")
    console.field("broker_url").fill("mqtt://127.0.0.1:1")
    console.dialog.get_by_role("button", name="Test connection").click()
    console.dialog.locator(".steps [role=status].is-bad, .summary:visible").first.wait_for()
    console.page.keyboard.press("Escape")
    console.dialog.get_by_text("What you typed is not saved.").wait_for()
    judge(console, "question")


@pytest.mark.usefixtures("admin")
def test_axe_finds_nothing_where_there_is_nothing_yet(console: Console) -> None:
    for screen in SCREENS:
        console.open(screen)
        settle(console)
        judge(console, f"{screen} empty")


def test_axe_finds_nothing_from_a_secret_that_was_made_to_its_removal(
    console: Console, receiver: HttpReceiver
) -> None:
    console.add("webhook")
    console.field("name").fill("Endpoint")
    console.field("url").fill(receiver.url)
    console.save()
    console.button("I have copied it").wait_for()
    judge(console, "made")
    console.button("I have copied it").click()
    console.button("Send a test event").click()
    console.page.get_by_text("steps done").wait_for()
    judge(console, "first event")
    console.button("Endpoint").first.click()
    console.button("Edit or test").click()
    secret = console.place("signing_secret")
    for press in ("Replace", "Keep the current one"):
        judge(console, f"before {press}")
        secret.get_by_role("button", name=press).click()
    console.dialog.get_by_role("button", name="Delete …").click()
    console.dialog.get_by_role("button", name="Delete it").click()
    console.dialog.get_by_text("That is not its name.").wait_for()
    judge(console, "removal")


def test_axe_finds_nothing_where_somebody_signs_in(console: Console) -> None:
    with open_console(console.page.context.browser, console.stack, None) as outside:  # type: ignore[arg-type]
        outside.open()
        outside.page.get_by_label("Email").fill("nobody@example.com")
        outside.page.get_by_label("Password").fill("guessed")
        outside.page.keyboard.press("Enter")
        outside.page.get_by_text("Email or password is wrong.").wait_for()
        judge(outside, "sign in")
    console.open("alerts")
    console.page.get_by_text("No alerts").wait_for()
    console.page.route(
        "**/rest/v1/organization_members*", lambda route: route.fulfill(status=401, json=EXPIRED)
    )
    console.open("members")
    console.page.get_by_role("dialog", name="Sign in").wait_for()
    judge(console, "sign in again")


def test_axe_finds_nothing_where_nothing_can_be_read(console: Console) -> None:
    console.page.route(
        "**/rest/v1/**",
        lambda route: route.abort() if "organizations?" not in route.request.url else route.fallback(),
    )
    console.page.route("**/functions/v1/integrations*", lambda route: route.abort())
    for screen in SCREENS:
        console.open(screen)
        console.page.get_by_text("The server does not answer.").first.wait_for()
        judge(console, f"{screen} offline")


@pytest.mark.parametrize("text_size", [16, 32])
def test_nothing_is_wider_than_a_small_screen(console: Console, estate: Estate, text_size: int) -> None:
    console.page.set_viewport_size({"width": 320 if text_size == 16 else 640, "height": 800})
    places = [*list_screens(estate), *(f"integrations/{getattr(estate, kind)['id']}" for kind in TABS)]
    for screen in places:
        console.open(screen)
        console.page.evaluate("size => { document.documentElement.style.fontSize = `${size}px` }", text_size)
        settle(console)
        width, inside = console.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= inside, screen


def test_in_german_no_english_word_is_left(console: Console, admin: Platform, estate: Estate) -> None:
    english, german = (
        read_words(console, name) | read_words(console, f"{name}-more") for name in ("words", "words-de")
    )
    same = {key for key in english if english[key] == german.get(key)}
    assert set(english) - set(german) == set()
    assert same <= INTERNATIONAL

    of_types = {text for kind in TABS for text in list_texts(find_provider(kind).model_json_schema())}
    only_english = {
        text
        for key, text in english.items()
        if isinstance(text, str) and len(text) >= LONG_WORD and "{" not in text and text != german[key]
    } - of_types
    broker = estate.mqtt["id"]
    with open_console(console.page.context.browser, console.stack, admin.user, locale="de-DE") as opened:  # type: ignore[arg-type]
        for screen in (
            *list_screens(estate),
            f"integrations/{broker}",
            f"integrations/{estate.golioth['id']}",
        ):
            opened.open(screen)
            settle(opened, "Lädt …")
            check_german(opened, only_english, screen)
            for tab in opened.page.get_by_role("tab").all():
                tab.click()
                settle(opened, "Lädt …")
                check_german(opened, only_english, f"{screen} {tab.inner_text()}")
        opened.button("Bearbeiten oder testen").click()
        opened.dialog.locator("form").wait_for()
        check_german(opened, only_english, "dialog")
        assert opened.page.evaluate("document.documentElement.lang") == "de"


def list_texts(schema: Any) -> Iterator[str]:
    """What the server says of fields: titles, units, words for choices."""
    if isinstance(schema, str):
        yield schema
    elif isinstance(schema, dict | list):
        for each in schema.values() if isinstance(schema, dict) else schema:
            yield from list_texts(each)


def check_german(console: Console, english: set[str], where: str) -> None:
    """What the server says of types and fields is English, so only whole texts of ours count."""
    shown = set(console.page.evaluate(TEXTS))
    assert shown & english == set(), where


def read_words(console: Console, module: str) -> dict[str, object]:
    console.open()
    return dict(
        console.page.evaluate(
            "(module) => import(`./console/elements/${module}.js`).then(({ words }) => words)", module
        )
    )


@pytest.mark.usefixtures("estate")
def test_the_page_is_found_with_and_without_a_slash(console: Console) -> None:
    for address in (console.address, f"{console.address}/", f"{console.address}/index.html"):
        console.page.goto(address)
        console.button("Hall 2").first.wait_for()


@pytest.mark.usefixtures("estate")
def test_the_badge_counts_alerts_and_says_them_once(console: Console) -> None:
    console.open()

    count = console.page.locator("nav .count")
    wait_until(lambda: count.inner_text() == "2", "not both were counted")
    said = console.page.locator("#said")
    wait_until(lambda: said.inner_text() == "2 alerts are open.", "it was not said")
