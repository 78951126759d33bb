"""The environment: what is malformed is named, with what it should hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.runtime.settings import load_settings


@pytest.fixture(autouse=True)
def _read_anew() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("RETENTION_DAYS_MESSAGES", "0", "from 1 to 36500"),
        ("RETENTION_DAYS_HISTORY", "ninety", "whole number of days"),
        ("RATE_LIMIT_RECEIVE", "-1", "0 for no limit"),
        ("SCHEDULER_SECONDS", "a minute", "number of seconds"),
        ("SCHEDULER_SECONDS", "inf", "from 0.1 to 3600"),
        ("SCHEDULER_SECONDS", "0", "from 0.1 to 3600"),
    ],
)
def test_a_malformed_variable_is_named_with_what_it_should_hold(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(RuntimeError, match=f"{name}.*{wanted}"):
        load_settings()


def test_an_empty_variable_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS_MESSAGES", "")

    assert load_settings().retention_days_messages == 90
