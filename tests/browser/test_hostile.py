"""What nobody means well: names, answers and values that a page of less care breaks on."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser
from psycopg.types.json import Jsonb

from tests.browser.console import Console, create_mqtt, open_console
from tests.browser.estate import SCREENS
from tests.platform import Platform
from tests.stack import Stack

LONG = "W" * 200
TURNED = "\u202egnp.exe\u202e pump"
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 20
ERROR = f"{'x' * 1000} \u202e</p><script>hurt()</script> {'y' * 900}"
NAMES = (LONG, TURNED, FAMILY, "\u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0639\u0631\u0628\u064a\u0629 1")


def make_hostile(admin: Platform) -> tuple[list[str], str]:
    """Integrations, devices, messages and alerts under such names; the integrations and one device."""
    made = [create_mqtt(admin, name)["id"] for name in NAMES]
    values: dict[str, Any] = {"a": {str(n): n for n in range(2_000)}, "big": 1e308, "deep": [[[1]]], "": 5}
    with admin.stack.connect() as connection:
        for number, name in enumerate(NAMES):
            messages = [
                {
                    "event_id": f"{number}-{at}",
                    "device": name,
                    "kind": "telemetry",
                    "payload": values | {"big": at * 1e308},
                }
                for at in (-1, 0, 1)
            ] + [
                {"event_id": f"{number}-x", "device": name, "kind": "telemetry", "raw": ERROR, "error": ERROR}
            ]
            connection.execute("select ingest_messages(%s, %s)", (made[number], Jsonb(messages)))
            connection.execute(
                "update device_integrations set error_message = %s where id = %s",
                (ERROR[:2000], made[number]),
            )
            connection.execute(
                "select private.raise_alert(%s, 'test', 'error', %s, '{}')", (made[number], ERROR[:2000])
            )
        row = connection.execute("select id::text from devices where external_id = %s", (LONG,)).fetchone()
    assert row
    return made, row[0]


def test_names_of_any_length_script_and_direction_fit_on_a_small_screen(
    console: Console, admin: Platform
) -> None:
    integrations, device = make_hostile(admin)
    console.page.set_viewport_size({"width": 320, "height": 800})
    places = [*SCREENS, f"devices/{device}", *(f"integrations/{each}" for each in integrations[:2])]
    for screen in places:
        console.open(screen)
        console.page.wait_for_load_state("networkidle")
        console.page.get_by_text("Loading …").first.wait_for(state="detached")
        width, inside = console.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= inside, screen
    console.edit(integrations[0])
    assert console.field("name").input_value() == LONG
    console.dialog.get_by_role("button", name="Delete …").click()
    wide, inside = console.dialog.evaluate("(each) => [each.scrollWidth, each.clientWidth]")
    assert wide <= inside


def test_what_a_screen_can_not_show_is_said_and_asked_for_again(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin)
    with admin.stack.connect() as connection:
        message = {"event_id": "1", "device": "pump", "kind": "telemetry", "payload": {"a": 1}}
        connection.execute("select ingest_messages(%s, %s)", (saved["id"], Jsonb([message])))
    is_hostile = True

    def stand_in(route: Any) -> None:
        rows = (
            route.fetch().json() if not is_hostile else [{"id": "x", "name": "pump", "last_seen_at": "soon"}]
        )
        route.fulfill(json=rows, headers={"Content-Range": "0-0/1", "Access-Control-Expose-Headers": "*"})

    console.page.route("**/rest/v1/devices?*", stand_in)
    console.open("devices")
    console.page.get_by_text("The devices could not be read.").wait_for()
    is_hostile = False

    console.button("pump").wait_for()
    assert console.page.get_by_text("The devices could not be read.").count() == 0


ANSWERS = {
    "a page of a proxy": {"status": 502, "content_type": "text/html", "body": "<html><b>Bad Gateway</b>"},
    "nothing": {"status": 500, "body": ""},
    "a page that claims to be well": {"status": 200, "content_type": "text/html", "body": "<html>Sign in"},
    "JSON of somebody else": {"status": 200, "content_type": "application/json", "body": "null"},
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_a_function_answers_is_said_and_the_next_answer_counts(
    console: Console, admin: Platform, answer: str
) -> None:
    create_mqtt(admin, "Hall 2")
    failing = True

    def stand_in(route: Any) -> None:
        route.fulfill(**ANSWERS[answer]) if failing else route.fallback()

    console.page.route("**/functions/v1/integrations*", stand_in)
    for screen in ("integrations", ""):
        console.open(screen)
        alert = console.page.locator(".notes .summary").first
        alert.get_by_role("button", name="Try again").wait_for()
        assert "<" not in alert.inner_text()
    failing = False

    console.button("Hall 2").wait_for()


def test_a_session_that_ends_is_said_on_screens_that_only_read_tables(
    console: Console, admin: Platform
) -> None:
    create_mqtt(admin, "Hall 2")
    ended = {"code": "PGRST303", "message": "JWT expired", "details": None, "hint": None}
    is_over = False

    def stand_in(route: Any) -> None:
        route.fulfill(status=401, json=ended) if is_over else route.fallback()

    console.page.route("**/rest/v1/**", stand_in)
    console.open("devices")
    console.page.get_by_text("No devices yet").wait_for()
    is_over = True
    again = console.page.get_by_role("dialog", name="Sign in")
    again.wait_for()
    is_over = False
    again.get_by_label("Email").fill(admin.user.email)
    again.get_by_label("Password").fill(admin.user.password)
    again.get_by_role("button", name="Sign in").click()

    again.wait_for(state="detached")
    console.page.get_by_text("Your session has ended.").wait_for(state="detached")


def test_an_organization_of_a_hostile_name_is_chosen_like_any_other(
    browser: Browser, stack: Stack, admin: Platform
) -> None:
    with stack.connect() as connection:
        before = connection.execute(
            "select name from organizations where id = %s", (admin.user.organization_id,)
        ).fetchone()
        connection.execute(
            "update organizations set name = %s where id = %s",
            (f"<b>{LONG}"[:200], admin.user.organization_id),
        )
    try:
        with open_console(browser, stack, admin.user, viewport={"width": 320, "height": 800}) as opened:
            opened.open("members")
            opened.page.get_by_text(admin.user.email).wait_for()
            width, inside = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    finally:
        with stack.connect() as connection:
            connection.execute(
                "update organizations set name = %s where id = %s",
                (before and before[0], admin.user.organization_id),
            )

    assert width <= inside
