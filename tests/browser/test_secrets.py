"""Secrets: kept, replaced, removed, made and shown once; never in the page, its storage, its address or its console."""

from __future__ import annotations

from typing import Any

from tests.browser.console import Console, create_mqtt
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.platform import Platform
from tests.stack import Stack

CANARY = "canary-3f8e0b1d"


def read_sent(console: Console) -> Any:
    with console.page.expect_request(lambda request: request.method == "PATCH") as caught:
        console.save()
    console.dialog.wait_for(state="detached")
    return caught.value.post_data_json


def test_a_secret_that_is_not_touched_is_not_sent(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin, username="platform", password=CANARY)
    console.edit(saved["id"])
    place = console.dialog.locator('[data-field="password"]')
    place.get_by_text("Set. Nobody can read it").wait_for()
    console.field("username").fill("another")

    assert read_sent(console) == {"config": {"username": "another"}}


def test_a_secret_is_replaced_removed_and_both_are_undone(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin, username="platform", password=CANARY)
    console.edit(saved["id"])
    place = console.dialog.locator('[data-field="password"]')

    place.get_by_role("button", name="Replace").click()
    place.locator("input").fill("another")
    place.get_by_role("button", name="Keep the current one").click()
    place.get_by_role("button", name="Remove").click()
    place.get_by_text("Will be removed when you save.").wait_for()
    place.get_by_role("button", name="Undo").click()
    place.get_by_role("button", name="Replace").click()
    place.locator("input").fill("the new one")
    assert read_sent(console) == {"config": {"password": "the new one"}}

    console.edit(saved["id"])
    console.dialog.locator('[data-field="password"]').get_by_role("button", name="Remove").click()
    assert read_sent(console) == {"config": {"password": None}}


def test_a_typed_secret_is_in_no_markup_storage_address_or_console(console: Console, stack: Stack) -> None:
    said: list[str] = []
    console.page.on("console", lambda message: said.append(message.text))
    console.add("mqtt")
    for label, text in {
        "name": "Broker",
        "broker_url": stack.mqtt_url,
        "username": "u",
        "password": CANARY,
        "topics": "a/+",
    }.items():
        console.field(label).fill(text)
    console.dialog.get_by_role("button", name="Test connection").click()
    console.dialog.locator(".steps [role=status].is-good, .steps [role=status].is-bad").wait_for()
    during = console.read_everything()
    console.save()
    console.dialog.wait_for(state="detached")

    assert CANARY not in during + console.read_everything() + console.page.url + " ".join(said)


def test_a_made_secret_is_shown_once_and_can_not_be_closed_unseen(console: Console) -> None:
    console.add("webhook")
    console.field("name").fill("Endpoint")
    console.field("url").fill("https://hooks.example.com/devices")
    console.save()
    shown = console.dialog.locator("input.code[readonly]")
    shown.wait_for()
    secret = shown.input_value()
    for _ in range(3):
        console.page.keyboard.press("Escape")

    assert secret.startswith("whsec_")
    assert shown.is_visible()
    console.dialog.get_by_role("button", name="I have copied it").click()
    console.dialog.wait_for(state="detached")
    assert secret not in console.read_everything()


def test_a_rotated_secret_is_shown_once_too(console: Console, admin: Platform) -> None:
    saved = admin.create("webhook", {"url": "https://hooks.example.com/devices"}, status="inactive")
    console.open(f"integrations/{saved['id']}")
    console.button("Make a new one").click()
    console.dialog.locator("input.code[readonly]").wait_for()

    assert console.dialog.locator("input.code[readonly]").input_value().startswith("whsec_")
    console.dialog.get_by_role("button", name="I have copied it").click()


def test_the_test_of_an_edited_form_uses_the_stored_secret(
    console: Console, admin: Platform, receiver: HttpReceiver
) -> None:
    receiver.answer = lambda request: Answer(
        200 if request.headers.get("authorization") == f"Bearer {CANARY}" else 401
    )
    saved = admin.create("webhook", {"url": receiver.url, "bearer_token": CANARY}, status="inactive")
    console.edit(saved["id"])
    console.field("timeout_seconds").fill("7")
    console.dialog.get_by_role("button", name="Test connection").click()

    console.dialog.get_by_text("The connection works.").wait_for()
    assert (
        admin.call("GET", f"/integrations/{saved['id']}")
        .json()["integration"]["config"]
        .get("timeout_seconds")
        is None
    )
