"""What a Golioth config refuses, by the field that is wrong, and what it is without being told."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import Identity, make_provider
from shared.providers.golioth import Golioth
from shared.runtime.errors import InvalidConfig

ACCOUNT = {"api_key": "canary-key", "project_id": "acme-sensors"}


def make(config: dict[str, Any]) -> Golioth:
    provider = make_provider(Golioth, ACCOUNT | config, Identity("", "", ""))
    assert isinstance(provider, Golioth)
    return provider


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("api_key", None),
        ("api_key", "a\nb"),
        ("project_id", ""),
        ("project_id", "a/../b"),
        ("golioth_organization_id", "a b"),
        ("base_url", "api.golioth.io"),
        ("base_url", "https://user:canary@api.golioth.io/v1"),
        ("sync_direction", "sideways"),
        ("sync_interval_seconds", 59),
        ("sync_interval_seconds", 604_801),
        ("sync_conflicts", "oldest"),
        ("sync_cohort", "a/b"),
        ("poll_interval_seconds", 9),
        ("online_minutes", 0),
        ("poll_logs", "perhaps"),
        ("surprise", 1),
    ],
)
def test_a_wrong_field_is_refused_by_its_name_without_its_value(field: str, wrong: Any) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        make({field: wrong})

    (error,) = refusal.value.errors
    assert error.field == field
    assert "canary" not in error.message


def test_no_more_tags_than_can_be_asked_for() -> None:
    with pytest.raises(InvalidConfig) as refusal:
        make({"sync_tags": [str(number) for number in range(21)]})

    assert [error.field for error in refusal.value.errors] == ["sync_tags"]


def test_without_being_told_it_imports_and_conflicts_wait_for_an_admin() -> None:
    provider = make({})

    told = (provider.base_url, provider.sync_direction, provider.sync_conflicts, provider.online_minutes)
    assert told == ("https://api.golioth.io/v1", "import", "manual", 60)
    assert (provider.auto_provision_devices, provider.poll_state, provider.poll_logs) == (True, True, False)
