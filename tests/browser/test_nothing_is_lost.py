"""Whatever is answered, or nothing is: what somebody has typed stays, passwords too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog

from tests.browser.console import Console, create_mqtt, open_console
from tests.browser.estate import build_estate
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform
from tests.stack import Stack

PASSWORD = "typed-once-and-kept"


def answer(status: int, **headers: str) -> dict[str, Any]:
    document = {
        "type": "about:blank",
        "title": "No",
        "status": status,
        "detail": "It was not to be.",
        "code": "made_up",
        "request_id": "r-1",
    }
    return {
        "status": status,
        "headers": {
            "Content-Type": "application/problem+json",
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Expose-Headers": "*",
        }
        | headers,
        "body": json.dumps(document),
    }


SAID = {
    401: "Your session has ended.",
    409: "It was not to be.",
    429: "Too many tries; again in",
    503: "It was not to be.",
    0: "The server does not answer.",
}


@pytest.mark.parametrize("status", SAID)
def test_what_was_typed_stays_and_is_saved_with_the_next_try(
    console: Console, stack: Stack, admin: Platform, status: int
) -> None:
    console.add("mqtt")
    typed = {
        "name": "Broker",
        "broker_url": stack.mqtt_url,
        "username": "platform",
        "password": PASSWORD,
        "topics": "a/+\nb/+",
    }
    for label, text in typed.items():
        console.field(label).fill(text)
    failing = True

    def stand_in(route: Any) -> None:
        if route.request.method != "POST" or not failing:
            route.fallback()
        elif status:
            route.fulfill(**answer(status, **({"Retry-After": "12"} if status == 429 else {})))
        else:
            route.abort()

    console.page.route("**/functions/v1/integrations", stand_in)
    console.save()
    console.dialog.get_by_role("alert").first.get_by_text(SAID[status]).first.wait_for()
    if status == 401:
        again = console.page.get_by_role("dialog", name="Sign in")
        again.get_by_label("Email").fill(admin.user.email)
        again.get_by_label("Password").fill(admin.user.password)
        again.get_by_role("button", name="Sign in").click()
        again.wait_for(state="detached")

    assert {label: console.field(label).input_value() for label in typed} == typed
    failing = False
    console.save()
    console.dialog.wait_for(state="detached")
    saved = admin.call("GET", "/integrations").json()["integrations"]
    assert [(each["name"], each["secrets"], each["config"]["topics"]) for each in saved] == [
        ("Broker", ["password"], ["a/+", "b/+"])
    ]


def test_a_refused_config_loses_nothing_either(console: Console) -> None:
    console.add("mqtt")
    console.field("name").fill("Broker")
    console.field("password").fill(PASSWORD)
    console.save()
    console.dialog.get_by_role("alert").first.get_by_text("need your attention").wait_for()

    assert (console.field("name").input_value(), console.field("password").input_value()) == (
        "Broker",
        PASSWORD,
    )


def test_too_many_tries_are_counted_down(console: Console) -> None:
    console.add("mqtt")
    console.field("name").fill("Broker")
    console.page.route(
        "**/functions/v1/integrations",
        lambda route: (
            route.fulfill(**answer(429, **{"Retry-After": "2"}))
            if route.request.method == "POST"
            else route.fallback()
        ),
    )
    console.save()

    console.dialog.get_by_text("You can try again now.").wait_for()


def test_a_name_that_is_taken_is_said_at_the_name(console: Console, stack: Stack, admin: Platform) -> None:
    create_mqtt(admin, "Broker")
    console.add("mqtt")
    for label, text in {"name": "Broker", "broker_url": stack.mqtt_url, "topics": "a/+"}.items():
        console.field(label).fill(text)
    console.save()

    console.dialog.locator('[data-field="name"] .wrong:visible').wait_for()
    assert console.field("broker_url").input_value() == stack.mqtt_url


def test_leaving_with_something_typed_asks_first(console: Console) -> None:
    console.add("mqtt")
    console.field("name").fill("Broker")
    console.page.keyboard.press("Escape")
    console.dialog.get_by_text("What you typed is not saved.").wait_for()
    console.dialog.get_by_role("button", name="Go on").click()
    assert console.field("name").input_value() == "Broker"

    console.page.keyboard.press("Escape")
    console.dialog.get_by_role("button", name="Throw it away").click()
    console.dialog.wait_for(state="detached")


def test_neither_reloading_nor_the_back_button_takes_what_was_typed(console: Console) -> None:
    asked: list[str] = []

    def stay(question: Dialog) -> None:
        asked.append(question.type)
        question.dismiss()

    console.page.on("dialog", stay)
    console.open("devices")
    console.add("mqtt")
    console.field("password").press_sequentially(PASSWORD)
    console.page.evaluate("setTimeout(() => location.reload())")
    console.dialog.get_by_text("What you typed is not saved.").wait_for()
    console.dialog.get_by_role("button", name="Go on").click()
    console.page.evaluate("history.back()")
    console.dialog.get_by_text("What you typed is not saved.").wait_for()
    console.page.evaluate("history.back()")

    assert asked == ["beforeunload"]
    assert console.field("password").input_value() == PASSWORD
    assert console.page.url.endswith("#/integrations")
    console.dialog.get_by_role("button", name="Throw it away").click()
    console.page.evaluate("history.back()")
    console.see("device-list").wait_for()


def test_a_command_half_written_is_not_thrown_away_unasked(
    console: Console, admin: Platform, receiver: HttpReceiver
) -> None:
    estate = build_estate(admin, receiver)
    answers = [False, True]
    console.page.on("dialog", lambda each: each.accept() if answers.pop(0) else each.dismiss())
    console.open(f"devices/{estate.device_id}")
    name = console.page.get_by_label("Command")
    name.fill("reboot")
    console.page.get_by_role("link", name="Alerts").click()
    assert (name.input_value(), console.page.url.endswith(estate.device_id)) == ("reboot", True)
    console.page.get_by_role("link", name="Alerts").click()
    console.see("integration-alerts").wait_for()

    assert answers == []


def test_signing_out_asks_before_it_throws_away_what_was_typed_and_leaves_nothing_behind(
    browser: Browser, admin: Platform, receiver: HttpReceiver
) -> None:
    estate = build_estate(admin, receiver)
    answers, asked = [False, True], []

    def decide(question: Dialog) -> None:
        asked.append(question.type)
        question.accept() if answers.pop(0) else question.dismiss()

    with open_console(browser, admin.stack, None) as console:
        console.page.on("dialog", decide)
        console.open()
        console.page.get_by_label("Email").fill(admin.user.email)
        console.page.get_by_label("Password").fill(admin.user.password)
        console.page.keyboard.press("Enter")
        console.see("organization-start").wait_for()
        console.open(f"devices/{estate.device_id}")
        name = console.page.get_by_label("Command")
        name.fill("reboot")
        console.button("Sign out").click()
        assert name.input_value() == "reboot"
        console.button("Sign out").click()
        console.page.get_by_label("Email").wait_for()

        # Once by us, and not once more by the browser.
        assert asked == ["confirm", "confirm"]
        assert console.page.evaluate("sessionStorage.length") == 0
        assert console.page.url.endswith("#/")


def test_what_is_no_number_and_what_is_too_long_is_said_and_neither_cut_nor_dropped(
    console: Console, admin: Platform
) -> None:
    saved = create_mqtt(admin, keepalive=90)
    console.edit(saved["id"])
    console.field("keepalive").clear()
    console.field("keepalive").press_sequentially("1e")
    console.field("name").fill("x" * 201)
    console.field("username").fill("u" * 5000)
    console.save()

    console.dialog.locator('[data-field="name"] .wrong:visible').wait_for()
    console.field("name").fill("Broker")
    console.save()
    console.dialog.locator('[data-field="keepalive"] .wrong:visible').wait_for()
    assert len(console.field("username").input_value()) == 5000
    config = admin.call("GET", f"/integrations/{saved['id']}").json()["integration"]["config"]
    assert config["keepalive"] == 90


def test_looking_at_what_deleting_means_keeps_what_was_typed(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin)
    console.edit(saved["id"])
    console.field("username").fill("platform")
    console.dialog.get_by_role("button", name="Delete …").click()
    console.dialog.get_by_role("button", name="Back").click()

    assert console.field("username").input_value() == "platform"


@pytest.mark.parametrize("choice", ["Show the saved version", "Save my changes over it"])
def test_a_change_of_somebody_else_is_said_and_neither_is_lost(
    console: Console, admin: Platform, choice: str
) -> None:
    saved = create_mqtt(admin)
    console.edit(saved["id"])
    console.field("username").fill("mine")
    admin.call("PATCH", f"/integrations/{saved['id']}", json={"config": {"keepalive": 90}})
    console.save()

    console.dialog.get_by_text("Your changes are still here.").wait_for()
    console.dialog.get_by_text("They changed: Keepalive.").wait_for()
    assert console.field("username").input_value() == "mine"
    console.dialog.get_by_role("button", name=choice).click()
    if choice.startswith("Save"):
        console.dialog.wait_for(state="detached")
        config = admin.call("GET", f"/integrations/{saved['id']}").json()["integration"]["config"]
        assert (config["username"], config["keepalive"]) == ("mine", 90)
    else:
        assert (console.field("username").input_value(), console.field("keepalive").input_value()) == (
            "",
            "90",
        )


def test_an_integration_is_deleted_once_its_name_is_typed(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin)
    console.edit(saved["id"])
    console.dialog.get_by_role("button", name="Delete …").click()
    console.dialog.get_by_role("button", name="Delete it").click()
    console.dialog.get_by_text("That is not its name.").wait_for()
    console.dialog.locator("input").fill("Broker")
    console.dialog.get_by_role("button", name="Delete it").click()

    console.page.get_by_text("No integrations yet").wait_for()
    assert admin.call("GET", "/integrations").json()["integrations"] == []
