"""What is shown stays fresh without Realtime and with it, says so when it is not, and is not redrawn under a hand."""

from __future__ import annotations

from tests.browser.console import Console, create_mqtt
from tests.platform import Platform
from tests.waiting import wait_until

CHANNEL = """
window.channels = [];
window.makeChannel = () => {
  const channel = {
    on: (kind, _, listener) => {
      (channel[kind] ??= []).push(listener);
      return channel;
    },
    subscribe: (told) => {
      window.channels.push(channel);
      told(window.firstStatus ?? 'SUBSCRIBED');
      return channel;
    },
  };
  return channel;
};
"""
WITH_REALTIME = """
async (organization) => {
  const own = (name) => import(document.querySelector('script[type=module]').src.replace('page.js', name));
  const { createClient } = await own('client.js');
  await own('elements/index.js');
  const { supabaseUrl, anonKey } = document.querySelector('meta[name=di-config]').dataset;
  const client = { ...createClient(supabaseUrl, anonKey), channel: window.makeChannel, removeChannel: () => {} };
  const element = document.createElement('device-integrations');
  element.client = client;
  element.setAttribute('organization-id', organization);
  document.getElementById('main').replaceChildren(element);
}
"""


HIDE = """
([hidden]) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event('visibilitychange'));
}
"""


def count_lists(console: Console) -> list[str]:
    asked: list[str] = []
    console.page.on(
        "request",
        lambda request: asked.append(request.url) if "/functions/v1/integrations?" in request.url else None,
    )
    return asked


def test_a_change_of_somebody_else_appears_by_itself(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin)
    console.open("integrations")
    console.button("Broker").wait_for()
    admin.call("PATCH", f"/integrations/{saved['id']}", json={"name": "Renamed"})

    console.button("Renamed").wait_for(timeout=20_000)


def test_a_server_that_is_away_is_said_and_what_was_shown_stays(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    console.open("integrations")
    console.button("Broker").wait_for()
    console.page.context.set_offline(True)
    console.page.get_by_text("Not fresh: the last answer is").wait_for()
    assert console.button("Broker").is_visible()

    console.page.context.set_offline(False)
    console.page.get_by_text("Not fresh: the last answer is").wait_for(state="detached")
    console.said.clear()


def test_a_hidden_tab_asks_nothing_and_asks_at_once_when_it_is_seen_again(
    console: Console, admin: Platform
) -> None:
    create_mqtt(admin)
    console.page.clock.install()
    console.open("integrations")
    console.button("Broker").wait_for()
    console.page.evaluate(HIDE, [True])
    console.page.wait_for_load_state("networkidle")
    asked = count_lists(console)
    console.page.clock.run_for(60_000)
    assert asked == []

    console.page.evaluate(HIDE, [False])
    wait_until(lambda: console.page.evaluate("1") and asked, "it did not ask when it was seen again")


def test_a_burst_of_changes_is_one_question(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    console.page.add_init_script(CHANNEL)
    console.open("members")
    console.page.locator("organization-members").wait_for()
    console.page.evaluate(WITH_REALTIME, admin.user.organization_id)
    console.button("Broker").wait_for()
    console.page.wait_for_function("window.channels[0]")
    console.page.evaluate("window.channels[0].system.forEach((tell) => tell({ status: 'ok' }))")
    asked = count_lists(console)
    console.page.evaluate(
        "for (let change = 0; change < 1000; change++) window.channels[0].postgres_changes[0]({})"
    )
    wait_until(lambda: console.page.evaluate("1") and asked, "it did not ask")
    console.page.wait_for_load_state("networkidle")

    assert 1 <= len(asked) <= 2


def test_changes_that_never_end_do_not_put_off_the_question(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    console.page.add_init_script(CHANNEL)
    console.open("members")
    console.page.locator("organization-members").wait_for()
    console.page.evaluate(WITH_REALTIME, admin.user.organization_id)
    console.button("Broker").wait_for()
    console.page.wait_for_function("window.channels[0]")
    console.page.evaluate("window.channels[0].system.forEach((tell) => tell({ status: 'ok' }))")
    asked = count_lists(console)
    console.page.evaluate("setInterval(() => window.channels[0].postgres_changes[0]({}), 50)")
    wait_until(lambda: console.page.evaluate("1") and len(asked) > 1, "it did not ask while changes came")


def test_a_channel_that_fails_leaves_it_asking_at_intervals(console: Console, admin: Platform) -> None:
    saved = create_mqtt(admin)
    console.page.add_init_script(CHANNEL + "window.firstStatus = 'CHANNEL_ERROR';")
    console.open("members")
    console.page.locator("organization-members").wait_for()
    console.page.evaluate(WITH_REALTIME, admin.user.organization_id)
    console.button("Broker").wait_for()
    admin.call("PATCH", f"/integrations/{saved['id']}", json={"name": "Renamed"})

    console.button("Renamed").wait_for(timeout=20_000)


def test_the_focus_and_what_is_typed_survive_being_refreshed(console: Console, admin: Platform) -> None:
    for number in range(21):
        create_mqtt(admin, f"Broker {number:02}")
    console.open("integrations")
    search = console.page.get_by_role("searchbox")
    search.fill("Broker 2")
    console.button("Broker 20").wait_for()
    admin.create(
        "mqtt", {"broker_url": "mqtt://127.0.0.1:1", "topics": ["a/+"]}, name="Broker 21", status="inactive"
    )
    console.button("Broker 21").wait_for()

    assert search.input_value() == "Broker 2"
    assert search.evaluate("each => each === each.getRootNode().activeElement")
    assert console.page.locator("tbody tr").count() == 2


def test_the_focus_returns_to_the_row_after_the_dialog(console: Console, admin: Platform) -> None:
    create_mqtt(admin)
    console.page.add_init_script(
        "document.addEventListener('di-open', (event) => event.stopImmediatePropagation(), true)"
    )
    console.open("integrations")
    row = console.button("Broker")
    row.focus()
    console.page.keyboard.press("Enter")
    console.dialog.locator("form").wait_for()
    console.page.keyboard.press("Escape")
    console.dialog.wait_for(state="detached")

    assert row.evaluate("each => each === each.getRootNode().activeElement")


def test_calls_at_the_same_time_renew_a_session_once(console: Console, admin: Platform) -> None:
    session = admin.stack.sign_in(admin.user) | {"expires_at": 1}
    renewed: list[str] = []
    console.page.on(
        "request",
        lambda request: renewed.append(request.url) if "grant_type=refresh_token" in request.url else None,
    )
    console.open()
    console.see("organization-start").wait_for()
    console.page.evaluate("session => sessionStorage.setItem('di-session', JSON.stringify(session))", session)
    console.page.reload()
    console.page.get_by_text("Last messages").wait_for()

    assert len(renewed) == 1
