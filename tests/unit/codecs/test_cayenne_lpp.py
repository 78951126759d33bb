"""Cayenne LPP: every type, what is cut off, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed
from tests.unit.codecs.decoding import ORGANIZATION, find_error, read_data

VALUES: list[tuple[str, dict[str, Any]]] = [
    ("030001", {"digital_in_3": 1}),
    ("0301ff", {"digital_out_3": 255}),
    ("0102ff9c", {"analog_in_1": -1.0}),
    ("01030064", {"analog_out_1": 1.0}),
    ("0164 00010000", {"generic_1": 65536}),
    ("0165ffff", {"luminosity_1": 65535}),
    ("016601", {"presence_1": 1}),
    ("01670110", {"temperature_1": 27.2}),
    ("0167ffd7", {"temperature_1": -4.1}),
    ("0168c7", {"relative_humidity_1": 99.5}),
    ("017104d2fb2e0000", {"accelerometer_1": {"x": 1.234, "y": -1.234, "z": 0.0}}),
    ("01732779", {"barometric_pressure_1": 1010.5}),
    ("0174014a", {"voltage_1": 3.3}),
    ("017503e8", {"current_1": 1.0}),
    ("01763b9aca00", {"frequency_1": 1000000000}),
    ("017864", {"percentage_1": 100}),
    ("0179fff6", {"altitude_1": -10}),
    ("017d0190", {"concentration_1": 400}),
    ("01800064", {"power_1": 100}),
    ("0182000003e8", {"distance_1": 1.0}),
    ("018300000bb8", {"energy_1": 3.0}),
    ("01840168", {"direction_1": 360}),
    ("018569561f25", {"unix_time_1": 1767251749}),
    ("01860064ff9c0000", {"gyrometer_1": {"x": 1.0, "y": -1.0, "z": 0.0}}),
    ("0187ff8000", {"colour_1": {"red": 255, "green": 128, "blue": 0}}),
    ("018806765ff2960a0003e8", {"gps_1": {"latitude": 42.3519, "longitude": -87.9094, "altitude": 10.0}}),
    ("018e01", {"switch_1": 1}),
]


@pytest.mark.parametrize(("body", "data"), VALUES, ids=[next(iter(data)) for _, data in VALUES])
def test_a_value_is_read_and_written(body: str, data: dict[str, Any]) -> None:
    content = bytes.fromhex(body)

    assert read_data("cayenne_lpp", "", content) == data
    assert Codec(ORGANIZATION, "cayenne_lpp", "").encode(data).body == content


def test_several_values_stand_side_by_side_and_repeated_ones_become_a_list() -> None:
    assert read_data("cayenne_lpp", "", bytes.fromhex("0367011003670111056700ff")) == {
        "temperature_3": [27.2, 27.3],
        "temperature_5": 25.5,
    }


def test_a_mapping_may_follow() -> None:
    body = bytes.fromhex("03670110")

    assert (
        read_data(
            "cayenne_lpp",
            "{messages: [{payload: {t: temperature_3}, device: topic_level(`0`)}]}",
            body,
            "d/x",
        )
        is None
    )
    assert read_data("cayenne_lpp", "{t: temperature_3}", body) == {"t": 27.2}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("", "The body is empty"),
        ("01", "ends within the value that begins at byte 0"),
        ("036701", "ends within the value that begins at byte 0"),
        ("0367011003", "ends within the value that begins at byte 4"),
        ("03ff00", "Byte 1 is no known"),
        ("0367011001ee", "Byte 5 is no known"),
    ],
)
def test_what_is_no_cayenne_lpp_says_where(body: str, told: str) -> None:
    assert told in find_error("cayenne_lpp", "", bytes.fromhex(body))


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        5,
        {"temperature": 1},
        {"nothing_1": 1},
        {"temperature_256": 1},
        {"temperature_-1": 1},
        {"temperature_1": "warm"},
        {"temperature_1": 1e9},
        {"temperature_1": None},
        {"gps_1": 5},
        {"gps_1": {"latitude": 1}},
        {"digital_in_1": -1},
        {"_1": 1},
    ],
)
def test_what_can_not_be_written_says_why(data: Any) -> None:
    with pytest.raises(CodecFailed):
        Codec(ORGANIZATION, "cayenne_lpp", "").encode(data)
