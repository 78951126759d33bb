"""Twilio's configs: where calls go in a region, and which senders the recipients need."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import Identity, load_provider
from shared.providers.twilio import Twilio, choose_host
from shared.providers.twilio.api import judge_refusal
from shared.runtime.errors import InvalidConfig

BASE: dict[str, Any] = {
    "account_sid": f"AC{'0' * 32}",
    "auth_token": "token",
    "recipients": [{"name": "Ada", "to": "+491701234567"}],
}


@pytest.mark.parametrize(
    ("region", "edge", "host"),
    [
        (None, None, "https://api.twilio.com"),
        ("ie1", None, "https://api.ie1.twilio.com"),
        ("ie1", "dublin", "https://api.dublin.ie1.twilio.com"),
    ],
)
def test_calls_go_to_the_region_and_secrets_are_bound_to_it(
    region: str | None, edge: str | None, host: str
) -> None:
    places = {name: value for name, value in (("region", region), ("edge", edge)) if value}

    assert choose_host("https://api.twilio.com", region, edge) == host
    assert Twilio.locate(places) == ("https", host.removeprefix("https://"), "443")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "from_number"),
        ({"recipients": [{"name": "A", "to": "+491701234567", "by": "voice"}]}, "from_number"),
        (
            {
                "from_number": "+15005550006",
                "recipients": [{"name": "A", "to": "+491701234567", "by": "whatsapp"}],
            },
            "whatsapp_number",
        ),
        ({"recipients": [{"name": "A", "to": "0170 1234567"}]}, "recipients.0.to"),
        ({"from_number": "+15005550006", "edge": "dublin"}, "edge"),
        ({"from_number": "+15005550006", "auth_token": None}, "auth_token"),
        ({"from_number": "+15005550006", "account_sid": "AC1"}, "account_sid"),
    ],
)
def test_what_is_missing_or_wrong_is_said_at_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load_provider(BASE | config, Identity("o", "i", "twilio"))

    assert field in [error.field for error in refusal.value.errors]


@pytest.mark.parametrize(
    ("status", "code", "is_final"),
    [(429, 63038, False), (500, 0, False), (400, 99999, True), (401, 0, False), (402, 0, False)],
)
def test_codes_that_nobody_knows_are_judged_by_their_status(status: int, code: int, is_final: bool) -> None:  # noqa: FBT001 - a case
    assert judge_refusal(status, code).is_final is is_final
