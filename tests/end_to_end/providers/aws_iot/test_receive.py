"""Rules push, and each message is stored once: alone and in batches, under retries and while the database is away."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest

from shared.providers.aws_iot.confirm import KEPT_FAILURES
from tests.end_to_end.messages.test_receive import database_away
from tests.end_to_end.providers.aws_iot.site import Site, open_site, soon
from tests.fakes.aws import FakeAws, Fault, RuleSender
from tests.fakes.aws.rules import select_all, select_bytes
from tests.platform import Platform
from tests.waiting import wait_until

ARN = "arn:aws:iot:eu-west-1:123456789012:ruledestination/http/7a280e37"
TOKEN = "AYADeMXLrPrNY2wqJAKsFNn-_="


def now() -> int:
    return int(time.time() * 1000)


def make_batch(count: int, device: str = "pump") -> list[dict[str, Any]]:
    return [
        select_bytes(f"devices/{device}-{n}/telemetry", json.dumps({"n": n}).encode(), f"{device}-{n}", now())
        for n in range(count)
    ]


def test_a_message_and_a_batch_are_stored_with_their_devices(site: Site) -> None:
    assert site.sender.send(select_all("devices/pump/telemetry", {"t": 21.5}, "pump", now())) == 202
    assert site.sender.send_batch(make_batch(10)) == 202

    stored = site.messages()

    assert [row["payload"] for row in stored] == [{"t": 21.5}, *({"n": n} for n in range(10))]
    assert [row["devices"]["external_id"] for row in stored] == ["pump", *(f"pump-{n}" for n in range(10))]
    assert {row["topic"] for row in stored} >= {"devices/pump/telemetry", "devices/pump-9/telemetry"}


def test_what_comes_again_is_stored_once_also_in_another_batch(site: Site) -> None:
    batch = make_batch(6)

    for part in (batch, batch, batch[:3], list(reversed(batch))):
        assert site.sender.send_batch(part) == 202

    assert sorted(row["payload"]["n"] for row in site.messages()) == list(range(6))


def test_who_can_not_prove_it_stores_nothing(site: Site) -> None:
    sender = RuleSender(site.sender.url, {"X-Webhook-Secret": "x" * 30})

    assert sender.send_batch(make_batch(2)) == 401
    assert (sender.tries, site.messages()) == (1, [])


def test_while_the_database_is_away_the_retries_of_aws_lose_nothing(site: Site) -> None:
    batches = [make_batch(10, f"d{number}") for number in range(8)]
    statuses: list[int] = []

    def send_all() -> None:
        statuses.extend(RuleSender(site.sender.url, site.sender.headers).send_batch(each) for each in batches)

    with database_away(site.admin.stack):
        senders = threading.Thread(target=send_all)
        senders.start()
        time.sleep(1)
    senders.join()

    assert statuses == [202] * 8
    assert len(site.messages()) == len({row["event_id"] for row in site.messages()}) == 80


def test_a_reply_is_so_small_and_the_connection_so_kept_that_aws_would_try_again(site: Site) -> None:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(site.sender.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    sizes = []
    for secret in (site.sender.headers["X-Webhook-Secret"], "wrong" * 6):
        connection.request(
            "POST", parts.path, b"{}", {"X-Webhook-Secret": secret, "Content-Type": "application/json"}
        )
        reply = connection.getresponse()
        sizes.append(len(reply.read()))
    connection.close()

    assert max(sizes) < 16_384


def test_devices_come_and_go_as_aws_says(site: Site) -> None:
    for what, status in (("connected", "online"), ("disconnected", "offline")):
        body = {"clientId": "pump-1", "timestamp": now(), "eventType": what}
        topic = f"$aws/events/presence/{what}/pump-1"
        assert site.sender.send(select_bytes(topic, json.dumps(body).encode(), "n/a", now())) == 202
        assert site.devices()["pump-1"]["status"] == status


def test_a_going_that_aws_tells_late_takes_nobody_offline_who_was_heard_since(site: Site) -> None:
    moment = now()
    gone, said = "$aws/events/presence/disconnected/pump-1", "devices/pump-1/telemetry"
    seen = []

    for topic, ago in ((said, 6_000), (gone, 5_000), (said, 5_500), (said, 4_000), (gone, 4_500)):
        body = json.dumps({"timestamp": moment - ago, "t": ago}).encode()
        assert site.sender.send(select_bytes(topic, body, "pump-1", moment - ago)) == 202
        seen.append(site.devices()["pump-1"]["status"])

    assert seen == ["online", "offline", "offline", "online", "online"]


def test_what_can_not_be_decoded_is_kept_and_replayed(site: Site) -> None:
    site.patch(payload_format="custom", telemetry_path="values")
    site.sender.send(select_bytes("devices/a/telemetry", b'{"m": {"t": 1}}', "a", now()))
    (failed,) = site.messages()
    site.patch(telemetry_path="m")

    reply = site.call("POST", "/messages/replay", json={})

    assert failed["error"]
    assert reply.status_code == 200, reply.text
    (stored,) = site.messages()
    assert (stored["payload"], stored["devices"]["external_id"], stored["error"]) == ({"t": 1}, "a", None)


# Destinations


def ask(site: Site, aws: FakeAws, *, slash: bool = True) -> int:
    return RuleSender(site.sender.url).ask_confirmation(
        TOKEN, f"{aws.url}/confirmdestination/{TOKEN}", ARN, slash=slash
    )


@pytest.mark.parametrize("slash", [True, False])
def test_a_destination_is_confirmed_while_an_admin_waits_and_only_then(
    site: Site, aws: FakeAws, *, slash: bool
) -> None:
    aws.destinations[TOKEN] = "IN_PROGRESS"
    refused = ask(site, aws, slash=slash)
    before = dict(aws.destinations)
    site.patch(confirm_until=soon(minutes=10))

    taken = ask(site, aws, slash=slash)

    assert (refused, before, taken) == (401, {TOKEN: "IN_PROGRESS"}, 202)
    assert aws.destinations == {TOKEN: "ENABLED"}
    (told,) = site.messages()
    assert (told["kind"], told["topic"], told["payload"]["confirmed"]) == (
        "event",
        "destination/confirmation",
        True,
    )


def test_of_invented_tokens_a_few_are_told_and_all_others_refused(site: Site, aws: FakeAws) -> None:
    site.patch(confirm_until=soon(minutes=10))
    headers = {"x-amz-rules-engine-message-type": "DestinationConfirmation"}
    # One kept connection is served by one process.
    with httpx.Client(timeout=60) as sender:
        statuses = [
            sender.post(
                site.sender.url,
                headers=headers,
                json={"confirmationToken": token, "enableUrl": f"{aws.url}/confirmdestination/{token}"},
            ).status_code
            for token in (f"invented-{number}" for number in range(12))
        ]
    aws.destinations[TOKEN] = "IN_PROGRESS"

    assert statuses == [202] * KEPT_FAILURES + [401] * (12 - KEPT_FAILURES)
    assert len(site.messages()) == KEPT_FAILURES
    assert ask(site, aws) == 202


def test_an_aws_that_is_slow_to_confirm_holds_up_no_message(site: Site, aws: FakeAws) -> None:
    aws.destinations[TOKEN] = "IN_PROGRESS"
    site.patch(confirm_until=soon(minutes=10))
    gate = threading.Event()
    aws.faults.append(Fault("confirmdestination", gate=gate))
    asked = threading.Thread(target=ask, args=(site, aws))
    asked.start()
    wait_until(lambda: [call for call in aws.calls if "confirmdestination" in call], "nobody asked AWS")

    status = site.sender.send_batch(make_batch(3))

    assert (status, aws.destinations) == (202, {TOKEN: "IN_PROGRESS"})
    gate.set()
    asked.join()
    wait_until(lambda: aws.destinations == {TOKEN: "ENABLED"}, "nothing was confirmed")


def test_without_a_key_a_destination_is_confirmed_by_its_address(admin: Platform, aws: FakeAws) -> None:
    aws.destinations[TOKEN] = "IN_PROGRESS"
    with open_site(
        admin, aws, access_key_id=None, secret_access_key=None, confirm_until=soon(hours=1)
    ) as site:
        assert ask(site, aws) == 202

    assert aws.destinations == {TOKEN: "ENABLED"}
    assert aws.scopes == []
