"""What callers send: the bodies of `/integrations`, in every form they may have."""

from __future__ import annotations

import re
import uuid
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.runtime.numbers import Whole

VISIBLE = r"[^\x00]*[^\s\x00-\x1f\x7f-\x9f][^\x00]*"
"""Something to be seen, and no NUL, which Postgres can't hold; the OpenAPI document says the same."""


class ConfigForms(BaseModel):
    """`config` as an object, or as a JSON string in `api_key_encrypted`, plain in both; sealed by us."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    config: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_string_form(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "api_key_encrypted" not in data:
            return data
        if "config" in data:
            raise ValueError("send either config or api_key_encrypted, not both")
        return {key: value for key, value in data.items() if key != "api_key_encrypted"} | {
            "config": _parse_config_string(data["api_key_encrypted"])
        }


class NewIntegration(ConfigForms):
    """The body of POST."""

    organization_id: uuid.UUID
    integration_type: str = Field(max_length=40)
    name: str = Field(min_length=1, max_length=200)
    status: Literal["active", "inactive"] = "active"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return _check_name(name)


class ChangedIntegration(ConfigForms):
    """The body of PATCH: an absent field stays."""

    id: uuid.UUID | None = None
    name: str = Field(default="", min_length=1, max_length=200)
    status: Literal["active", "inactive"] = "active"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return _check_name(name)


class UnsavedIntegration(ConfigForms):
    """The body of POST /integrations/test."""

    organization_id: uuid.UUID
    integration_type: str = Field(max_length=40)


class Rotation(BaseModel):
    """The body of POST /integrations/{id}/rotate-secret."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str | None = None
    """Which secret; may be left out where there is only one."""
    grace_seconds: Whole = Field(86_400, ge=0, le=604_800)
    """How long the old one stays in use beside the new one: a day unless told, a week at most."""


class Target(BaseModel):
    """The body of DELETE in the form that names the id there."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: uuid.UUID | None = None


def _check_name(name: str) -> str:
    if not re.fullmatch(VISIBLE, name):
        raise ValueError("must have at least one visible character and no NUL")
    return name


def _parse_config_string(text: Any) -> dict[str, Any]:
    try:
        config = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        config = None
    if not isinstance(config, dict):
        raise ValueError("api_key_encrypted must be the config as a JSON object in a string")  # noqa: TRY004 - pydantic's way
    return config
