"""What Golioth's devices say of their updates, in whichever of the words that are not published."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import OtaEvent, judge_state
from shared.provider.values import Item
from shared.providers.golioth.firmware_reports import read_event, read_packages

STATES = ("pending", "downloading", "downloaded", "updated", "failed")


def make_entry(**fields: Any) -> dict[str, Any]:
    entry = {"deviceId": "d", "packageId": "main", "eventType": "", "status": 0, "message": ""}
    return entry | {"timestamp": "2026-03-01T10:00:00.123456789Z"} | fields


def describe_device(**update: Any) -> dict[str, Any]:
    known = {"package": "main", "version": "1.2", "target": "1.3", "stateCode": 0, "reasonCode": 0}
    return {"id": "d", "metadata": {"update": {"main": known | {"time": "2026-03-01T10:00:00Z"} | update}}}


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ("DOWNLOADING", "downloading"),
        ("download_started", "downloading"),
        ("download_completed", "downloaded"),
        ("Downloaded", "downloaded"),
        ("download_failed", "failed"),
        ("update_completed", "updated"),
        ("UPDATED", "updated"),
        ("updating", "downloaded"),
        ("install_started", "downloaded"),
        ("rolled_back", "failed"),
        ("downloading, no error", "downloading"),
        ("await_retry", "pending"),
        ("idle", "idle"),
        ("MANIFEST_SENT", None),
    ],
)
def test_an_event_is_read_by_its_words(words: str, state: str | None) -> None:
    event = read_event(make_entry(eventType=words, status=99))

    assert event is not None
    assert (event.state, event.event_type) == (state, words)


@pytest.mark.parametrize(
    ("status", "state"), [(1, "downloading"), ("2", "downloaded"), (3, "updated"), (7, None)]
)
def test_an_event_whose_words_tell_nothing_is_read_by_the_number_of_its_state(
    status: Any, state: str | None
) -> None:
    event = read_event(make_entry(eventType="report", status=status))

    assert event is not None
    assert event.state == state


@pytest.mark.parametrize(
    ("update", "state", "message"),
    [
        ({"stateCode": 0}, "idle", None),
        ({"stateCode": 1}, "downloading", None),
        ({"stateCode": "2"}, "downloaded", None),
        ({"stateCode": 3}, "updated", None),
        ({"stateCode": 3, "reasonCode": 1}, "updated", None),
        ({"stateCode": 1, "reasonCode": 5}, "failed", "The integrity check failed."),
        ({"stateCode": 1, "reasonCode": 8, "reason": "bad image"}, "failed", "bad image"),
        (
            {"stateCode": 0, "reasonCode": 11},
            "pending",
            "The update failed; the device tries again by itself.",
        ),
        ({"stateCode": None, "state": "Downloading"}, "downloading", None),
    ],
)
def test_a_device_is_read_by_its_codes(update: dict[str, Any], state: str, message: str | None) -> None:
    said = read_packages(describe_device(**update))["main"]

    assert (said.state, said.message, said.current_version, said.target_version) == (
        state,
        message,
        "1.2",
        "1.3",
    )


@pytest.mark.parametrize("metadata", [None, [], {}, {"update": None}, {"update": {"main": 7}}])
def test_a_device_without_firmware_says_nothing(metadata: Any) -> None:
    assert read_packages({"id": "d", "metadata": metadata}) == {}


def test_a_restart_into_the_new_image_is_not_yet_an_update() -> None:
    before = OtaEvent("d", "main", "updated", current_version="1.2", target_version="1.3")
    after = OtaEvent("d", "main", "updated", current_version="1.3")

    assert (judge_state(before, "1.3"), judge_state(after, "1.3")) == ("downloaded", "updated")


def test_a_device_that_runs_the_version_is_updated_whatever_it_says() -> None:
    assert judge_state(OtaEvent("d", "main", "failed", current_version="1.3"), "1.3") == "updated"


@pytest.mark.parametrize("value", ["", None, "yesterday", 5, {}])
def test_no_time_is_made_of_what_is_none(value: Any) -> None:
    assert Item({"time": value}).time("time") is None


def test_times_carry_an_offset_and_texts_nothing_the_database_can_not_hold() -> None:
    event = read_event(make_entry(message="a\x00b" + "c" * 500, timestamp="2026-03-01T10:00:00"))

    assert event is not None
    assert event.at == "2026-03-01T10:00:00+00:00"
    assert event.message is not None
    assert (event.message[:3], len(event.message)) == ("abc", 200)


@pytest.mark.parametrize("missing", ["deviceId", "packageId"])
def test_an_event_of_nobody_is_left_out(missing: str) -> None:
    assert read_event(make_entry(**{missing: None})) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
EVENT = st.dictionaries(st.sampled_from(list(make_entry(currentVersion="", targetVersion=""))), JSON)
UPDATE = st.dictionaries(st.sampled_from(list(describe_device()["metadata"]["update"]["main"])), JSON)


@given(EVENT, st.dictionaries(st.text(), UPDATE | JSON, max_size=2))
def test_nothing_that_is_json_crashes_the_reading(entry: dict[str, Any], updates: dict[str, Any]) -> None:
    event = read_event(entry)
    packages = read_packages({"id": "d", "metadata": {"update": updates}})

    said = [each for each in (event, *packages.values()) if each]
    assert all(judge_state(each, "1.3") in {None, "idle", *STATES} for each in said)
    assert not [each for each in said if "\x00" in repr(each)]
