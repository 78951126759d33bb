"""The dialog's form, for every provider alike: it is made of the JSON Schema of the catalogue alone."""

from __future__ import annotations

import pytest

from shared.provider.catalogue import find_provider, list_types
from tests.browser.console import Console, create_mqtt
from tests.browser.test_screens import judge
from tests.platform import Platform
from tests.stack import Stack
from tests.waiting import wait_until


@pytest.mark.parametrize("integration_type", list_types())
def test_every_field_of_every_provider_has_a_control_with_its_title_and_description(
    console: Console, integration_type: str
) -> None:
    schema = find_provider(integration_type).model_json_schema()

    console.add(integration_type)
    console.dialog.locator(".form").wait_for()

    for name, described in schema["properties"].items():
        place = console.dialog.locator(f'.form [data-field="{name}"]').first
        assert place.count() == 1, name
        assert place.locator("input, select, textarea, button").count() >= 1, name
        assert described["title"] in place.inner_text() or not place.is_visible(), name


def test_a_broker_is_connected_by_keyboard_alone(console: Console, stack: Stack, admin: Platform) -> None:
    console.open("integrations")
    console.button("Add integration").first.focus()
    press = console.page.keyboard.press

    press("Enter")
    console.dialog.locator(".card").first.wait_for()
    while (
        console.page.evaluate(
            "document.activeElement.shadowRoot.activeElement.shadowRoot.activeElement.dataset.type"
        )
        != "mqtt"
    ):
        press("Tab")
    press("Enter")
    console.dialog.locator("form").wait_for()
    console.page.keyboard.type("Typed broker")
    press("Tab")
    console.page.keyboard.type(stack.mqtt_url)
    for _ in range(20):
        press("Tab")
        if (
            console.page.evaluate(
                "document.activeElement.shadowRoot.activeElement.shadowRoot.activeElement.name"
            )
            == "topics"
        ):
            break
    console.page.keyboard.type("devices/+/telemetry")
    press("Control+Enter")
    console.button("Typed broker").wait_for()

    saved = admin.call("GET", "/integrations").json()["integrations"]
    assert [(each["name"], each["config"]["topics"]) for each in saved] == [
        ("Typed broker", ["devices/+/telemetry"])
    ]


def test_each_error_stands_at_its_field_and_the_first_one_has_the_focus(console: Console) -> None:
    console.add("mqtt")
    console.field("name").fill("Broker")
    console.field("topics").fill("devices/#/telemetry")
    console.field("session_seconds").fill("-5")
    console.dialog.locator('details:has([data-field="session_seconds"]) > summary').click()
    console.save()

    summary = console.dialog.get_by_role("alert").first
    summary.get_by_text("3 things need your attention").wait_for()
    for name in ("broker_url", "topics", "session_seconds"):
        place = console.dialog.locator(f'[data-field="{name}"]')
        assert place.locator("[aria-invalid=true]").count() == 1, name
        described = place.locator("[aria-invalid=true]").get_attribute("aria-describedby") or ""
        shown = [console.dialog.locator(f"#{each}") for each in described.split()]
        assert any("wrong" in (each.get_attribute("class") or "") and each.inner_text() for each in shown), (
            name
        )
        assert place.is_visible(), name
    assert console.dialog.locator('[data-field="broker_url"] input:focus').count() == 1


def test_a_link_of_the_summary_leads_to_its_field(console: Console) -> None:
    console.add("mqtt")
    console.save()
    console.dialog.get_by_role("alert").first.get_by_role("button", name="Topics").click()

    assert console.dialog.locator('[data-field="topics"] textarea:focus').count() == 1


def test_a_default_that_is_left_alone_is_not_sent_and_what_is_emptied_is_removed(
    console: Console, admin: Platform
) -> None:
    saved = create_mqtt(admin, keepalive=120, username="platform")

    console.edit(saved["id"])
    console.field("username").fill("")
    with console.page.expect_request(lambda request: request.method == "PATCH") as caught:
        console.save()

    assert caught.value.post_data_json == {"config": {"username": None}}
    console.dialog.wait_for(state="detached")
    assert (
        admin.call("GET", f"/integrations/{saved['id']}").json()["integration"]["config"]["keepalive"] == 120
    )


def test_a_field_appears_when_it_counts_and_stays_while_it_holds_a_value(console: Console) -> None:
    console.add("golioth")
    choice = console.field("webhook_authentication")
    user_name, header = console.place("webhook_username"), console.place("webhook_secret_header")
    assert (user_name.is_visible(), header.is_visible()) == (False, True)

    choice.select_option('"basic"')
    user_name.locator("input").fill("golioth")
    assert (user_name.is_visible(), header.is_visible()) == (True, False)

    choice.select_option("")
    assert user_name.is_visible()


