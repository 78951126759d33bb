"""Services that answer and call back what they like: each costs its own message at most, and is shown as text."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.end_to_end.notices.telling import Telling
from tests.fakes.http_receiver import Answer, HttpReceiver
from tests.fakes.twilio import NUMBER, SID, TOKEN, FakeTwilio, encode, sign

ADA, BOB = {"name": "Ada", "to": "+491701234567"}, {"name": "Bob", "to": "+491701234568"}
REFERENCE = "select reference from webhook_deliveries where integration_id = %s"
WAITS = "select extract(epoch from due_at - now()) from webhook_deliveries where integration_id = %s"


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake


def subscribe(telling: Telling, base_url: str, *recipients: dict[str, str]) -> str:
    account = {"account_sid": SID, "auth_token": TOKEN, "from_number": NUMBER, "base_url": base_url}
    return str(telling.admin.create("twilio", account | {"recipients": list(recipients) or [ADA]})["id"])


@pytest.mark.parametrize(
    ("name", "kept"),
    [("SM\x00", "SM\ufffd"), (f"SM{TOKEN}", "SM***"), ("SM" * 300_000, "SM" * 250), ("SM1", "SM1")],
)
def test_what_a_message_is_called_is_kept_as_text_without_secrets_and_sent_once(
    telling: Telling, name: str, kept: str
) -> None:
    made = Answer(201, json.dumps({"sid": name}).encode(), {"Content-Type": "application/json"})
    with HttpReceiver(lambda _: made) as service:
        notifier = subscribe(telling, service.url.removesuffix("/hook"))
        telling.raise_alert(telling.make_source())
        telling.work()
        telling.make_due()
        telling.work(1)

    assert [status for _, status, _ in telling.show(notifier)] == ["delivered"]
    assert [request.method for request in service.requests] == ["POST"]
    ((reference,),) = telling.run(REFERENCE, notifier)
    assert reference[:4] == kept[:4]
    assert len(reference) <= 500
    assert TOKEN not in reference


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"sid": 5}',
        b'{"sid": ""}',
        b"{" * 100_000,
        b"\xff\xfe",
        b'{"sid": "SM1"' + b" " * 2_000_000 + b"}",
    ],
)
def test_an_answer_that_is_none_is_tried_again_and_keeps_nobody_else(
    telling: Telling, twilio: FakeTwilio, answer: bytes
) -> None:
    with HttpReceiver(lambda _: Answer(201, answer)) as service:
        broken = subscribe(telling, service.url.removesuffix("/hook"))
        sound = subscribe(telling, twilio.base_url, BOB)
        telling.raise_alert(telling.make_source())
        telling.work()

    ((_, status, error),) = telling.show(broken)
    assert status == "pending"
    assert error
    assert [status for _, status, _ in telling.show(sound)] == ["delivered"]


@pytest.mark.parametrize("kind", ["twilio", "slack", "bot"])
def test_a_service_that_asks_to_wait_is_not_asked_sooner(telling: Telling, kind: str) -> None:
    # More than whoever asks would wait for before it answers.
    later = Answer(429, b"{}", {"Retry-After": "100", "Content-Type": "application/json"})
    with HttpReceiver(lambda _: later) as service:
        base = service.url.removesuffix("/hook")
        if kind == "twilio":
            notifier = subscribe(telling, base)
        elif kind == "bot":
            config = {"bot_token": "xoxb-1", "base_url": base, "recipients": [{"name": "A", "to": "C1"}]}
            notifier = telling.admin.create("slack", config)["id"]
        else:
            notifier = telling.admin.create("slack", {"webhook_url": service.url})["id"]
        telling.raise_alert(telling.make_source())
        telling.work()

    assert [status for _, status, _ in telling.show(notifier)] == ["pending"]
    ((waits,),) = telling.run(WAITS, notifier)
    # Without it: 72 at most.
    assert 73 < waits < 121
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("message/{id}", {"MessageSid": "SM\x00", "MessageStatus": "sent\x00"}, 400),
        ("message/{id}", {"MessageSid": "S" * 5_000, "MessageStatus": "s" * 5_000}, 204),
        ("message/{id}", {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "9" * 500}, 204),
        ("message/nobody", {"MessageSid": "SM1", "MessageStatus": "sent"}, 400),
        ("inbound", {"MessageSid": "SM\x00", "From": "+1\x00", "Body": "\x00\x0b\ufffe"}, 400),
        ("inbound", {"MessageSid": "S" * 5_000, "From": "+" * 5_000, "Body": "x" * 100_000}, 200),
        ("inbound", {"MessageSid": "SM2", "From": "", "Body": ""}, 400),
        ("key/{id}", {"Digits": "1", "To": "\x00"}, 200),
        ("call/{id}", {"CallSid": "CA1"}, 400),
    ],
)
def test_signed_callbacks_may_hold_anything(
    telling: Telling, twilio: FakeTwilio, path: str, fields: dict[str, str], expected: int
) -> None:
    notifier = subscribe(telling, twilio.base_url)
    telling.raise_alert(telling.make_source())
    telling.work()
    ((delivery,),) = telling.run(
        "select id::text from webhook_deliveries where integration_id = %s", notifier
    )
    url = f"{telling.admin.stack.url}/functions/v1/receive/{notifier}/{path.format(id=delivery)}"

    assert twilio.call_back(url, fields).status_code == expected


@pytest.mark.parametrize("kind", ["twilio", "email", "nobody"])
def test_whoever_proves_nothing_learns_nothing_however_odd_the_request(
    telling: Telling, twilio: FakeTwilio, kind: str
) -> None:
    mail = {"server_url": "smtps://mail.example.com", "from_address": "a@acme.test"}
    told = {"recipients": [{"name": "A", "to": "a@acme.test"}]}
    made = str(uuid.uuid4())
    if kind == "twilio":
        made = subscribe(telling, twilio.base_url)
    elif kind == "email":
        made = telling.admin.create("email", mail | told)["id"]
    place = f"{telling.admin.stack.url}/functions/v1/receive/{made}/unsubscribe"
    odd = [
        httpx.post(f"{place}?{'&'.join('a=1' for _ in range(101))}", content=b"x", timeout=60),
        httpx.post(f"{place}?who=%00&proof=%FF", content=b"{}", timeout=60),
        httpx.post(
            place, content=b"\xff", headers={"Content-Type": "application/x-www-form-urlencoded"}, timeout=60
        ),
        httpx.post(place, data={f"n{n}": "1" for n in range(501)}, timeout=60),
        httpx.post(
            place,
            headers=[(b"X-Twilio-Signature", b"\xe9"), (b"X-Twilio-Webhooks-Signature-Settings", b"," * 900)],
            timeout=60,
        ),
    ]

    said = {(each.status_code, each.json()["code"], each.json()["detail"]) for each in odd}
    assert len(said) == 1
    assert next(iter(said))[0] == 401


def test_whoever_signs_for_one_integration_moves_nothing_of_another(
    telling: Telling, twilio: FakeTwilio
) -> None:
    mine, theirs = (subscribe(telling, twilio.base_url, each) for each in (ADA, BOB))
    telling.raise_alert(telling.make_source())
    telling.work()
    ((delivery, reference),) = telling.run(
        "select id::text, reference from webhook_deliveries where integration_id = %s", theirs
    )
    place = f"{telling.admin.stack.url}/functions/v1/receive/{mine}"
    lost = {"MessageSid": reference, "MessageStatus": "undelivered", "ErrorCode": "30003"}

    answers = [
        twilio.call_back(f"{place}/message/{delivery}", lost),
        twilio.call_back(f"{place}/key/{delivery}", {"CallSid": "CA1", "To": ADA["to"], "Digits": "1"}),
    ]

    assert [answer.status_code for answer in answers] == [204, 200]
    assert "Nothing was acknowledged" in answers[1].text
    assert [status for _, status, _ in telling.show(theirs)] == ["delivered"]
    assert telling.run("select count(*) from alerts where acknowledged_at is not null") == [(0,)]
    # What is signed for one address proves nothing at another.
    url = f"{place}/message/{delivery}"
    signed = {"X-Twilio-Signature": sign(TOKEN, url, {"AccountSid": SID, **lost})}
    body = encode({"AccountSid": SID, **lost})
    moved = httpx.post(
        url.replace(mine, theirs),
        content=body,
        headers={**signed, "Content-Type": "application/x-www-form-urlencoded"},
        timeout=60,
    )
    assert moved.status_code == 401


@pytest.mark.parametrize("word", ["\x00\x1b[31m", TOKEN, "\u2028" * 5_000])
def test_what_a_service_says_of_itself_is_shown_as_text_without_secrets(telling: Telling, word: str) -> None:
    account = {"friendly_name": word, "status": "active", "type": word, "balance": word, "currency": word}
    said = account | {"incoming_phone_numbers": [{"capabilities": {"sms": True, word: True}}]}
    answer = Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})
    with HttpReceiver(lambda _: answer) as service:
        notifier = subscribe(telling, service.url.removesuffix("/hook"))
        reply = telling.admin.call("POST", f"/integrations/{notifier}/test", json={})

    assert reply.status_code == 200
    assert reply.json()["ok"] is True
    assert len(reply.text) < 5_000
    kept = telling.run(
        "select message, details from integration_activity where integration_id = %s", notifier
    )
    assert kept
    assert TOKEN not in reply.text + str(kept)
