"""The times devices send, as ISO 8601 in UTC."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

TimestampFormat = Literal["iso8601", "unix", "vmark", "custom"]

EARLIEST = 946_684_800.0
"""2000-01-01: a device that says earlier has not set its clock."""

AHEAD_SECONDS = 86_400.0
UNBELIEVED = "The timestamp is before 2000 or more than a day ahead"
"""How the remark begins on a time that can't be."""

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From where on unix time is in so many parts of a second: in any unit, that is from 1973 to the year 5138."""

_WORDS = {
    "auto": "ISO 8601 or unix time",
    "iso8601": "ISO 8601",
    "unix": "unix time",
    "vmark": "of the form YYYY-MM-DD_HH:MM:SS.mmm",
    "custom": "of the form that timestamp_pattern gives",
}


def parse_time(value: Any, timestamp_format: str = "auto", pattern: str = "", timezone: tzinfo = UTC) -> str:
    """`value` as ISO 8601 in UTC with offset. ValueError, in words, where it is no time or an absurd one.

    `auto` takes ISO 8601 and unix time; unix time may be in seconds, milli-, micro- or nanoseconds, as number or text.
    Without an offset `timezone` is meant; of an hour that its clocks show twice, the first. `pattern` is strptime's,
    for the format `custom`.
    """
    try:
        moment = _read_moment(value, timestamp_format, pattern, timezone)
        seconds = moment.timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        raise ValueError(
            f"The timestamp is not {_WORDS[timestamp_format]}; the time of arrival is used."
        ) from None
    if not EARLIEST <= seconds <= time.time() + AHEAD_SECONDS:
        raise ValueError(f"{UNBELIEVED}; the time of arrival is used.")
    return moment.isoformat()


def choose_time(candidates: Iterable[Any], read: Callable[[Any], str]) -> tuple[str | None, str | None]:
    """The first time that `read` believes, None passed over; where there is none, its doubts about the first."""
    doubt = None
    for value in candidates:
        if value is not None:
            try:
                return read(value), None
            except ValueError as problem:
                doubt = doubt or str(problem)
    return None, doubt


def _read_moment(value: Any, timestamp_format: str, pattern: str, timezone: tzinfo) -> datetime:
    if type(value) in {int, float}:
        if timestamp_format not in {"auto", "unix"}:
            raise TypeError
        return _read_unix(value)
    if not isinstance(value, str):
        raise TypeError
    value = value.strip()
    if timestamp_format == "unix" or (
        timestamp_format == "auto" and value.lstrip("+-").replace(".", "", 1).isdecimal()
    ):
        return _read_unix(float(value))
    if timestamp_format == "custom":
        return _as_utc(datetime.strptime(value, pattern), timezone)  # noqa: DTZ007 - _as_utc gives it its zone
    text = value.replace("_", "T", 1) if timestamp_format == "vmark" else value
    return _as_utc(datetime.fromisoformat(text), timezone)


def _read_unix(number: float) -> datetime:
    for least, parts in _UNITS:
        if abs(number) >= least:
            return datetime.fromtimestamp(number / parts, UTC)
    return datetime.fromtimestamp(number, UTC)


def _as_utc(moment: datetime, timezone: tzinfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone)).astimezone(UTC)
