"""Golioth's device objects, whole and malformed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import RemoteDevice, SettingsStatus
from shared.providers.golioth.devices import read_device
from shared.runtime.errors import ProtocolFailed

CAPTURED: dict[str, Any] = {
    "id": "65f0c0ffee",
    "name": "dev1",
    "hardwareIds": ["hw2", "hw1"],
    "tagIds": ["t"],
    "blueprintId": "",
    "cohortId": "",
    "certificateId": "",
    "enabled": True,
    "createdAt": "2026-01-02T03:04:05.123Z",
    "updatedAt": "2026-01-03T03:04:05.123Z",
    "lastReport": "2020-01-01T00:00:00Z",
    "status": "-",
    "metadata": {
        "lastReport": "2026-01-04T00:00:00Z",
        "lastSeenOnline": "2026-01-04T00:00:00Z",
        "lastSeenOffline": "2026-01-03T00:00:00Z",
        "lastSettingsStatus": {"status": "in-sync", "errors": [{"code": 1, "key": "LOOP_DELAY"}]},
        "update": {
            "main": {"package": "main", "version": "1.2.3", "target": "1.3.0", "state": "", "stateCode": 0}
        },
    },
    "data": {},
}

TEXT = st.text("a2:-TZ \x00é", max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def test_a_device_is_read_from_its_metadata_not_from_the_deprecated_fields() -> None:
    device = read_device(CAPTURED)

    assert (device.id, device.name, device.hardware_ids, device.tags) == (
        "65f0c0ffee",
        "dev1",
        ("hw1", "hw2"),
        ("t",),
    )
    assert (device.last_report, device.cohort) == ("2026-01-04T00:00:00+00:00", None)
    assert (device.firmware_version, device.firmware) == (
        "1.2.3",
        {"main": {"version": "1.2.3", "target": "1.3.0"}},
    )
    assert device.settings == {"status": "in-sync", "errors": [{"key": "LOOP_DELAY", "code": 1}]}


@given(st.dictionaries(st.sampled_from(sorted(CAPTURED)), ANYTHING))
def test_what_is_malformed_in_a_device_counts_as_absent(wrong: dict[str, Any]) -> None:
    device = read_device(CAPTURED | wrong | {"id": "x"})

    assert isinstance(device, RemoteDevice)
    assert device.name
    assert "\x00" not in device.name


@pytest.mark.parametrize("item", [{}, {"id": ""}, {"id": 5}, {"id": "x" * 600}])
def test_a_device_without_an_id_is_none(item: dict[str, Any]) -> None:
    with pytest.raises(ProtocolFailed):
        read_device(item)


@pytest.mark.parametrize("errors", [5, True, "x", {"code": 1}])
def test_settings_errors_that_are_no_list_count_as_none(errors: Any) -> None:
    known = {"lastSettingsStatus": {"status": "out-of-sync", "errors": errors}}

    device = read_device({"id": "x", "metadata": known})

    untold: SettingsStatus = {"status": "out-of-sync", "errors": []}
    assert device.settings == untold
