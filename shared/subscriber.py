"""Providers that events go out to: which events they want, and how often and how many at once are tried."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, field_validator, model_validator

from shared.provider import Provider

RETRY_LIMIT = 172_800
"""Seconds: two days."""

MOST_EVENTS = 50
_EVENT_PATTERN = re.compile(r"\*|[A-Za-z0-9_]{1,50}(\.[A-Za-z0-9_]{1,50}){0,4}(\.\*)?")


def _trim_number(number: float) -> float:
    return int(number) if number == int(number) else number


Seconds = Annotated[float, Field(allow_inf_nan=False), PlainSerializer(_trim_number, return_type=Any)]
"""Seconds, whole ones stored as integers."""


class Subscriber(Provider):
    """A provider that events go out to."""

    events: tuple[str, ...] = ("*",)
    """Kinds (`telemetry`), types (`device.telemetry`), type prefixes (`device.*`) or `*`."""
    retry_schedule: tuple[Annotated[Seconds, Field(ge=0, le=RETRY_LIMIT)], ...] = Field(
        (5, 30, 180), max_length=20
    )
    """Seconds to wait before each retry; after the last one the delivery is dead."""
    max_concurrent: int = Field(10, ge=1, le=100)
    """How many requests may be on their way at once."""

    @model_validator(mode="before")
    @classmethod
    def _state_events(cls, data: Any) -> Any:
        # The database finds subscribers by settings->'events', so the default has to be stored.
        return {"events": ["*"], **data} if isinstance(data, dict) else data

    @field_validator("events")
    @classmethod
    def _check_events(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        known = all(_EVENT_PATTERN.fullmatch(event) for event in events)
        if not known or not 0 < len(events) <= MOST_EVENTS:
            raise ValueError(
                f"list 1 to {MOST_EVENTS} of: telemetry, state, event, log, device.telemetry …, or *"
            )
        return events
