"""Providers whose devices are kept in step with the platform's, by what rules and how often."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from shared.provider.base import Provider

SYNC_SECONDS = 900
SHORTEST_SYNC_SECONDS = 60

Direction = Literal["import", "export", "both"]
Policy = Literal["local", "remote", "newest", "manual"]


class Syncer(Provider):
    """A provider that manages devices itself; it has `devices`."""

    # Not "off" or a Direction: what is neither would be told twice, under names that are no field's.
    sync_direction: Literal["off", "import", "export", "both"] = "import"
    """Which way devices are brought into step: from there to here, from here to there, or both ways."""
    sync_interval_seconds: Annotated[int, Field(ge=SHORTEST_SYNC_SECONDS, le=604_800)] = SYNC_SECONDS
    sync_conflicts: Policy = "manual"
    """Who has the say where both sides changed a name or tags; manual records it and changes neither."""
    sync_create_missing: bool = True
    sync_update_existing: bool = True
    sync_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """At most so many new devices in one run."""
    online_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    """A device counts as online for so long after its last report, where nothing better is known."""

    @model_validator(mode="before")
    @classmethod
    def _state_sync(cls, data: Any) -> Any:
        # The database plans syncs by settings->'sync_direction', so the default has to be stored.
        return {"sync_direction": "import", **data} if isinstance(data, dict) else data
