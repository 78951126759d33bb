"""Recipients: somebody to be told, how serious it must be, and when not. The database reads these fields by name."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, StringConstraints

from shared.provider.form import make_title
from shared.runtime.numbers import Whole

Clock = Annotated[str, StringConstraints(pattern=r"^(?:[01][0-9]|2[0-3]):[0-5][0-9]$")]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$"),
]


def _check_zone(name: str) -> str:
    try:
        zone = ZoneInfo(name.strip()).key
    except (ValueError, LookupError, OSError):
        zone = ""
    area, _, place = zone.partition("/")
    # Of CET and its like Postgres, by whose clock people are told, knows no summer time.
    if zone != "UTC" and (not place or area in {"posix", "right"}):
        raise ValueError("expected a zone of the IANA list, such as Europe/Berlin, or UTC")
    return zone


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        field_title_generator=make_title,
    )


class QuietHours(_Part):
    """When somebody is not told, each day; past midnight where `start` is later than `end`."""

    start: Clock
    """From then on, as 22:00."""
    end: Clock
    """Until then, as 07:00."""


class Recipient(_Part):
    """Somebody to be told."""

    name: Name
    """What they are called here, each another; it stands in deliveries and alerts, where addresses do not."""
    level: Literal["warning", "error"] = "warning"
    """How serious an alert must be for them: error leaves warnings out."""
    quiet_hours: QuietHours | None = None
    """When they are not told: what comes then is told once at the end, as one message."""
    quiet_errors: Annotated[bool, Strict()] = True
    """Whether alerts that are errors are told in quiet hours all the same."""
    time_zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    """The IANA zone of their quiet hours, as Europe/Berlin."""
    rate_limit_per_hour: Whole = Field(20, ge=1, le=1_000)
    """How many messages they get within any hour; what is more waits and is told together."""