def test_a_certificate_with_its_line_breaks_arrives_whole(console: Console, admin: Platform) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n"
    saved = create_mqtt(admin, broker_url="mqtts://127.0.0.1:1")

    console.edit(saved["id"])
    place = console.place("ca_certificate")
    place.locator("input[type=file]").set_input_files(
        {"name": "ca.pem", "mimeType": "text/plain", "buffer": pem.encode()}
    )
    text = place.locator("textarea")
    wait_until(lambda: text.input_value() == pem, "the file was not read")
    with console.page.expect_request(lambda request: request.method == "PATCH") as caught:
        console.save()

    assert caught.value.post_data_json == {"config": {"ca_certificate": pem}}


def test_those_who_are_told_are_added_changed_and_taken_away_one_by_one(
    console: Console, admin: Platform
) -> None:
    told = [{"name": "Night", "to": "night@example.com"}, {"name": "Day", "to": "day@example.com"}]
    server = {
        "server_url": "smtps://smtp.example.com",
        "from_address": "alerts@example.com",
        "recipients": told,
    }
    saved = admin.create("email", server, name="Mail", status="inactive")
    console.edit(saved["id"])
    people = console.place("recipients")
    people.get_by_role("button", name="Remove Recipients 1").click()
    people.get_by_label("Rate limit per hour").fill("3")
    people.get_by_role("button", name="Add another").click()
    people.get_by_label("Name").last.fill("Weekend")
    judge(console, "recipients")
    console.save()
    people.locator(".wrong:visible").first.wait_for()
    assert people.locator('[aria-invalid="true"]').get_attribute("name") == "to"
    people.locator('[data-field="to"] input').last.fill("weekend@example.com")
    with console.page.expect_request(lambda request: request.method == "PATCH") as caught:
        console.save()
    console.dialog.wait_for(state="detached")

    assert caught.value.post_data_json == {
        "config": {
            "recipients": [
                told[1] | {"rate_limit_per_hour": 3},
                {"name": "Weekend", "to": "weekend@example.com"},
            ]
        }
    }


def make_codec(admin: Platform, name: str) -> str:
    body = {"organization_id": admin.user.organization_id, "name": name, "kind": "cbor"}
    reply = admin.call("POST", "/integrations/codecs", json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["codec"]["id"])


@pytest.fixture
def codecs(admin: Platform) -> list[str]:
    return [make_codec(admin, name) for name in ("Meters", "Pumps")]


def test_a_codec_is_chosen_by_its_name(console: Console, admin: Platform, codecs: list[str]) -> None:
    console.add("http")
    console.field("name").fill("Hall")
    console.field("webhook_secret").fill("a-secret-of-16-characters")
    choice = console.field("codec")
    assert choice.locator("option").all_inner_texts() == ["Not set", "Meters", "Pumps"]
    choice.select_option(label="Pumps")
    console.save()
    console.dialog.wait_for(state="detached")

    (saved,) = admin.call("GET", "/integrations").json()["integrations"]
    assert saved["config"]["codec"] == codecs[1]
    console.open(f"integrations/{saved['id']}")
    console.page.locator("dd", has_text="Pumps").wait_for()


def test_what_is_stored_and_offered_no_more_stays_when_something_else_is_changed(
    console: Console, admin: Platform, codecs: list[str]
) -> None:
    config = {"webhook_secret": "a-secret-of-16-characters", "codec": codecs[0]}
    saved = admin.create("http", config, name="Hall")
    console.page.route("**/rest/v1/codecs?*", lambda route: route.fulfill(json=[]))
    console.edit(saved["id"])
    console.field("device_parameter").fill("unit")
    with console.page.expect_request(lambda request: request.method == "PATCH") as caught:
        console.save()

    assert caught.value.post_data_json == {"config": {"device_parameter": "unit"}}


def test_where_the_codecs_can_not_be_read_the_id_is_typed(
    console: Console, admin: Platform, codecs: list[str]
) -> None:
    console.page.route("**/rest/v1/codecs?*", lambda route: route.fulfill(status=502, body="<html>no</html>"))
    console.add("http")
    console.field("name").fill("Hall")
    console.field("webhook_secret").fill("a-secret-of-16-characters")
    console.field("codec").fill(codecs[0])
    console.save()
    console.dialog.wait_for(state="detached")

    assert [
        each["config"]["codec"] for each in admin.call("GET", "/integrations").json()["integrations"]
    ] == [codecs[0]]
