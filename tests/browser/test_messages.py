"""What could not be decoded: why, and how it is decoded once the config is mended."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from tests.browser.console import Console, create_mqtt
from tests.platform import Platform
from tests.waiting import wait_until


def test_what_failed_is_decoded_anew_once_the_path_is_mended(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin, payload_format="custom", telemetry_path="values", timestamp_path="at")
    messages = [
        {
            "event_id": f"{number}",
            "topic": "devices/pump/telemetry",
            "error": "Nothing is at telemetry_path 'values'.",
            "payload": {name: {"temperature": number}, "at": "2026-01-01T00:00:00Z"},
        }
        for number, name in enumerate(["readings", "readings", "elsewhere"])
    ]
    with admin.stack.connect() as connection:
        connection.execute("select ingest_messages(%s, %s)", (saved["id"], Jsonb(messages)))
    console.edit(saved["id"])
    console.field("telemetry_path").fill("readings")
    console.save()
    console.dialog.wait_for(state="detached")
    console.page.get_by_role("tab", name="Messages").click()
    console.page.get_by_label("Only failed").check()
    failed = console.page.locator("integration-messages tbody tr")
    console.page.get_by_text("Nothing is at telemetry_path 'values'.").first.wait_for()
    wait_until(lambda: failed.count() == 3, "not all that failed is shown")
    console.button("Decode again").click()

    console.page.get_by_text("2 are stored now, 1 still fail.").wait_for()
    failed.get_by_text("elsewhere").wait_for()
    wait_until(lambda: failed.count() == 1, "what is stored now is still among what failed")


LONG_AGO = """
    insert into integration_metrics (integration_id, organization_id, minute, received, stored, duplicates, failed)
    select id, organization_id, date_trunc('hour', now()) - at * interval '1 hour', 60, 50, 6, 4
      from device_integrations, unnest(array[2, 20, 100]) at
     where id = %s
"""


def test_a_longer_time_has_more_messages_in_the_chart_and_in_its_table(
    console: Console, admin: Platform
) -> None:
    saved = create_mqtt(admin)
    with admin.stack.connect() as connection:
        connection.execute(LONG_AGO, (saved["id"],))
    console.open(f"integrations/{saved['id']}")
    chart = console.page.locator("integration-chart")
    chart.get_by_text("No messages in this time.").wait_for()

    for span, stored in (("24 hours", 100), ("7 days", 150)):
        chart.get_by_role("button", name=span).click()
        chart.get_by_text(f"Stored: {stored}").wait_for()
        assert f"Stored: {stored}, Duplicates: {stored // 50 * 6}" in (
            chart.get_by_role("img").get_attribute("aria-label") or ""
        )
        assert chart.get_by_role("button", name=span).get_attribute("aria-pressed") == "true"
    if not chart.get_by_role("table").is_visible():
        chart.get_by_text("Show as table").click()
    assert chart.get_by_role("row").count() == 4
    assert chart.locator("rect.failed").count() == 3
    chart.get_by_role("button", name="1 hour").click()
    chart.get_by_text("No messages in this time.").wait_for()
