"""The story of an integration: by kind, level and time, and as a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.console import Console, create_mqtt
from tests.platform import Platform

TOLD = [
    ("session.failed", "error", "The broker refuses the password.", "now() - interval '3 hours'"),
    ("session.ended", "info", "=1+1 messages were read.", "now()"),
    ("device.created", "info", "pump-1 is new.", "now()"),
]


@pytest.fixture
def broker(admin: Platform) -> str:
    created = create_mqtt(admin)["id"]
    with admin.stack.connect() as connection:
        connection.execute("delete from integration_activity where integration_id = %s", (created,))
        for kind, level, message, at in TOLD:
            connection.execute(
                "insert into integration_activity (organization_id, integration_id, kind, level, message,"
                f" created_at) values (%s, %s, %s, %s, %s, {at})",
                (admin.user.organization_id, created, kind, level, message),
            )
    return str(created)


def open_story(console: Console, broker: str) -> None:
    console.open(f"integrations/{broker}")
    console.page.get_by_role("tab", name="Activity").click()
    console.page.get_by_text("pump-1 is new.").wait_for()


def test_it_is_narrowed_by_kind_level_and_time(console: Console, broker: str) -> None:
    open_story(console, broker)
    refused, read = console.page.get_by_text("refuses the password"), console.page.get_by_text("were read")

    console.page.get_by_label("Kind").select_option("session.ended")
    refused.wait_for(state="detached")
    assert read.count() == 1
    console.page.get_by_label("Kind").select_option(label="All kinds")
    console.page.get_by_label("Level").select_option("error")
    read.wait_for(state="detached")
    refused.wait_for()
    console.page.get_by_label("Range").select_option("hour")
    console.page.get_by_text("Nothing has happened yet").wait_for()
    assert console.page.get_by_label("Kind").locator("option").all_inner_texts() == [
        "All kinds",
        *sorted(kind for kind, *_ in TOLD),
    ]


def test_what_is_in_sight_is_saved_as_a_file_without_formulas(
    console: Console, broker: str, tmp_path: Path
) -> None:
    open_story(console, broker)
    console.page.get_by_label("Level").select_option("info")
    console.page.get_by_text("refuses the password").wait_for(state="detached")
    with console.page.expect_download() as caught:
        console.button("Save as CSV").click()
    caught.value.save_as(tmp_path / "activity.csv")

    assert caught.value.suggested_filename == "activity.csv"
    lines = (tmp_path / "activity.csv").read_text().splitlines()
    assert len(lines) == 3
    assert any("'=1+1 messages" in line for line in lines)
    assert not any("password" in line for line in lines)
