"""`/integrations`: admins manage the connections of their organization. Contract: docs/api.md.

Everything is written with the caller's token, so row-level security decides; secrets are sealed before they are
written and never read back to anyone.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import flask
import functions_framework
import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.database import Database, as_user
from shared.errors import BadRequest, Conflict, FieldError, Forbidden, InvalidConfig, NotFound, VaultError
from shared.http import Call, Reply, Router, parse_uuid
from shared.messages import Identity
from shared.provider import Provider, merge_config, patch_config
from shared.providers import find_provider, list_types, load_provider
from shared.sealing import identify_row, open_provider, open_secrets, seal_provider

COLUMNS = (
    "id,organization_id,integration_type,name,status,settings,secret_names,device_count,last_sync_at,sync_status,"
    "error_message,created_at,created_by,updated_at"
)
PAGE_LIMIT = 200
PATCH_TRIES = 5

router = Router("integrations")


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
        return check_name(name)


class ChangedIntegration(ConfigForms):
    """The body of PATCH: an absent field stays."""

    id: uuid.UUID | None = None
    name: str = Field(default="", min_length=1, max_length=200)
    status: Literal["active", "inactive"] = "active"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        return check_name(name)


class UnsavedIntegration(ConfigForms):
    """The body of POST /integrations/test."""

    organization_id: uuid.UUID
    integration_type: str = Field(max_length=40)


class Target(BaseModel):
    """The body of DELETE in the form that names the id there."""

    model_config = ConfigDict(extra="ignore")

    id: uuid.UUID


def check_name(name: str) -> str:
    """`name` as it can be stored; ValueError when nothing of it can be seen."""
    if not name.strip() or "\x00" in name:
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


@functions_framework.http
def integrations(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)


@router.route("GET", "/types")
def list_catalogue(call: Call) -> Reply:
    """The integration types with the JSON Schema of their config; secrets are `writeOnly`."""
    _ = call.user
    return Reply({"types": [describe_type(name, find_provider(name)) for name in list_types()]})


def describe_type(name: str, provider: type[Provider]) -> dict[str, Any]:
    """One entry of the catalogue."""
    return {
        "type": name,
        "label": provider.label,
        "docs": provider.docs,
        "capabilities": provider.capabilities(),
        "config_schema": provider.model_json_schema(),
    }


@router.route("GET", "/")
def list_integrations(call: Call) -> Reply:
    """One page of the caller's integrations, newest first; one alone where `id` is given."""
    if call.query("id"):
        return _get_one(call, parse_uuid(call.query("id"), "id"))
    limit = _parse_limit(call.query("limit"))
    database = as_user(call.user.token)
    query = database.table("device_integrations").select(COLUMNS)
    if call.query("organization_id"):
        query = query.eq("organization_id", parse_uuid(call.query("organization_id"), "organization_id"))
    for name in ("integration_type", "status"):
        value = call.query(name)
        query = query.eq(name, value) if value else query
    cursor = call.query("cursor")
    if cursor:
        created_at, last_id = _read_cursor(cursor)
        query = query.or_(f'created_at.lt."{created_at}",and(created_at.eq."{created_at}",id.lt.{last_id})')
    query = query.order("created_at", desc=True).order("id", desc=True).limit(limit + 1)
    rows = database.run(query)
    page = rows[:limit]
    next_cursor = _write_cursor(page[-1]) if len(rows) > limit else None
    return Reply({"integrations": [show_integration(row) for row in page], "next_cursor": next_cursor})


@router.route("POST", "/")
def create_integration(call: Call) -> Reply:
    """Validate, seal, write as the caller; 201 with what the database holds now."""
    user, body = call.user, call.json(NewIntegration)
    organization_id, integration_id = str(body.organization_id), str(uuid.uuid4())
    identity = Identity(organization_id, integration_id, body.integration_type, body.name)
    provider = load_provider(body.config or {}, identity)
    values = {
        "id": integration_id,
        "organization_id": organization_id,
        "integration_type": body.integration_type,
        "name": body.name,
        "status": body.status,
        **seal_provider(provider),
    }
    database = as_user(user.token)
    try:
        (row,) = database.run(database.table("device_integrations").insert(values).select(COLUMNS))
    except Forbidden:
        raise _refuse(database, "organizations", organization_id) from None
    location = f"/functions/v1/integrations/{integration_id}"
    return Reply({"integration": show_integration(row)}, HTTPStatus.CREATED, {"Location": location})


@router.route("PATCH", "/")
def change_named_integration(call: Call) -> Reply:
    """PATCH with the id in the query or the body."""
    body = call.json(ChangedIntegration)
    return _change(call, parse_uuid(call.query("id") or str(body.id or ""), "id"), body)


@router.route("DELETE", "/")
def delete_named_integration(call: Call) -> Reply:
    """DELETE with the id in the query or the body."""
    return _delete(call, parse_uuid(call.query("id") or str(call.json(Target).id), "id"))


@router.route("POST", "/test")
def test_unsaved(call: Call) -> Reply:
    """Test a config before it is saved; for admins of the organization it names."""
    user, body = call.user, call.json(UnsavedIntegration)
    organization_id = str(body.organization_id)
    identity = Identity(organization_id, "", body.integration_type)
    provider = load_provider(body.config or {}, identity)
    as_user(user.token).call("require_role", p_organization_id=organization_id, p_role="admin")
    return _run_checks(provider)


