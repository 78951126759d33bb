"""Whatever is told, to whom, and whatever goes wrong: no log has a number, an address or a word of it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time

import httpx

from scripts.local.stack import ROOT
from tests.end_to_end.notices.telling import Telling
from tests.fakes.slack import TOKEN as SLACK_TOKEN
from tests.fakes.slack import FakeSlack
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import NUMBER, SID, TOKEN, FakeTwilio

NUMBERS = ("+4917099988801", "+4917099988802", "+4917099988803", "+4917099988804")
ADDRESSES = ("ada@canary-mail.test", "bob@canary-mail.test")
WORDS = "canary-of-what-is-said"
PRIVATE = ("170999888", "canary-mail", WORDS, "C0CANARY")


def subscribe(telling: Telling, twilio: FakeTwilio, slack: FakeSlack, smtp: FakeSmtp) -> str:
    people = [
        {"name": f"P{n}", "to": number, "by": "voice" if n == 3 else "sms"}
        for n, number in enumerate(NUMBERS)
    ]
    account = {"account_sid": SID, "auth_token": TOKEN, "from_number": NUMBER, "base_url": twilio.base_url}
    made = telling.admin.create("twilio", account | {"recipients": people})
    places = {"recipients": [{"name": "A", "to": "C0CANARY1"}, {"name": "B", "to": "C0CANARY2"}]}
    telling.admin.create("slack", {"bot_token": SLACK_TOKEN, "base_url": slack.base_url} | places)
    mails = {"recipients": [{"name": f"M{n}", "to": address} for n, address in enumerate(ADDRESSES)]}
    server = {
        "server_url": f"smtp://127.0.0.1:{smtp.port}",
        "allow_plain": True,
        "from_address": "a@canary-mail.test",
    }
    telling.admin.create("email", server | mails)
    return str(made["id"])


def work_and_log(telling: Telling, seconds: float) -> str:
    """What a worker logs in so many seconds."""
    environment = dict(
        line.split("=", 1) for line in shlex.split(telling.admin.stack.functions_env.read_text())
    )
    argv = [sys.executable, "-m", "shared.scheduler.worker"]
    with subprocess.Popen(
        argv, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    ) as worker:
        time.sleep(seconds)
        worker.terminate()
        return worker.communicate()[1]


def test_no_log_says_what_was_told_or_to_whom(telling: Telling) -> None:
    stack = telling.admin.stack
    with FakeTwilio() as twilio, FakeSlack() as slack, FakeSmtp() as smtp:
        twilio.refusals |= {NUMBERS[1]: (400, 21211), NUMBERS[2]: (503, 20503)}
        slack.errors["C0CANARY2"] = "is_archived"
        smtp.refusals[ADDRESSES[1]] = f"550 5.1.1 {ADDRESSES[1]} is unknown"
        notifier = subscribe(telling, twilio, slack, smtp)
        telling.run(
            "select private.raise_alert(%s, 'webhook.failing', 'error', %s, '{}')",
            telling.make_source(),
            WORDS,
        )
        logged = work_and_log(telling, 6)
        place = f"{stack.url}/functions/v1/receive/{notifier}"
        inbound = {"MessageSid": "SM1", "From": NUMBERS[0], "To": NUMBER, "Body": WORDS, "OptOutType": "STOP"}
        answers = [
            twilio.call_back(f"{place}/inbound", inbound),
            twilio.call_back(f"{place}/inbound", {"From": NUMBERS[0], "Body": WORDS}),
            twilio.call_back(f"{place}/nowhere/{WORDS[:3]}", inbound),
            httpx.post(f"{place}/inbound", data=inbound, headers={"X-Twilio-Signature": "wrong"}, timeout=60),
            *[httpx.post(link, timeout=60) for link in list_links(smtp)],
        ]
        telling.admin.call(
            "POST", f"/integrations/{notifier}/test", json={"config": {"test_recipient": "P1"}}
        )

    assert [answer.status_code for answer in answers][:5] == [200, 400, 400, 401, 200]
    assert all((twilio.messages, twilio.calls, slack.posts, smtp.mails))
    functions = "".join(file.read_text(errors="replace") for file in stack.data.rglob("*.log"))
    assert f"/{notifier}/inbound" in functions
    logged += functions
    assert [word for word in PRIVATE if word in logged] == []
    errors = "\n".join(
        str(error) for (error,) in telling.run("select error from webhook_attempts where error is not null")
    )
    alerts = str(telling.run("select message, details from alerts where kind like 'notice%%'"))
    assert [word for word in ("99988", "canary-mail", "C0CANARY") if word in errors + alerts] == []


def list_links(smtp: FakeSmtp) -> list[str]:
    mails = [re.sub(r"\s", "", str(mail["List-Unsubscribe"])) for _, mail in smtp.mails]
    return [link for mail in mails for link in re.findall(r"<(http[^>]+)>", mail)]
