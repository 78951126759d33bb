"""How integrations are doing, and that silence does not look healthy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Browser

from tests.browser.console import Console, create_mqtt, open_console
from tests.platform import Platform
from tests.stack import Stack

REASON = "No message for 3 hours, and one came every minute before."


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


def judge(console: Console, health: dict[str, Any], scheduler: dict[str, Any]) -> None:
    """From now on the list answers with this too, as docs/api.md has it."""

    def add(route: Any) -> None:
        reply = route.fetch()
        body = reply.json()
        for each in body["integrations"]:
            each["health"] = health
        route.fulfill(response=reply, json=body | {"scheduler": scheduler})

    console.page.route("**/functions/v1/integrations?*", add)


def make_health(state: str, **fields: Any) -> dict[str, Any]:
    nothing = {"last_message_at": None, "last_delivered_at": None, "pending": 0, "dead": 0, "open_alerts": 0}
    return nothing | {"state": state, "reason": REASON, "since": ago(hours=3), "messages_24h": 1234} | fields


def test_what_is_silent_says_so_with_the_reason_and_since_when(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    health = make_health("silent", last_message_at=ago(hours=3), pending=12, dead=3)
    judge(console, health, {"state": "running", "last_seen_at": ago(seconds=5), "parts": {}})
    console.open("integrations")

    row = console.page.locator("tbody tr").first
    row.get_by_text("Silent").wait_for()
    shown = row.inner_text()
    for text in (REASON, "since 3 hours ago", "12 waiting · 3 given up", "1,234 in 24 h"):
        assert text in shown, text
    console.page.get_by_text("The scheduler is running.").wait_for()


def test_a_scheduler_that_nobody_has_seen_is_said_first(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    judge(console, make_health("failing"), {"state": "silent", "last_seen_at": ago(minutes=4.5), "parts": {}})
    console.open()

    console.page.get_by_text("Nothing has looked for 4 minutes.").wait_for()
    warned = console.page.get_by_text("Nothing has looked").bounding_box()
    listed = console.page.get_by_role("heading", name="Integrations", exact=True).bounding_box()
    assert warned
    assert listed
    assert warned["y"] < listed["y"]


def test_a_part_of_the_scheduler_that_does_not_work_is_named(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    parts = {"sessions": ago(seconds=5), "deliveries": ago(minutes=9)}
    judge(
        console,
        make_health("healthy"),
        {"state": "partial", "last_seen_at": parts["sessions"], "parts": parts},
    )
    console.open("integrations")

    console.page.get_by_text("A part of the scheduler is not at work: deliveries.").wait_for()
    assert REASON not in console.page.locator("tbody tr").first.inner_text()


def test_the_oldest_open_alert_is_above_a_hundred_that_are_over(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin)
    made = """
        insert into alerts (organization_id, integration_id, kind, level, message, created_at, resolved_at)
        select i.organization_id, i.id, a.kind, a.level, 'It is ' || a.kind, a.at, a.over
          from device_integrations i
         cross join (
           select 'old' as kind, 'error' as level, now() - interval '20 days' as at, null::timestamptz as over
            union all select 'new', 'warning', now(), null
            union all select 'over', 'error', now(), now() from generate_series(1, 150)) a
         where i.id = %s
    """
    with admin.stack.connect() as connection:
        connection.execute("delete from alerts")
        connection.execute(made, (saved["id"],))
    console.open("alerts")

    console.page.get_by_text("It is old").wait_for()
    shown = console.page.locator("integration-alerts li p").all_inner_texts()
    assert shown[:3] == ["It is old", "It is new", "It is over"]
    assert len(shown) == 100
    console.page.get_by_text("Only 100 are shown.").wait_for()


def test_a_member_takes_an_alert_on_and_everybody_sees_it(
    browser: Browser, stack: Stack, admin: Platform
) -> None:
    saved = create_mqtt(admin)
    with stack.connect() as connection:
        raised = "select private.raise_alert(%s, 'broker.queue', 'warning', 'The queue grows.', '{}')"
        connection.execute(raised, (saved["id"],))
    with open_console(browser, stack, stack.user("member", 0)) as member:
        member.open("alerts")
        member.button("I am on it").click()
        member.page.get_by_text("Everybody sees that somebody is on it.").wait_for()
    with open_console(browser, stack, stack.user("viewer", 0)) as viewer:
        viewer.open("alerts")
        viewer.page.get_by_text("somebody is on it, ").wait_for()
        assert viewer.button("I am on it").count() == 0