@router.route("GET", "/{id}")
def get_integration(call: Call) -> Reply:
    """One integration."""
    return _get_one(call, parse_uuid(call.parameters["id"], "id"))


@router.route("PATCH", "/{id}")
def change_integration(call: Call) -> Reply:
    """Merge patch: an absent field stays, `null` in config removes."""
    body = call.json(ChangedIntegration)
    return _change(call, parse_uuid(call.parameters["id"], "id"), body)


@router.route("DELETE", "/{id}")
def delete_integration(call: Call) -> Reply:
    """Delete it; its devices and telemetry stay, its pending deliveries are cancelled."""
    return _delete(call, parse_uuid(call.parameters["id"], "id"))


@router.route("POST", "/{id}/test")
def test_saved(call: Call) -> Reply:
    """Test the connection as it is saved; for admins."""
    database = as_user(call.user.token)
    return _run_checks(open_provider(_read_sealed(database, parse_uuid(call.parameters["id"], "id"))))


def _get_one(call: Call, integration_id: str) -> Reply:
    database = as_user(call.user.token)
    rows = database.run(database.table("device_integrations").select(COLUMNS).eq("id", integration_id))
    if not rows:
        raise NotFound
    return Reply({"integration": show_integration(rows[0])})


def _change(call: Call, integration_id: str, body: ChangedIntegration) -> Reply:
    database = as_user(call.user.token)
    values: dict[str, Any] = body.model_dump(include={"name", "status"}, exclude_unset=True)
    if not values and body.config is None:
        raise BadRequest("Nothing to change: send name, status or config.")
    for _ in range(PATCH_TRIES):
        query = database.table("device_integrations")
        if body.config is None:
            rows = database.run(query.update(values).eq("id", integration_id).select(COLUMNS))
        else:
            sealed = _read_sealed(database, integration_id)
            changed = values | _patch_config(sealed, body.config)
            seen = sealed["updated_at"]
            rows = database.run(
                query.update(changed).eq("id", integration_id).eq("updated_at", seen).select(COLUMNS)
            )
        if rows:
            return Reply({"integration": show_integration(rows[0])})
        if body.config is None:
            raise NotFound
    raise Conflict("Somebody else keeps changing this integration; read it again and retry.")


def _patch_config(sealed: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    config = patch_config(find_provider(sealed["integration_type"]), _open_config(sealed, patch), patch)
    return seal_provider(load_provider(config, identify_row(sealed)))


def _open_config(sealed: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The plain config as saved. Where its secrets don't open, the patch has to bring them all again."""
    try:
        secrets = open_secrets(sealed)
    except VaultError:
        missing = [name for name in sealed["secret_names"] if name.split(".")[0] not in patch]
        if missing:
            message = "The stored value can't be opened any more; enter it again."
            raise InvalidConfig(errors=[FieldError(name, message) for name in missing]) from None
        secrets = {}
    return merge_config(sealed["settings"], secrets)


def _delete(call: Call, integration_id: str) -> Reply:
    database = as_user(call.user.token)
    query = database.table("device_integrations").delete().eq("id", integration_id).select("id")
    if not database.run(query):
        raise _refuse(database, "device_integrations", integration_id)
    return Reply(status=HTTPStatus.NO_CONTENT)


def _refuse(database: Database, table: str, row_id: str) -> Forbidden | NotFound:
    """Why a write found nothing: Forbidden for what the caller may see, NotFound for what they may not."""
    return Forbidden() if database.run(database.table(table).select("id").eq("id", row_id)) else NotFound()


def _read_sealed(database: Database, integration_id: str) -> dict[str, Any]:
    rows = database.call("sealed_config", p_integration_id=integration_id)
    if not rows:
        raise NotFound
    return dict(rows[0])


def _run_checks(provider: Provider) -> Reply:
    checks = list(provider.check())
    return Reply(
        {
            "ok": all(check.ok for check in checks),
            "checks": [
                {"name": check.name, "ok": check.ok, "detail": check.detail, "ms": check.ms}
                for check in checks
            ],
        }
    )


def show_integration(row: Mapping[str, Any]) -> dict[str, Any]:
    """A database row as the API shows it: config without secrets, and the names of those that are set."""
    shown = {name: value for name, value in row.items() if name not in {"settings", "secret_names"}}
    return shown | {"config": row["settings"], "secrets": row["secret_names"]}


def _parse_limit(text: str | None) -> int:
    if text is None:
        return 50
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= PAGE_LIMIT):
        raise BadRequest(errors=[FieldError("limit", f"Expected a number from 1 to {PAGE_LIMIT}.")])
    return int(text)


def _write_cursor(row: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{row['created_at']} {row['id']}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        created_at, last_id = text.split(" ")
        return _check_timestamp(created_at), str(uuid.UUID(last_id))
    except (ValueError, binascii.Error):
        raise BadRequest(
            errors=[FieldError("cursor", "Send next_cursor of the page before, unchanged.")]
        ) from None


def _check_timestamp(text: str) -> str:
    if not set(text) <= set("0123456789-:.T+Z"):
        raise ValueError("not a timestamp")
    return text
