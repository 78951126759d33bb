"""People are told once, whoever is killed between a message that was taken and the record of it."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.end_to_end.notices.telling import Telling
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.fakes.slack import FakeSlack
from tests.fakes.twilio import NUMBER, SID, TOKEN, FakeTwilio
from tests.seeds import SEEDS
from tests.waiting import wait_until

PEOPLE, ALERTS = 6, 8
KINDS = (
    "webhook.failing",
    "webhook.gone",
    "webhook.disabled",
    "config.invalid",
    "broker.overflowed",
    "clock.skewed",
)
OPEN = "select count(*) from webhook_deliveries where recipient is not null and status in ('pending', 'delivering')"


def subscribe(telling: Telling, twilio: FakeTwilio, slack: FakeSlack) -> None:
    people = [
        {
            "name": f"P{n}",
            "to": f"+4917012345{n:02d}",
            "by": "voice" if n == 0 else "sms",
            "rate_limit_per_hour": 1000,
        }
        for n in range(PEOPLE)
    ]
    config = {"account_sid": SID, "auth_token": TOKEN, "from_number": NUMBER, "base_url": twilio.base_url}
    often = {"retry_schedule": [0.1] * 20, "digest_after": 100}
    telling.admin.create("twilio", config | {"recipients": people, "max_length": 1600} | often)
    channel = {"recipients": [{"name": "C", "to": "C0123456789", "rate_limit_per_hour": 1000}]}
    telling.admin.create("slack", {"bot_token": SLACK_TOKEN, "base_url": slack.base_url} | channel | often)


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_told_twice_and_nothing_is_lost_whoever_is_killed(
    telling: Telling, start_worker: Callable[[], subprocess.Popen[bytes]], seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes a failure repeatable

    def linger() -> float:
        return chance.uniform(0.0, 0.15)

    with FakeTwilio() as twilio, FakeSlack() as slack:
        twilio.delay = linger
        slack.hang, slack.seconds = 10_000, 0.05
        subscribe(telling, twilio, slack)
        for number in range(ALERTS):
            telling.raise_alert(telling.make_source(), KINDS[number % len(KINDS)])
        worker = start_worker()
        for _ in range(6):
            before = count_told(twilio, slack)
            wait_until(lambda: count_told(twilio, slack) > before or is_done(telling), "nobody is told")  # noqa: B023
            time.sleep(chance.uniform(0.0, 0.1))
            worker.kill()
            worker.wait()
            telling.run("update webhook_deliveries set due_at = now() where status = 'delivering'")
            worker = start_worker()
        wait_until(lambda: is_done(telling), "not everybody is told")

    statuses = dict(
        telling.run("select status, count(*) from webhook_deliveries where recipient is not null group by 1")
    )
    assert statuses == {"delivered": (PEOPLE + 1) * ALERTS}
    texts = [
        (made["to"], (made["form"].get("Body") or made["form"]["Twiml"])[0])
        for made in (*twilio.messages, *twilio.calls)
    ]
    texts += [(channel, post["text"]) for (channel, _), post in slack.posts.items()]
    names = telling.run("select name from device_integrations where integration_type = 'mqtt'")
    told = Counter((to, name) for to, text in texts for (name,) in names for _ in range(once(text, name)))
    missing = [
        (to, name, [t for p, t in texts if p == to])
        for to in {to for to, _ in texts}
        for (name,) in names
        if not told[to, name]
    ]
    assert missing == []
    assert len(told) == (PEOPLE + 1) * ALERTS
    assert set(told.values()) == {1}


def once(text: str, name: str) -> int:
    """How often a message tells of it; a call says everything twice."""
    return text.count(name) // (2 if text.startswith("<Response>") else 1)


def count_told(twilio: FakeTwilio, slack: FakeSlack) -> int:
    return len(twilio.messages) + len(twilio.calls) + len(slack.posts)


def is_done(telling: Telling) -> bool:
    return telling.run(OPEN) == [(0,)]
