"""Twilio: messages and calls, once each; what becomes of them; what people answer; and nothing personal in any log."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from shared.providers.twilio import api
from tests.end_to_end.notices.telling import Telling
from tests.fakes.twilio import NUMBER, SID, TOKEN, FakeTwilio

ADA, BOB = {"name": "Ada", "to": "+491701234567"}, {"name": "Bob", "to": "+491701234568"}
CALLED = {"name": "Cy", "to": "+491701234569", "by": "voice"}


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake


def subscribe(telling: Telling, twilio: FakeTwilio, *recipients: dict[str, Any], **config: Any) -> str:
    base = {"account_sid": SID, "auth_token": TOKEN, "from_number": NUMBER, "base_url": twilio.base_url}
    told = {"recipients": list(recipients) or [ADA]}
    return str(telling.admin.create("twilio", base | told | config)["id"])


def read_statuses(telling: Telling, notifier: str) -> dict[str, str]:
    return {name: status for name, status, _ in telling.show(notifier)}


def test_an_alert_is_a_message_and_a_call_with_what_acknowledges_it(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, ADA, CALLED, validity_seconds=600)
    telling.raise_alert(telling.make_source())
    telling.work()

    ((code,),) = telling.run("select code from alerts")
    (message,), (call,) = twilio.messages, twilio.calls
    assert message["body"].endswith(f": It fails. Reply {code} to acknowledge.")
    assert message["form"]["ValidityPeriod"] == ["600"]
    assert message["form"]["StatusCallback"][0].startswith(
        f"{telling.admin.stack.url}/functions/v1/receive/{notifier}/message/"
    )
    assert call["form"]["Twiml"][0].count("Press 1 to acknowledge.") == 2
    assert read_statuses(telling, notifier) == {"Ada": "delivered", "Cy": "delivered"}


def work_impatiently(telling: Telling, seconds: float) -> None:
    """A tick whose calls of Twilio are given up so soon."""
    with pytest.MonkeyPatch.context() as impatient:
        impatient.setattr(api, "CALL_SECONDS", seconds)
        telling.work()


@pytest.mark.parametrize("recipient", [ADA, CALLED])
def test_a_message_whose_answer_was_lost_is_looked_up_and_not_sent_again(
    telling: Telling, twilio: FakeTwilio, recipient: dict[str, Any]
) -> None:
    waits = [4.0]
    twilio.delay = lambda: waits.pop() if waits else 0.0
    notifier = subscribe(telling, twilio, recipient)
    telling.raise_alert(telling.make_source())
    work_impatiently(telling, 2.0)
    first = telling.show(notifier)
    telling.make_due()
    telling.work()

    assert [(status, (error or "")[:8]) for _, status, error in first] == [("pending", "timeout:")]
    assert [status for _, status, _ in telling.show(notifier)] == ["delivered"]
    assert len(twilio.messages) + len(twilio.calls) == 1
    assert twilio.lookups == 1


def test_another_message_to_the_same_person_is_not_taken_for_one_that_never_left(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, CALLED)
    telling.raise_alert(telling.make_source())
    telling.work()
    twilio.refusals[CALLED["to"]] = (503, 20503)
    telling.raise_alert(telling.make_source())
    work_impatiently(telling, 0.5)
    twilio.refusals.clear()
    telling.make_due()
    telling.work()

    assert [status for _, status, _ in telling.show(notifier)] == ["delivered", "delivered"]
    assert len(twilio.calls) == 2


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        ((400, 21211), "notice.unreachable", "The number is not valid"),
        ((400, 21614), "notice.unreachable", "takes no text messages"),
        ((400, 21610), "notice.opted_out", "STOP"),
        ((401, 20003), "notice.account", "refused the credentials"),
        ((403, 90010), "notice.account", "not active: see its balance"),
        ((429, 63038), None, "can't take it just now"),
    ],
)
def test_each_refusal_has_its_own_words_and_alert_and_others_are_told(
    telling: Telling, twilio: FakeTwilio, refusal: tuple[int, int], kind: str | None, words: str
) -> None:
    twilio.refusals[ADA["to"]] = refusal
    notifier = subscribe(telling, twilio, ADA, BOB)
    telling.raise_alert(telling.make_source())
    telling.work()

    errors = {name: error or "" for name, _, error in telling.show(notifier)}
    assert words in errors["Ada"]
    assert errors["Bob"] == ""
    assert len(twilio.texts(BOB["to"])) == 1
    assert "secret words" not in str(errors)
    alerts = telling.list_alerts(notifier)
    if kind not in {"notice.account", None}:
        assert [(found, "Ada" in message and words in message) for found, message in alerts] == [(kind, True)]


def test_somebody_who_has_answered_stop_is_not_written_to_until_start(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, ADA)
    say(telling, twilio, notifier, "Stop", OptOutType="STOP")
    telling.raise_alert(telling.make_source())
    telling.work()
    stopped = len(twilio.messages)
    say(telling, twilio, notifier, "Start", OptOutType="START")
    telling.raise_alert(telling.make_source(), "webhook.gone")
    telling.work()

    assert stopped == 0
    assert len(twilio.messages) == 1
    assert [kind for kind, _ in telling.list_alerts(notifier)] == []


def locate(telling: Telling, notifier: str, *parts: str) -> str:
    return "/".join((telling.admin.stack.url, "functions/v1/receive", notifier, *parts))


def say(
    telling: Telling, twilio: FakeTwilio, notifier: str, text: str, number: str = ADA["to"], **fields: str
) -> str:
    """Somebody writes; what they are answered."""
    said = {
        "MessageSid": f"SM{uuid.uuid4().hex}",
        "From": number,
        "To": NUMBER,
        "Body": text,
        "NumMedia": "0",
    }
    reply = twilio.call_back(locate(telling, notifier, "inbound"), said | fields)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/xml")
    return reply.text


def test_an_alert_is_acknowledged_by_an_answer_and_only_by_whom_it_was_told(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, ADA)
    telling.raise_alert(telling.make_source())
    telling.work()
    ((code,),) = telling.run("select code from alerts")

    strangers = say(telling, twilio, notifier, code, "+15550001111")
    before = telling.run("select acknowledged_at from alerts")
    answer = say(telling, twilio, notifier, f"ok, {code.lower()}!")

    assert strangers.endswith("<Response></Response>")
    assert before == [(None,)]
    assert f"{code} acknowledged: webhook.failing." in answer
    ((at, details),) = telling.run("select acknowledged_at, details from alerts")
    assert at is not None
    assert details["acknowledged_by"] == "Ada"


def test_a_key_that_is_pressed_acknowledges_what_the_call_told_of(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, CALLED)
    telling.raise_alert(telling.make_source())
    telling.work()
    ((delivery,),) = telling.run(
        "select id::text from webhook_deliveries where integration_id = %s", notifier
    )
    fields = {"CallSid": twilio.calls[0]["sid"], "To": CALLED["to"], "From": NUMBER}

    wrong = twilio.call_back(locate(telling, notifier, "key", delivery), fields | {"Digits": "2"})
    right = twilio.call_back(locate(telling, notifier, "key", delivery), fields | {"Digits": "1"})

    assert "Nothing was acknowledged" in wrong.text
    assert "Acknowledged. Goodbye." in right.text
    assert telling.run("select count(*) from alerts where acknowledged_at is not null") == [(1,)]


def test_what_people_write_is_stored_as_a_message_once_and_never_a_command(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, ADA)
    for _ in range(2):
        say(
            telling,
            twilio,
            notifier,
            "reboot",
            "whatsapp:+15550001111",
            MessageSid="SM1",
            MediaUrl0="https://x.test/1",
        )

    (message,) = telling.admin.rows("device_messages", integration_id=f"eq.{notifier}")
    assert (message["kind"], message["topic"], message["device_id"]) == ("event", "inbound", None)
    assert message["payload"] == {
        "from": "whatsapp:+15550001111", "to": NUMBER, "text": "reboot", "media": ["https://x.test/1"]
    }  # fmt: skip
    assert telling.admin.rows("device_commands") == []


def test_reports_follow_the_message_and_one_that_did_not_arrive_is_told(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, ADA)
    telling.raise_alert(telling.make_source())
    telling.work()
    (made,) = twilio.messages
    url, seen = made["form"]["StatusCallback"][0], []
    for status in ("sent", "undelivered", "sent"):
        more = {"ErrorCode": "30003"} if status == "undelivered" else {}
        reply = twilio.call_back(
            url, {"MessageSid": made["sid"], "MessageStatus": status, "New": "field"} | more
        )
        seen.append((reply.status_code, reply.text))

    assert seen == [(204, "")] * 3
    ((_, status, error),) = telling.show(notifier)
    assert (status, (error or "")[:42]) == ("dead", "undelivered: The telephone was not reached")
    assert [kind for kind, _ in telling.list_alerts(notifier)] == ["notice.undelivered"]


@pytest.mark.parametrize(
    "change",
    [{"X-Twilio-Signature": "AAAA"}, {"X-Twilio-Webhooks-Signature-Settings": "key=AK1,algorithm=HMAC_MD5"}],
)
def test_what_twilio_has_not_signed_is_refused(
    telling: Telling, twilio: FakeTwilio, change: dict[str, str]
) -> None:
    notifier = subscribe(telling, twilio, ADA)

    reply = twilio.call_back(
        locate(telling, notifier, "inbound"), {"MessageSid": "SM1", "From": "+1"}, **change
    )

    assert reply.status_code == 401
    assert telling.admin.rows("device_messages", integration_id=f"eq.{notifier}") == []


def test_the_connection_test_sees_account_number_and_balance_and_writes_where_it_is_asked_to(
    telling: Telling, twilio: FakeTwilio
) -> None:
    notifier = subscribe(telling, twilio, ADA)

    def test(**config: Any) -> list[tuple[str, bool, str]]:
        reply = telling.admin.call("POST", f"/integrations/{notifier}/test", json={"config": config}).json()
        return [(check["name"], check["ok"], check["detail"]) for check in reply["checks"]]

    plain, written = test(), test(test_recipient="Ada")
    twilio.capabilities = {"sms": False, "voice": True}
    unable = test()
    twilio.status = "suspended"
    suspended = test()

    assert plain == [
        ("account", True, "Acme, Full"),
        ("number", True, "can do sms, voice"),
        ("balance", True, "12.34 USD"),
    ]
    assert written[-1] == ("message", True, "sent to Ada")
    assert "reach you here" in twilio.texts(ADA["to"])[0]
    assert unable[-1] == (
        "number",
        False,
        "The number can't do what recipients ask for: sms. Choose another.",
    )
    assert suspended == [("account", False, "The account is suspended: see its balance in the console.")]


def test_a_storm_is_told_in_two_messages_and_reaches_everybody(telling: Telling, twilio: FakeTwilio) -> None:
    notifier = subscribe(telling, twilio, ADA, BOB)
    for _ in range(20):
        telling.raise_alert(telling.make_source())
    telling.work(5)

    for person in (ADA, BOB):
        first, rest = twilio.texts(person["to"])
        assert "It fails." in first
        assert rest.startswith("19 events\n")
    assert {status for _, status, _ in telling.show(notifier)} == {"delivered"}
