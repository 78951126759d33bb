"""What callers send, from the request models: once for each provider, and once with the config as a string."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from functions.commands import NewCommand
from functions.scheduler import Tick
from scripts.openapi import replies
from scripts.openapi.firmware_replies import FIRMWARE_REPLIES
from shared.deliveries.replay import CancelledRange, ReplayedRange
from shared.devices.conflicts import Resolution
from shared.devices.provisioning import NewProvisioning
from shared.devices.settings import ChangedSetting, NewSetting
from shared.firmware.artifacts import NewCohort, NewDeployment, UploadedArtifact
from shared.firmware.rollouts import NewRollout
from shared.integrations.bodies import (
    VISIBLE,
    ChangedIntegration,
    NewIntegration,
    Rotation,
    Target,
    UnsavedIntegration,
)
from shared.jobs.kinds import find_kind, list_kinds
from shared.messages.replay import ReplayedMessages
from shared.provider.catalogue import find_provider, list_types

Schema = dict[str, Any]

CONFIG_STRING = (
    "The config as a JSON string, in plain; it is sealed before it is stored. Instead of `config`."
)
_REPLIES = (
    replies.OneIntegration,
    replies.CreatedIntegration,
    replies.IntegrationPage,
    replies.Catalogue,
    replies.Verdict,
    replies.DeliveryPage,
    replies.OneDelivery,
    replies.ChangedDelivery,
    replies.Replayed,
    replies.ReplayedCounts,
    replies.Cancelled,
    replies.ActivityPage,
    replies.OneCommand,
    replies.OneJob,
    replies.JobPage,
    replies.ShownState,
    replies.OneSetting,
    replies.SettingList,
    *FIRMWARE_REPLIES,
    replies.ConflictPage,
    replies.OneConflict,
    replies.Provisioned,
    replies.Receipt,
    replies.TickReport,
    replies.ProblemDocument,
)


def refer(name: str) -> Schema:
    """A reference to one of `describe_schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def describe_schemas() -> dict[str, Schema]:
    """`components.schemas`: configs, request bodies, replies."""
    bodies = (
        *(Rotation, NewCommand, ReplayedRange, ReplayedMessages, CancelledRange, Resolution, Tick, Target),
        *(NewSetting, ChangedSetting, UploadedArtifact, NewCohort, NewDeployment, NewRollout),
    )
    models: list[type[BaseModel]] = [*map(find_provider, list_types()), *bodies, *_REPLIES]
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    return {
        **schemas["$defs"],
        "StateValue": {"description": "Any JSON value but null.", "not": {"type": "null"}},
        "NewIntegration": _describe_forms(NewIntegration),
        "NewProvisioning": _describe_provisioning(),
        "NewJob": {"oneOf": [_describe_job(kind) for kind in list_kinds()]},
        "UnsavedIntegration": _describe_forms(UnsavedIntegration),
        "ChangedIntegration": _describe_change(by_id=False),
        "ChangedIntegrationById": _describe_change(by_id=True),
    }


def _describe_provisioning() -> Schema:
    schema = NewProvisioning.model_json_schema()
    return schema | {"anyOf": [{"required": ["name"]}, {"required": ["device_id"]}]}


def _describe_job(name: str) -> Schema:
    schema = find_kind(name).request.model_json_schema()
    kind = {"kind": {"const": name}}
    return schema | {
        "title": name.capitalize(),
        "properties": kind | schema.get("properties", {}),
        "required": ["kind", *schema.get("required", [])],
    }


def _describe_forms(model: type[BaseModel]) -> Schema:
    """The body as one schema for each type, and one for all with the config as a string."""
    return {
        "description": (model.__doc__ or "").strip(),
        "oneOf": [*(_describe_form(model, each) for each in list_types()), _describe_string_form(model)],
    }


def _describe_form(model: type[BaseModel], integration_type: str) -> Schema:
    provider = find_provider(integration_type)
    own = {"integration_type": {"const": integration_type}, "config": refer(provider.__name__)}
    return _describe_body(model, provider.label, own, "config")


def _describe_string_form(model: type[BaseModel]) -> Schema:
    config = {"oneOf": [refer(find_provider(each).__name__) for each in list_types()]}
    own = {
        "integration_type": {"enum": list(list_types())},
        "api_key_encrypted": _describe_string(config),
    }
    return _describe_body(model, "The config as a string", own, "api_key_encrypted")


def _describe_string(content: Schema) -> Schema:
    return {
        "type": "string",
        "description": CONFIG_STRING,
        "contentMediaType": "application/json",
        "contentSchema": content,
    }


def _describe_body(model: type[BaseModel], title: str, own: Schema, config: str) -> Schema:
    schema = model.model_json_schema()
    properties = {name: value for name, value in schema["properties"].items() if name != "config"} | own
    return schema | {
        "title": title,
        "properties": _tighten_name(properties),
        "required": [*schema["required"], config],
    }


def _describe_change(*, by_id: bool) -> Schema:
    schema = ChangedIntegration.model_json_schema()
    patch = {
        "type": "object",
        "description": "A merge patch (RFC 7396) of the config: an absent field stays, `null` removes. "
        "The fields are those of the integration's type.",
    }
    own = {"config": patch, "api_key_encrypted": _describe_string(patch)}
    properties = {name: value for name, value in schema["properties"].items() if name != "id"} | own
    if by_id:
        properties["id"] = {
            "type": "string",
            "format": "uuid",
            "description": "Instead of `id` in the query.",
        }
    for value in properties.values():
        value.pop("default", None)
    return schema | {
        "properties": _tighten_name(properties),
        "anyOf": [{"required": [name]} for name in ("name", "status", "config", "api_key_encrypted")],
        "not": {"required": ["config", "api_key_encrypted"]},
    }


def _tighten_name(properties: Schema) -> Schema:
    return properties | (
        {"name": properties["name"] | {"pattern": f"^{VISIBLE}$"}} if "name" in properties else {}
    )
