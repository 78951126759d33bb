"""Slack: posts by webhook and by bot, updates of what was posted, and nothing twice where that can be found out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.providers.slack import publish
from tests.end_to_end.notices.telling import Telling
from tests.fakes.slack import TOKEN, FakeSlack

CHANNEL = {"name": "Operations", "to": "C0123456789"}


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        yield fake


def subscribe(telling: Telling, slack: FakeSlack, **config: Any) -> str:
    base = {"bot_token": TOKEN, "base_url": slack.base_url, "recipients": [CHANNEL]}
    return str(telling.admin.create("slack", base | config)["id"])


def test_an_incoming_webhook_is_told_of_an_alert_and_of_its_end(telling: Telling, slack: FakeSlack) -> None:
    made = telling.admin.create("slack", {"webhook_url": slack.webhook_url})
    source = telling.make_source()
    telling.raise_alert(source)
    telling.work()
    telling.resolve_alerts(source)
    telling.work()

    assert made["config"]["webhook_origin"] == slack.webhook_url.partition("/services")[0]
    assert "secretpath" not in str(made)
    first, second = slack.hooked
    assert first["text"].startswith("[warning] mqtt ")
    assert first["blocks"][0]["text"]["text"].startswith(":warning: *mqtt ")
    assert second["text"].startswith("[resolved] mqtt ")


def test_a_bots_post_is_updated_when_its_alert_ends(telling: Telling, slack: FakeSlack) -> None:
    notifier = subscribe(telling, slack)
    source = telling.make_source()
    telling.raise_alert(source)
    telling.work()
    before = slack.texts("C0123456789")
    telling.resolve_alerts(source)
    telling.work()

    (after,) = slack.texts("C0123456789")
    assert before[0].startswith("[warning]")
    assert after.startswith("[resolved]")
    assert slack.updates == 1
    assert [row[1] for row in telling.show(notifier)] == ["delivered", "delivered"]


def lose_answer(telling: Telling, slack: FakeSlack) -> None:
    """A tick whose first post is taken and answered after it was given up."""
    slack.hang, slack.seconds = 1, 4.0
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(publish, "POST_SECONDS", 2.0)
        telling.work()


def test_a_post_whose_answer_was_lost_is_found_and_not_posted_again(
    telling: Telling, slack: FakeSlack
) -> None:
    notifier = subscribe(telling, slack)
    telling.raise_alert(telling.make_source())
    lose_answer(telling, slack)
    first = telling.show(notifier)
    telling.make_due()
    telling.work()

    assert [(status, (error or "")[:8]) for _, status, error in first] == [("pending", "timeout:")]
    assert [status for _, status, _ in telling.show(notifier)] == ["delivered"]
    assert len(slack.posts) == 1


def test_the_end_of_an_alert_whose_post_is_gone_is_posted_once_though_its_answer_was_lost(
    telling: Telling, slack: FakeSlack
) -> None:
    notifier = subscribe(telling, slack)
    source = telling.make_source()
    telling.raise_alert(source)
    telling.work()
    slack.posts.clear()
    telling.resolve_alerts(source)
    lose_answer(telling, slack)
    telling.make_due()
    telling.work()

    assert [status for _, status, _ in telling.show(notifier)] == ["delivered", "delivered"]
    (posted,) = slack.texts("C0123456789")
    assert posted.startswith("[resolved]")


def test_without_the_right_to_read_a_post_is_repeated_rather_than_lost(
    telling: Telling, slack: FakeSlack
) -> None:
    slack.can_read = False
    notifier = subscribe(telling, slack)
    telling.raise_alert(telling.make_source())
    lose_answer(telling, slack)
    telling.make_due()
    telling.work()

    assert [status for _, status, _ in telling.show(notifier)] == ["delivered"]
    assert len(slack.posts) == 2


@pytest.mark.parametrize(
    ("error", "kind"), [("is_archived", "notice.unreachable"), ("token_revoked", "notice.account")]
)
def test_what_is_refused_is_an_alert_and_others_are_told(
    telling: Telling, slack: FakeSlack, error: str, kind: str
) -> None:
    slack.errors["C0123456789"] = error
    notifier = subscribe(telling, slack, recipients=[CHANNEL, {"name": "Board", "to": "C9876543210"}])
    telling.raise_alert(telling.make_source())
    telling.work()

    assert len(slack.texts("C9876543210")) == 1
    shown = {name: status for name, status, _ in telling.show(notifier)}
    assert shown["Board"] == "delivered"
    if kind == "notice.unreachable":
        ((found, message),) = telling.list_alerts(notifier)
        assert (found, message) == (kind, "Not told: Operations. The channel is archived: choose another.")


def test_the_connection_test_says_whose_the_token_is_and_posts_where_it_is_asked_to(
    telling: Telling, slack: FakeSlack
) -> None:
    notifier = subscribe(telling, slack)
    plain = telling.admin.call("POST", f"/integrations/{notifier}/test").json()
    posted = telling.admin.call(
        "POST", f"/integrations/{notifier}/test", json={"config": {"test_recipient": "Operations"}}
    ).json()

    assert [(check["name"], check["ok"], check["detail"]) for check in plain["checks"]] == [
        ("token", True, "alerts in Acme")
    ]
    assert [(check["name"], check["ok"]) for check in posted["checks"]] == [
        ("token", True),
        ("message", True),
    ]
    assert len(slack.posts) == 1


def test_markup_in_what_is_told_is_text(telling: Telling, slack: FakeSlack) -> None:
    subscribe(telling, slack, text_template="<!channel> {{ payload.message }} & *more*")
    telling.raise_alert(telling.make_source())
    telling.work()

    assert slack.texts("C0123456789") == ["&lt;!channel&gt; It fails. &amp; *more*"]
