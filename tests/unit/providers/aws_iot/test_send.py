"""Commands: to the device itself, which confirms them, or published where the account can't do that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.provider import (
    Command,
    CommandRefused,
    CredentialsRefused,
    NotSupported,
    Outcome,
    ProviderRefused,
)
from shared.providers.aws_iot import AwsIot
from tests.fakes.aws import FakeAws, Fault
from tests.unit.providers.aws_iot.accounts import load_aws, make_config

pytestmark = pytest.mark.usefixtures("allow_loopback")
TOPIC = "devices/pump-1/commands/reboot"
PASSED = {"iot:SendDirectMessage"}


def send(aws: FakeAws, **config: Any) -> Outcome:
    provider = load_aws(make_config(aws, **{"command_topic": "devices/{device}/commands/{name}"} | config))
    expires = datetime.now(UTC) + timedelta(hours=1)
    return provider.send(Command("c-1", "pump-1", "reboot", {"delay": 5}, expires))


def test_a_device_that_is_there_confirms(aws: FakeAws) -> None:
    aws.devices["pump-1"] = True

    outcome = send(aws)

    assert outcome.confirmed
    assert aws.delivered == [("pump-1", TOPIC, b'{"delay":5}')]
    assert aws.published == []


@pytest.mark.parametrize(
    ("devices", "words"), [({}, "not connected"), ({"pump-1": False}, "not confirmed it within 10 s")]
)
def test_a_device_that_is_away_is_tried_again_later(
    aws: FakeAws, devices: dict[str, bool], words: str
) -> None:
    aws.devices |= devices

    with pytest.raises(ProviderRefused, match=words) as refusal:
        send(aws)

    assert not refusal.value.is_final
    assert aws.published == []


@pytest.mark.parametrize("denied", [set(), PASSED])
def test_an_account_without_direct_messages_publishes(aws: FakeAws, denied: set[str]) -> None:
    aws.has_direct_messages, aws.denied = bool(denied), denied

    assert send(aws) == Outcome(TOPIC)
    assert aws.published == [(TOPIC, b'{"delay":5}')]


@pytest.mark.parametrize(("status", "name"), [(401, "UnauthorizedException"), (403, "ForbiddenException")])
def test_who_may_not_send_directly_publishes(aws: FakeAws, status: int, name: str) -> None:
    aws.faults.append(Fault("/messages", status=status, name=name))

    assert send(aws) == Outcome(TOPIC)
    aws.faults.append(Fault("/messages", status=status, name=name))
    with pytest.raises(CredentialsRefused):
        send(aws, command_delivery="direct")


def test_who_wants_one_way_gets_no_other(aws: FakeAws) -> None:
    aws.has_direct_messages = False
    with pytest.raises(ProviderRefused):
        send(aws, command_delivery="direct")
    aws.devices["pump-1"], aws.has_direct_messages = True, True
    assert not send(aws, command_delivery="publish").confirmed
    assert (len(aws.published), aws.delivered) == (1, [])


def test_a_revoked_key_publishes_nothing(aws: FakeAws) -> None:
    load_aws(make_config(aws))
    aws.revoke()

    with pytest.raises(CredentialsRefused):
        send(aws)
    assert not [call for call in aws.calls if "/topics/" in call]


@pytest.mark.parametrize(
    "fault", [Fault("/topics/", status=429), Fault("/topics/", status=503), Fault("/topics/", close="after")]
)
def test_a_command_is_published_once_a_try(aws: FakeAws, fault: Fault) -> None:
    aws.faults.append(fault)

    with pytest.raises((ProviderRefused, Exception)):
        send(aws, command_delivery="publish")

    assert len([call for call in aws.calls if "/topics/" in call]) == 1


@pytest.mark.parametrize("way", ["direct", "auto", "publish"])
def test_what_is_taken_and_answered_with_what_can_not_be_read_is_not_sent_again(
    aws: FakeAws, way: str
) -> None:
    aws.devices["pump-1"] = True
    aws.faults.append(Fault("/messages|/topics/", cut=1))

    assert send(aws, command_delivery=way) == Outcome(TOPIC)
    assert len(aws.delivered) + len(aws.published) == 1


def test_without_a_topic_or_a_key_it_is_said_what_is_missing(aws: FakeAws) -> None:
    with pytest.raises(CommandRefused, match="command_topic"):
        send(aws, command_topic=None)
    with pytest.raises(NotSupported, match="access_key_id"):
        send(aws, access_key_id=None, secret_access_key=None)
    with pytest.raises(CommandRefused):
        AwsIot.check_command({"command_topic": "devices/{device}/x"}, "a/b", "reboot")
