"""What a platform that manages devices itself brings: state, a sync that may be tried first, rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.console import Console
from tests.browser.test_screens import judge
from tests.fakes.golioth import FakeGolioth
from tests.fakes.golioth.devices import add_device as place_device
from tests.fakes.golioth.firmware import make_artifact, make_cohort
from tests.fakes.golioth_site import add_device, connect_golioth
from tests.platform import Platform, run_tick


def test_admins_see_what_the_platform_keeps_of_a_device(
    console: Console, admin: Platform, fake: FakeGolioth
) -> None:
    integration = connect_golioth(admin, fake)
    device = add_device(admin, integration, fake, desired={"led": "green"})
    console.open(f"devices/{device['id']}")

    console.page.get_by_text('"led": "green"').wait_for()


def test_a_dry_run_says_what_a_sync_would_do_and_does_nothing(
    console: Console, admin: Platform, fake: FakeGolioth
) -> None:
    integration = connect_golioth(admin, fake)
    place_device(fake, "pump-1")
    console.open(f"integrations/{integration['id']}")
    console.page.get_by_role("tab", name="Sync & conflicts").click()
    console.button("Dry run").click()
    console.page.get_by_text("It begins with the next tick, and changes nothing.").wait_for()
    run_tick(admin.stack)

    console.page.get_by_text("Nothing was changed: this is what would be done.").wait_for()
    console.page.get_by_text("created: 1").wait_for()
    assert admin.rows("devices") == []


def test_a_rollout_is_started_with_what_the_platform_has(
    console: Console, admin: Platform, fake: FakeGolioth
) -> None:
    integration = connect_golioth(admin, fake, golioth_organization_id=fake.organization_id)
    make_artifact(fake, "main", "1.4.0")
    make_cohort(fake, "Hall 2")
    console.open(f"integrations/{integration['id']}")
    console.page.get_by_role("tab", name="Firmware").click()
    console.page.get_by_text("No rollouts yet").wait_for()
    console.button("Start a rollout").click()
    console.page.get_by_label("Name").fill("Autumn")
    console.page.once("dialog", lambda each: each.dismiss())
    console.page.get_by_role("tab", name="Overview").click()
    console.page.get_by_label("Cohort").select_option(label="Hall 2")
    console.page.get_by_role("combobox", name="Firmware").select_option(label="main 1.4.0")
    judge(console, "a new rollout")
    console.button("Start", exact=True).click()

    console.page.get_by_text("It begins with the next tick.").wait_for()
    console.button("Autumn").wait_for()


@pytest.mark.parametrize(("press", "name"), [("Keep ours", "Here <b>"), ("Keep theirs", "There")])
def test_what_was_changed_on_both_sides_is_settled_by_somebody(
    console: Console, admin: Platform, fake: FakeGolioth, press: str, name: str
) -> None:
    integration = connect_golioth(admin, fake, sync_direction="both")
    remote = place_device(fake, "pump-1")
    sync(admin, integration)
    remote["name"] = "There"
    with admin.stack.connect() as connection:
        connection.execute("update devices set name = 'Here <b>'")
    sync(admin, integration)
    console.open(f"integrations/{integration['id']}")
    console.page.get_by_role("tab", name="Sync & conflicts").click()
    row = console.page.locator("device-sync tr", has_text="There")
    row.get_by_role("rowheader", name="Here <b>").wait_for()
    judge(console, "a conflict")
    row.get_by_role("button", name=press).click()

    console.page.get_by_text("The next sync carries it out.").wait_for()
    console.page.get_by_text("Nothing was changed on both sides.").wait_for()
    sync(admin, integration)
    assert ([each["name"] for each in admin.rows("devices")], remote["name"]) == ([name], name)


def sync(admin: Platform, integration: dict[str, Any]) -> None:
    """A whole one, now."""
    admin.call("POST", f"/integrations/{integration['id']}/jobs", json={"kind": "sync"})
    run_tick(admin.stack)
