"""What callers of an integration's devices send, and what they get: conflicts, state, settings."""

from __future__ import annotations

import math
import uuid
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    RootModel,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from typing_extensions import TypedDict

from shared.provider import DataType, Path, Setting
from shared.runtime.bodies import VISIBLE, Body, Moment, Query, Uuid
from shared.runtime.web.paging import PageQuery

PATH_LIMIT, STRING_LIMIT = 512, 4096
"""Characters of a path in a state, and of the value of a setting."""


def _check_path(text: str) -> str:
    path = text.strip("/")
    names = {*path.split("/")} if path else set[str]()
    if len(path) > PATH_LIMIT or not path.isprintable() or {"", ".", ".."} & names:
        raise ValueError(
            f"Expected names with slashes between, as in desired/led, {PATH_LIMIT} characters at most."
        )
    return path


RemoteId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,200}$")]
"""An id of the other side, as its console shows it."""
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=VISIBLE)]


class Words(Body):
    """The parameters of paths that are the other side's ids."""

    setting_id: RemoteId = ""


class ConflictFilters(PageQuery):
    """Which conflicts are listed."""

    status: Literal["open", "resolved"] | None = None
    """Only with this status."""


class Resolution(Body):
    """The body of POST …/conflicts/{conflict_id}/resolve: whose values count."""

    resolution: Literal["local", "remote"]


class FieldConflictRow(TypedDict):
    """Fields of a device that were changed on both sides, as they were on each; `resolution` says which side counts."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid
    device_id: Uuid
    fields: list[Literal["name", "tags"]]
    local: dict[str, object]
    remote: dict[str, object]
    status: Literal["open", "resolved"]
    resolution: Literal["local", "remote", "agreed"] | None
    policy: Literal["local", "remote", "newest"] | None
    created_at: Moment
    resolved_at: Moment | None
    resolved_by: Uuid | None
    applied_at: Moment | None


OneConflict = TypedDict("OneConflict", {"conflict": FieldConflictRow})
ConflictPage = TypedDict("ConflictPage", {"conflicts": list[FieldConflictRow], "next_cursor": str | None})


class StatePath(Query):
    """Where in the state of a device."""

    path: Annotated[
        str,
        AfterValidator(_check_path),
        Field(json_schema_extra={"maxLength": PATH_LIMIT, "pattern": r"^[^\x00-\x1f]*$"}),
    ] = ""
    """Names with slashes between, as in `desired/led`."""

    @property
    def names(self) -> Path:
        """The names on the way; none for the whole state."""
        return tuple(self.path.split("/")) if self.path else ()


class StateValue(RootModel[JsonValue]):
    """Any JSON value but null."""

    model_config = ConfigDict(json_schema_extra={"not": {"type": "null"}})

    @field_validator("root")
    @classmethod
    def _refuse_null(cls, value: JsonValue) -> JsonValue:
        if value is None:
            raise ValueError("Expected a value; send DELETE to remove one.")
        return value


ShownState = TypedDict("ShownState", {"path": str, "state": Any})
"""What is at `path` in the state of a device; null where nothing is."""


Value = Annotated[JsonValue, WithJsonSchema({"type": ["integer", "number", "string", "boolean"]})]


class SettingFilters(Query):
    """Which settings are listed."""

    device_id: uuid.UUID | None = None
    """Only those of this device."""
    blueprint_id: RemoteId | None = None
    """Only those of this blueprint, by the other side's id of it."""


class ChangedSetting(Body):
    """The body of PUT. `data_type`, where given, is what the value has to be."""

    data_type: DataType | None = None
    value: Value

    @field_validator("value")
    @classmethod
    def _check_value(cls, value: JsonValue, info: ValidationInfo) -> JsonValue:
        kinds = [info.data["data_type"]] if info.data.get("data_type") else [*get_args(DataType)]
        if not any(_is_of(kind, value) for kind in kinds):
            raise ValueError(
                f"expected a value of the type {' or '.join(kinds)}, {STRING_LIMIT} characters at most"
            )
        return value


class NewSetting(ChangedSetting):
    """The body of POST: for all devices, or with `device_id` or `blueprint_id` for those only."""

    key: str = Field(pattern=r"^[A-Z0-9_]+$", max_length=255)
    data_type: DataType
    device_id: uuid.UUID | None = None
    """One of the integration's devices, by its own id."""
    blueprint_id: RemoteId | None = None
    """A blueprint, by the other side's id of it."""


OneSetting = TypedDict("OneSetting", {"setting": Setting})
SettingList = TypedDict("SettingList", {"settings": list[Setting]})


def _is_of(kind: str, value: JsonValue) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, str):
        return kind == "string" and len(value) <= STRING_LIMIT and "\x00" not in value
    if isinstance(value, int):
        return kind in {"integer", "float"}
    return kind == "float" and isinstance(value, float) and math.isfinite(value)
