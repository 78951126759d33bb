"""What the client of Golioth's API tells of refusals, and what it never asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.providers.golioth.api import Account, GoliothApi
from shared.runtime.deadline import Deadline
from shared.runtime.errors import ProtocolFailed, ProviderRefused
from tests.fakes.golioth import ApiError, Call, FakeGolioth, Reply, route

pytestmark = pytest.mark.usefixtures("allow_loopback")


@route("GET", "/test/echo")
def repeat_key(call: Call) -> Reply:
    raise ApiError(400, f"x-api-key: {call.fake.api_key}, and \x00 besides{'.' * 600}")


@route("GET", "/test/data")
def repeat_key_as_data(call: Call) -> Reply:
    return Reply({"data": {"x": f"{call.fake.api_key} and more"}})


@pytest.fixture
def api(fake: FakeGolioth) -> Iterator[GoliothApi]:
    account = Account(fake.url, fake.api_key, fake.project_id)
    with GoliothApi(account, Deadline(10)) as opened:
        yield opened


def test_words_that_repeat_the_key_are_masked_and_can_be_stored(api: GoliothApi) -> None:
    with pytest.raises(ProviderRefused) as refusal:
        api.call("GET", "/test/echo")

    assert "x-api-key: ***, and \ufffd besides" in refusal.value.detail
    assert len(refusal.value.detail) < 600


def test_data_that_repeats_the_key_does_not_hold_it(api: GoliothApi) -> None:
    assert api.call("GET", "/test/data") == {"data": {"x": "*** and more"}}


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_that_would_lead_elsewhere_is_refused(api: GoliothApi, part: str) -> None:
    with pytest.raises(ProtocolFailed, match="nothing of the name"):
        api.in_project("devices", part, "rpc")
