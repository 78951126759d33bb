"""Codecs on the page: written, tried on what devices send, kept with fixtures, changed and deleted."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator

from tests.browser.console import Console, open_console
from tests.browser.test_screens import judge
from tests.platform import Platform
from tests.waiting import wait_until

HALVES = "function decodeUplink(input) {\r\n  return { data: { t: input.bytes[0] / 2 } };\r\n}"
THIRDS = HALVES.replace("/ 2", "/ 3").replace("\r\n", "\n")


def make_codec(admin: Platform, **more: Any) -> dict[str, Any]:
    body = {
        "organization_id": admin.user.organization_id,
        "name": "Halves",
        "kind": "javascript",
        "source": HALVES,
        "fixtures": [{"name": "room", "hex": "2b", "data": {"t": 21.5}}],
    } | more
    reply = admin.call("POST", "/integrations/codecs", json=body)
    assert reply.status_code == 201, reply.text
    return dict(reply.json()["codec"])


def read_codecs(admin: Platform) -> list[dict[str, Any]]:
    wanted = ("name", "kind", "source", "fixtures", "version")
    return [{name: row[name] for name in wanted} for row in admin.rows("codecs")]


def find_dialog(console: Console) -> Locator:
    return console.page.locator("codec-dialog dialog")


def press(console: Console, name: str) -> None:
    find_dialog(console).get_by_role("button", name=name, exact=True).click()


def field(console: Console, name: str) -> Locator:
    return (
        find_dialog(console)
        .locator(f'[data-field="{name}"]')
        .locator("input:not([type=file]), select, textarea")
    )


def open_codec(console: Console, name: str) -> None:
    console.open("codecs")
    console.button(name).click()
    field(console, "source").wait_for()


def test_a_decoder_is_pasted_tried_and_saved_with_what_it_made(console: Console, admin: Platform) -> None:
    console.open("codecs")
    console.page.get_by_text("No codecs yet").wait_for()
    console.button("Write a codec").click()
    field(console, "name").fill("Thirds")
    field(console, "kind").select_option(label="JavaScript")
    field(console, "source").fill(THIRDS)
    field(console, "bodies").fill('2a\n"zz"')
    press(console, "Try")
    find_dialog(console).get_by_text('"t": 14').wait_for()
    judge(console, "tried")
    find_dialog(console).get_by_role("button", name="Keep as a fixture").first.click()
    press(console, "Save")
    console.page.get_by_role("row", name="Thirds").wait_for()

    assert read_codecs(admin) == [
        {
            "name": "Thirds",
            "kind": "javascript",
            "source": THIRDS,
            "fixtures": [{"hex": "2a", "data": {"t": 14}}],
            "version": 1,
        }
    ]


def test_what_does_not_compile_or_decode_says_where(console: Console) -> None:
    console.open("codecs")
    console.button("Write a codec").click()
    press(console, "Try")
    find_dialog(console).get_by_text("Write what a device sends").wait_for()
    field(console, "kind").select_option(label="JavaScript")
    field(console, "source").fill("function decodeUplink(input) {\n  return {{;\n}")
    field(console, "bodies").fill("00")
    press(console, "Try")
    find_dialog(console).locator("li .wrong", has_text="line 2").wait_for()
    press(console, "Save")
    find_dialog(console).get_by_role("alert").get_by_text("Name").wait_for()


def test_a_change_that_breaks_a_fixture_is_refused_until_somebody_insists(
    console: Console, admin: Platform
) -> None:
    make_codec(admin)
    open_codec(console, "Halves")
    field(console, "source").fill(THIRDS)
    press(console, "Save")
    find_dialog(console).get_by_text('Its data is now {"t":').wait_for()
    assert read_codecs(admin)[0]["version"] == 1
    press(console, "Save although it breaks them")
    find_dialog(console).wait_for(state="detached")

    assert [(each["source"], each["version"]) for each in read_codecs(admin)] == [(THIRDS, 2)]


def test_only_what_was_changed_is_sent_and_what_was_typed_is_not_lost(
    console: Console, admin: Platform
) -> None:
    make_codec(admin)
    open_codec(console, "Halves")
    field(console, "name").fill("Half degrees")
    console.page.keyboard.press("Escape")
    find_dialog(console).get_by_text("What you typed is not saved.").wait_for()
    press(console, "Go on")
    with console.page.expect_request(lambda request: request.method == "PATCH") as caught:
        press(console, "Save")
    find_dialog(console).wait_for(state="detached")

    assert caught.value.post_data_json == {"name": "Half degrees"}
    assert read_codecs(admin)[0]["source"] == HALVES


def test_who_comes_second_sees_what_the_first_one_changed(console: Console, admin: Platform) -> None:
    saved = make_codec(admin)
    open_codec(console, "Halves")
    field(console, "name").fill("Mine")
    admin.call("PATCH", f"/integrations/codecs/{saved['id']}", json={"source": THIRDS, "force": True})
    press(console, "Save")
    find_dialog(console).get_by_text("They changed: Source.").wait_for()
    press(console, "Save my changes over it")
    find_dialog(console).wait_for(state="detached")

    assert [(each["name"], each["source"]) for each in read_codecs(admin)] == [("Mine", THIRDS)]


def test_one_in_use_is_named_with_what_uses_it_and_stays(console: Console, admin: Platform) -> None:
    codec = make_codec(admin)
    config = {"webhook_secret": "a-secret-of-16-characters", "codec": codec["id"]}
    hall = admin.create("http", config, name="Hall 3")
    console.open("codecs")
    console.page.get_by_role("row", name="Hall 3").wait_for()
    open_codec(console, "Halves")
    press(console, "Delete …")
    find_dialog(console).get_by_role("textbox").fill("Halves")
    press(console, "Delete it")
    find_dialog(console).get_by_role("alert").get_by_text("Hall 3").wait_for()
    judge(console, "in use")
    admin.call("DELETE", f"/integrations/{hall['id']}")
    press(console, "Delete it")
    console.page.get_by_text("No codecs yet").wait_for()

    assert read_codecs(admin) == []


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_others_read_and_change_nothing(console: Console, admin: Platform, role: str) -> None:
    make_codec(admin)
    browser = console.page.context.browser
    with open_console(browser, console.stack, console.stack.user(role, 0)) as opened:  # type: ignore[arg-type]
        opened.open("codecs")
        opened.button("Halves").click()
        source = field(opened, "source")
        wait_until(lambda: source.input_value() == HALVES.replace("\r\n", "\n"), "the source is not shown")
        assert source.is_disabled()
        assert opened.button("Save").count() == opened.button("Write a codec").count() == 0
        find_dialog(opened).get_by_role("button", name="Close").last.click()
        find_dialog(opened).wait_for(state="detached")


def test_markup_in_a_codec_stays_text(console: Console, admin: Platform) -> None:
    name = "<img src=x onerror=alert(1)>"
    source = "function decodeUplink() { return { data: { '</pre><script>': 1 }, warnings: ['<b>w</b>'] } }"
    make_codec(admin, name=name, source=source, fixtures=[{"text": "<i>"}])
    open_codec(console, name)
    field(console, "bodies").fill("<u>")
    press(console, "Try")
    find_dialog(console).get_by_text("<b>w</b>").wait_for()

    assert console.page.locator("codec-dialog :is(img, script, i, u)").count() == 0
