"""Providers that events go out to: which events they want, and how often and how many at once are tried.

The database finds and paces them by these fields, whichever way they send: `deliver` or `publish`.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    field_validator,
    model_validator,
)

from shared.provider.base import Capability
from shared.provider.form import Group, make_title
from shared.provider.messages import Kind

RETRY_LIMIT = 172_800
"""Seconds: two days."""

MOST_EVENTS = 50
EventType = Literal[
    "device.telemetry",
    "device.state",
    "device.event",
    "device.log",
    "device.offline",
    "device.online",
    "alert.raised",
    "alert.resolved",
]
"""What is sent: `device.` and the kind of a message; that a device fell silent or came back; alerts."""

EVENT_NAMES = (*get_args(Kind), *get_args(EventType), "device.*", "*", "alert.*")
"""What may be asked for: kinds, types, all types of a prefix; `*` is everything of devices, and no alerts."""


def _trim_number(number: float) -> float:
    return int(number) if number == int(number) else number


Seconds = Annotated[
    float, Field(allow_inf_nan=False, strict=True), PlainSerializer(_trim_number, return_type=Any)
]
"""Seconds, whole ones stored as integers."""


MOST_DEVICES = 200
"""Entries of one list of a device filter."""

MOST_STARS = 4


def _check_pattern(pattern: str) -> str:
    if pattern.count("*") > MOST_STARS or "\x00" in pattern:
        raise ValueError(f"an external id, with at most {MOST_STARS} * for any characters")
    return pattern


Pattern = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=512),
    AfterValidator(_check_pattern),
]
DeviceType = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$")
]


Order = Literal["off", "device", "integration"]
_ORDERS: dict[str, Any] = {
    "off": "As they come, several at once",
    "device": "In order for each device",
    "integration": "In order, one at a time",
}


def _name_order(ordered: Any) -> Any:
    return {True: "device", False: "off"}[ordered] if isinstance(ordered, bool) else ordered


class DeviceFilter(BaseModel):
    """Whose events go out: of the devices that match every list given here. At least one list is given."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        field_title_generator=make_title,
        defer_build=True,
    )

    external_ids: tuple[Pattern, ...] | None = Field(None, max_length=MOST_DEVICES)
    """The devices' external ids; `*` stands for any characters (`pump-*`)."""
    device_types: tuple[DeviceType, ...] | None = Field(None, max_length=MOST_DEVICES)
    """The devices' `device_type`."""
    ids: tuple[uuid.UUID, ...] | None = Field(None, max_length=MOST_DEVICES)
    """The devices' own ids."""

    @model_validator(mode="after")
    def _require_list(self) -> DeviceFilter:
        given = [each for each in (self.external_ids, self.device_types, self.ids) if each is not None]
        if not given or not all(given):
            raise ValueError(
                "give external_ids, device_types or ids with at least one entry each, or leave device_filter out"
            )
        return self


class Subscription(Capability):
    """The fields that every provider shares to which events go out."""

    read_in_sql: ClassVar[frozenset[str]] = frozenset(
        {"events", "device_filter", "retry_schedule", "max_concurrent", "rate_limit_per_minute", "ordered"}
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("What is sent", ("events", "device_filter"), open=True),
        Group("How it is sent", ("retry_schedule", "max_concurrent", "rate_limit_per_minute", "ordered")),
    )

    events: tuple[str, ...] = Field(("*",), examples=[["device.telemetry", "device.state"]])
    """Kinds (`telemetry`), types (`device.telemetry`), type prefixes (`device.*`, `alert.*`) or `*`, all of devices."""
    device_filter: DeviceFilter | None = Field(None, examples=[{"external_ids": ["pump-*"]}])
    """Only events of devices that match; without a known device none does, but alerts. Left out, all go out."""
    retry_schedule: tuple[Annotated[Seconds, Field(ge=0, le=RETRY_LIMIT)], ...] = Field(
        (5, 30, 180), max_length=20, json_schema_extra={"x-unit": "seconds"}
    )
    """Seconds to wait before each retry; after the last one the delivery is dead."""
    max_concurrent: int = Field(10, ge=1, le=100)
    """How many requests may be on their way at once."""
    rate_limit_per_minute: int = Field(100, ge=1, le=1_000_000)
    """How many requests may arrive within any minute."""
    ordered: Annotated[Order, BeforeValidator(_name_order, json_schema_input_type=Order | bool)] = Field(
        "off", json_schema_extra={"x-labels": _ORDERS}
    )
    """Whether events wait for the end of the one before, of the same device or of all; true means device."""

    @model_validator(mode="before")
    @classmethod
    def _state_events(cls, data: Any) -> Any:
        # The database finds subscribers by settings->'events', so the default has to be stored.
        return {"events": ["*"], **data} if isinstance(data, dict) else data

    @field_validator("events")
    @classmethod
    def _check_events(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        if not 0 < len(events) <= MOST_EVENTS:
            raise ValueError(f"list 1 to {MOST_EVENTS} of: {', '.join(EVENT_NAMES)}")
        events = tuple(event.strip() for event in events)
        if unknown := [number for number, event in enumerate(events, start=1) if event not in EVENT_NAMES]:
            raise ValueError(
                f"number {unknown[0]} is nothing that is ever sent; there are {', '.join(EVENT_NAMES)}"
            )
        return tuple(dict.fromkeys(events))
