"""What a tick is asked for, and what it says it did."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from shared.runtime.bodies import Body


class Tick(Body):
    """The body of POST: how long at most, and how long without anything happening. Other fields are left."""

    model_config = ConfigDict(extra="ignore")

    seconds: float | None = Field(default=None, gt=0, le=3300, strict=True)
    idle_seconds: float | None = Field(default=None, gt=0, le=3300, strict=True)


class TickReport(TypedDict):
    """What one tick did, counted by part; a part that had nothing to do is empty."""

    sessions: dict[str, int]
    commands: dict[str, int]
    jobs: dict[str, int]
    deliveries: dict[str, int]
    maintenance: dict[str, object]
