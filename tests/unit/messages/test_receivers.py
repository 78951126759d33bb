"""What is told of receivers keeps no request from its answer, and the log names whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import structlog

from scripts.local.data_folder import make_integration_keys
from shared.messages import receivers
from shared.messages.receivers import REFUSED, ReceiverRow, open_receiver, tell_recovered
from shared.provider import PushedRequest, Receiver
from shared.runtime.errors import Unauthenticated, Unavailable
from shared.runtime.log import get_log
from shared.runtime.vault.ring import Vault

VAULT = Vault.from_text(make_integration_keys())


class Away:
    """The database, which is away."""

    def call(self, function: str, **_: Any) -> None:
        assert function == "record_activity"
        raise Unavailable


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receivers, "as_service", Away)
    monkeypatch.setattr(receivers, "load_vault", lambda: VAULT)


def make_row(error_message: str | None = None) -> ReceiverRow:
    """Of an integration whose config has nothing in it."""
    return ReceiverRow(
        id="7",
        organization_id="o",
        integration_type="golioth",
        name="n",
        settings={},
        sealed_sent=None,
        sealed_kept=None,
        seal_count=0,
        error_message=error_message,
        wait_seconds=0,
    )


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What is logged while the test runs."""
    get_log.cache_clear()
    get_log()
    with structlog.testing.capture_logs() as logged:
        yield logged  # type: ignore[misc] # mutable mappings, as dicts are


def test_whoever_pushes_to_a_config_that_can_not_be_used_learns_nothing_though_nobody_can_be_told(
    lines: list[dict[str, Any]],
) -> None:
    receiver = cast("Receiver", open_receiver(make_row(), None))

    with pytest.raises(Unauthenticated):
        receiver.receive(PushedRequest({}, b"", "", ""))

    assert [line["integration"] for line in lines] == ["7", "7"]


def test_a_recovery_that_can_not_be_told_is_logged_as_whose_it_is(lines: list[dict[str, Any]]) -> None:
    tell_recovered(make_row(f"{REFUSED}why"))

    assert [line["integration"] for line in lines] == ["7"]
