"""Destinations are confirmed at AWS alone, and only while an admin waits for it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.messages import receive_coded
from shared.provider import Message, PushedRequest, Unauthenticated
from shared.providers.aws_iot import confirm
from shared.providers.aws_iot.confirm import KEPT_FAILURES
from shared.runtime.errors import InvalidConfig, RateLimited
from tests.fakes.aws import FakeAws, Fault
from tests.unit.providers.aws_iot.accounts import load_aws, make_config
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("allow_loopback")
ARN = "arn:aws:iot:eu-west-1:123456789012:ruledestination/http/7a280e37"
TOKEN = "AYADeMXLrPrNY2wqJAKsFNn-_="
NO_KEY: dict[str, Any] = {"access_key_id": None, "secret_access_key": None}


def soon(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def make_request(aws: FakeAws, url: str | None = None, token: str = TOKEN) -> PushedRequest:
    """What AWS asks with."""
    body = {
        "arn": ARN,
        "confirmationToken": token,
        "enableUrl": url or f"{aws.url}/confirmdestination/{token}",
        "messageType": "DestinationConfirmation",
    }
    headers = {"x-amz-rules-engine-message-type": "DestinationConfirmation"}
    return PushedRequest(headers, json.dumps(body).encode(), query_string=f"confirmationToken={token}")


def ask(aws: FakeAws, url: str | None = None, token: str = TOKEN, **config: Any) -> Message:
    """What comes of a request to confirm."""
    provider = load_aws(make_config(aws, **{"confirm_until": soon(hours=1)} | config))
    (message,) = provider.receive(make_request(aws, url, token))
    return message


@pytest.mark.parametrize("config", [{}, NO_KEY])
def test_a_destination_is_confirmed_while_an_admin_waits(aws: FakeAws, config: dict[str, Any]) -> None:
    aws.destinations[TOKEN] = "IN_PROGRESS"

    message = ask(aws, **config)

    assert aws.destinations == {TOKEN: "ENABLED"}
    assert (message.topic, message.payload) == ("destination/confirmation", {"arn": ARN, "confirmed": True})
    assert aws.scopes == (["iot"] if not config else [])


@pytest.mark.parametrize("until", [None, "2026-01-01T00:00:00+00:00"])
def test_while_nobody_waits_nothing_is_asked(aws: FakeAws, until: str | None) -> None:
    with pytest.raises(Unauthenticated):
        ask(aws, confirm_until=until)

    assert aws.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/confirmdestination/{token}",
        "http://169.254.169.254/confirmdestination/{token}",
        "{aws}/confirmdestination/another",
        "{aws}/things/{token}",
        "{aws}/confirmdestination/../things/{token}",
        "{aws}/confirmdestination/{token}?x=1",
        "{aws}/confirmdestination/{token}#x",
        "{aws}@evil.example/confirmdestination/{token}",
        "https://iot.us-east-1.amazonaws.com/confirmdestination/{token}",
        "https://[evil/confirmdestination/{token}",
        "https://ex\u2100mple/confirmdestination/{token}",
        "{aws}:x/confirmdestination/{token}",
        "{aws}/confirmdestination/{token}\n",
        "{aws}/confirmdestination//{token}",
        "",
    ],
)
@pytest.mark.parametrize("config", [{}, NO_KEY])
def test_nothing_but_aws_is_asked(aws: FakeAws, url: str, config: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        ask(aws, url.format(aws=aws.url, token=TOKEN) or "x", **config)

    assert aws.calls == []


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "%2e%2E",
        "../things",
        "a/../../things",
        "a%2f..%2fthings",
        "a b",
        "a\nb",
        "a%0Ab",
        "x" * 3_000,
    ],
)
def test_a_token_that_leads_elsewhere_is_refused(aws: FakeAws, token: str) -> None:
    with pytest.raises(Unauthenticated):
        ask(aws, token=token)

    assert aws.calls == []


def test_without_a_simulator_only_the_host_of_the_region_counts(aws: FakeAws) -> None:
    for host in (
        "iot.eu-west-1.amazonaws.com.evil.example",
        "iot.eu-west-1.amazonaws.com:444",
        "IOT.eu-west-2.amazonaws.com",
    ):
        with pytest.raises(Unauthenticated):
            ask(aws, f"https://{host}/confirmdestination/{TOKEN}", endpoint_url=None)


@pytest.mark.parametrize("config", [{}, NO_KEY])
def test_what_fails_is_told_with_what_it_takes_to_do_it_by_hand(aws: FakeAws, config: dict[str, Any]) -> None:
    aws.faults.append(Fault("confirmdestination", times=9, status=400, name="InvalidRequestException"))

    message = ask(aws, **config)

    assert message.payload["confirmed"] is False
    assert (message.payload["confirmationToken"], message.remark is not None) == (TOKEN, True)


def test_whoever_invents_tokens_is_refused_after_a_few_and_aws_asked_no_more_in_the_end(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "ASKED_FAILURES", KEPT_FAILURES + 3)
    config: dict[str, Any] = {"confirm_until": soon(hours=1)}
    kept = [ask(aws, token=f"invented-{number}", **config) for number in range(KEPT_FAILURES)]
    aws.destinations[TOKEN] = "IN_PROGRESS"

    for number in range(3):
        with pytest.raises(Unauthenticated):
            ask(aws, token=f"another-{number}", **config)
        if number == 1:
            assert ask(aws, **config).payload["confirmed"] is True
    asked = len(aws.calls)
    with pytest.raises(Unauthenticated, match="anew"):
        ask(aws, token="one-more", **config)

    assert [each.payload["confirmed"] for each in kept] == [False] * KEPT_FAILURES
    assert len(aws.calls) == asked
    assert ask(aws, token="waited-for-anew", confirm_until=soon(hours=2)).payload["confirmed"] is False


def test_nobody_waits_longer_than_a_day(aws: FakeAws) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load_aws(make_config(aws, confirm_until=soon(days=2)))

    assert [error.field for error in refusal.value.errors] == ["confirm_until"]


def test_a_message_without_the_secret_is_refused_also_while_an_admin_waits(aws: FakeAws) -> None:
    provider = load_aws(make_config(aws, confirm_until=soon(hours=1)))

    with pytest.raises(Unauthenticated):
        provider.receive(PushedRequest({}, b"{}"))


def test_confirmations_that_are_under_way_hold_up_no_message(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receive_coded, "MOST_OF_ONE", 1)
    gate, provider = threading.Event(), load_aws(make_config(aws, confirm_until=soon(hours=1)))
    aws.faults.append(Fault("confirmdestination", gate=gate))
    asked = threading.Thread(target=receive_coded._read_messages, args=(provider, make_request(aws)))
    asked.start()
    wait_until(lambda: aws.calls != [], "nobody asked AWS")

    taken = receive_coded._read_messages(provider, PushedRequest({"x-webhook-secret": "w" * 20}, b'{"t": 1}'))
    with pytest.raises(RateLimited):
        receive_coded._read_messages(provider, make_request(aws))

    gate.set()
    asked.join()
    assert [each.payload for each in taken] == [{"t": 1}]


def test_a_role_that_nobody_can_assume_is_no_error_of_ours(aws: FakeAws) -> None:
    message = ask(aws, **NO_KEY, role_arn="arn:aws:iam::123456789012:role/device-integrations")

    assert message.payload["confirmed"] is False
    assert "no key that could assume the role" in (message.remark or "")
