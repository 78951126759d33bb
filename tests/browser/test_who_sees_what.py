"""Who may look, who may change, and that what devices and people write stays text."""

from __future__ import annotations

from playwright.sync_api import Browser
from psycopg.types.json import Jsonb

from tests.browser.console import Console, create_mqtt, open_console
from tests.platform import Platform
from tests.stack import Stack

MARKUP = '<img src=x onerror="window.hurt = true"><script>window.hurt = true</script>'


def test_a_viewer_sees_everything_and_can_change_nothing(
    browser: Browser, stack: Stack, admin: Platform
) -> None:
    saved = create_mqtt(admin)
    with open_console(browser, stack, stack.user("viewer", 0)) as console:
        console.open("integrations")
        console.button("Broker").wait_for()
        console.page.get_by_text("Only admins can change integrations.").wait_for()
        assert console.button("Add integration").count() == 0

        console.open(f"integrations/{saved['id']}")
        console.page.get_by_text("How it fares").wait_for()
        for name in ("Edit or test", "Switch off", "Switch on", "Make a new one"):
            assert console.button(name).count() == 0, name

        console.open("audit")
        console.page.get_by_text("Only admins can see this.").wait_for()


def test_another_organization_sees_nothing(browser: Browser, stack: Stack, admin: Platform) -> None:
    saved = create_mqtt(admin, "Secretive broker")
    with open_console(browser, stack, stack.user("admin", 1)) as console:
        console.open("integrations")
        console.page.get_by_text("No integrations yet").wait_for()
        console.open(f"integrations/{saved['id']}")
        console.page.locator("integration-overview .summary").first.wait_for()
        assert "Secretive" not in console.read_everything()


def test_who_belongs_nowhere_is_told_what_to_do(browser: Browser, stack: Stack) -> None:
    with open_console(browser, stack, stack.user("stranger")) as console:
        console.open()
        console.page.get_by_text("You belong to no organization yet.").wait_for()


def test_a_wrong_password_is_said_and_the_right_one_signs_in(
    browser: Browser, stack: Stack, admin: Platform
) -> None:
    with open_console(browser, stack, None) as console:
        console.open()
        console.page.get_by_label("Email").fill(admin.user.email)
        console.page.get_by_label("Password").fill("guessed")
        console.page.keyboard.press("Enter")
        console.page.get_by_text("Email or password is wrong.").wait_for()
        console.page.get_by_label("Password").fill(admin.user.password)
        console.page.keyboard.press("Enter")
        console.see("organization-start").wait_for()

        console.page.reload()
        console.see("organization-start").wait_for()
        console.button("Sign out").click()
        console.page.get_by_label("Email").wait_for()


def test_names_topics_and_payloads_with_markup_are_text(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin, MARKUP, topics=[f"a/{MARKUP.replace('/', '')}/+"])
    messages = [
        {
            "event_id": "1",
            "device": MARKUP,
            "kind": "telemetry",
            "topic": MARKUP,
            "payload": {MARKUP: MARKUP},
        },
        {"event_id": "2", "device": MARKUP, "kind": "telemetry", "raw": MARKUP, "error": MARKUP},
    ]
    with console.stack.connect() as connection:
        connection.execute("select ingest_messages(%s, %s)", (saved["id"], Jsonb(messages)))
        connection.execute("select private.raise_alert(%s, 'test', 'error', %s, '{}')", (saved["id"], MARKUP))
        device = connection.execute("select id from devices").fetchone()
    assert device

    for screen in (
        "",
        "integrations",
        f"integrations/{saved['id']}",
        "devices",
        f"devices/{device[0]}",
        "alerts",
        "audit",
    ):
        console.open(screen)
        console.page.get_by_text("onerror", exact=False).first.wait_for()
        assert console.page.locator("img").count() == 0, screen
    console.open(f"integrations/{saved['id']}")
    console.button("Edit or test").click()
    console.dialog.locator("form").wait_for()

    assert console.field("name").input_value() == MARKUP
    assert console.page.evaluate("window.hurt") is None


def test_html_can_not_be_parsed_at_all(console: Console) -> None:
    console.open()
    refused = console.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>no</b>' } catch (error) { return error.name } }"
    )

    assert refused == "TypeError"
    console.page.evaluate("window.violations = []")
    console.said.clear()
