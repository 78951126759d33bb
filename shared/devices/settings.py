"""Settings that devices get from the other side, for admins."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, WithJsonSchema, field_validator

from shared.integrations.remote_calls import find_external_id, reach_provider, record_write, relay_refusals
from shared.provider.remote import DataType, Setting
from shared.runtime.errors import BadRequest, FieldError
from shared.runtime.web.rate_limits import TESTS, WRITES
from shared.runtime.web.routing import Call, Reply, Router

STRING_LIMIT = 4096
_KINDS = ("integer", "float", "string", "boolean")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")


Value = Annotated[JsonValue, WithJsonSchema({"type": ["integer", "number", "string", "boolean"]})]


class ChangedSetting(BaseModel):
    """The body of PUT. `data_type`, where given, is what the value has to be."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    data_type: DataType | None = None
    value: Value

    @field_validator("value")
    @classmethod
    def _check_value(cls, value: JsonValue, info: ValidationInfo) -> JsonValue:
        kinds = [info.data["data_type"]] if info.data.get("data_type") else [*_KINDS]
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
    blueprint_id: str | None = Field(None, pattern=f"^{_ID.pattern}$")
    """A blueprint, by the other side's id of it."""


def add_settings_routes(router: Router) -> None:
    """The calls below an integration's path."""
    router.route("GET", "/{id}/settings")(list_settings)
    router.route("POST", "/{id}/settings")(create_setting)
    router.route("PUT", "/{id}/settings/{setting_id}")(change_setting)
    router.route("DELETE", "/{id}/settings/{setting_id}")(remove_setting)


def list_settings(call: Call) -> Reply:
    """All settings, or those of a device or a blueprint."""
    settings = reach_provider(call, TESTS).settings()
    device_id, blueprint_id = call.query("device_id"), call.query("blueprint_id")
    device = find_external_id(call, device_id) if device_id else None
    with relay_refusals():
        found = settings.find(device, blueprint_id and _check_id("blueprint_id", blueprint_id))
    return Reply({"settings": [asdict(setting) for setting in found]})


def create_setting(call: Call) -> Reply:
    """Create one; 201 with the id that the other side gave it."""
    _ = call.user
    body = call.json(NewSetting)
    settings = reach_provider(call, WRITES).settings()
    device = find_external_id(call, str(body.device_id)) if body.device_id else None
    wanted = Setting(body.key, body.data_type, body.value, device, body.blueprint_id)
    places = {"device_id": body.device_id, "blueprint_id": body.blueprint_id}
    record_write(call, "settings", "insert", {body.key: body.value} | places)
    with relay_refusals():
        return Reply({"setting": asdict(settings.create(wanted))}, HTTPStatus.CREATED)


def change_setting(call: Call) -> Reply:
    """Give one another value."""
    _ = call.user
    setting_id, body = _check_id("setting_id", call.parameters["setting_id"]), call.json(ChangedSetting)
    settings = reach_provider(call, WRITES).settings()
    # Which one it is, and so whether a text is a secret, only the other side knows.
    value = "***" if isinstance(body.value, str) else body.value
    record_write(call, "settings", "update", {"setting_id": setting_id, "value": value})
    with relay_refusals():
        return Reply({"setting": asdict(settings.change(setting_id, body.value))})


def remove_setting(call: Call) -> Reply:
    """Remove one."""
    _ = call.user
    setting_id = _check_id("setting_id", call.parameters["setting_id"])
    settings = reach_provider(call, WRITES).settings()
    record_write(call, "settings", "delete", {"setting_id": setting_id})
    with relay_refusals():
        settings.remove(setting_id)
    return Reply(status=HTTPStatus.NO_CONTENT)


def _check_id(name: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise BadRequest(
            errors=[FieldError(name, "Expected an id of the other side, as its console shows it.")]
        )
    return value


def _is_of(kind: str, value: JsonValue) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, str):
        return kind == "string" and len(value) <= STRING_LIMIT and "\x00" not in value
    if isinstance(value, int):
        return kind in {"integer", "float"}
    return kind == "float" and isinstance(value, float) and math.isfinite(value)
