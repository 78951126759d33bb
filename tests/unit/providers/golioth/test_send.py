"""Commands as remote procedure calls: what was called is not called again, whatever its answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from shared.provider import Command, Outcome, ProviderRefused
from shared.providers.golioth.api import Account
from shared.providers.golioth.send import call_device
from tests.fakes.golioth import FakeGolioth, Fault

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def fake() -> Iterator[FakeGolioth]:
    with FakeGolioth() as started:
        started.store["state"]["d1"] = {}
        yield started


def call(fake: FakeGolioth) -> Outcome:
    account = Account(fake.url, fake.api_key, fake.project_id)
    ends = datetime.now(UTC) + timedelta(minutes=5)
    payload = {"params": [1], "timeout_seconds": 2}
    return call_device(account, Command("c-1", "d1", "reboot", payload, ends))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(says=b"<html>ok</html>"),
        Fault(says=b""),
        Fault(says=b"[]"),
        Fault(says=b'{"detail": 1}'),
        Fault(says=b'{"statusCode": 0', cut=100),
    ],
    ids=["no JSON", "nothing", "no object", "no code", "cut off"],
)
def test_what_is_done_and_answered_with_what_can_not_be_read_is_not_called_again(
    fake: FakeGolioth, fault: Fault
) -> None:
    fake.faults = [fault]

    assert call(fake) == Outcome(confirmed=False)
    assert len(fake.store["rpc"]["calls"]) == 1


def test_a_refusal_that_can_not_be_read_is_a_refusal(fake: FakeGolioth) -> None:
    fake.faults = [Fault(status=503, says=b"<html>")]

    with pytest.raises(ProviderRefused, match="503"):
        call(fake)
