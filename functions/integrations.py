"""`/integrations`: admins manage the connections of their organization. Contract: docs/api.md.

Everything is written with the caller's token, so row-level security decides; secrets are sealed before they are
written and never read back to anyone.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from typing import Any

import flask
import functions_framework

from shared.deliveries.replay import add_replay_routes
from shared.devices.conflicts import add_conflict_routes
from shared.devices.provisioning import add_provisioning_routes
from shared.devices.settings import add_settings_routes
from shared.devices.state import add_state_routes
from shared.firmware.rollouts import add_firmware_routes
from shared.integrations.bodies import (
    ChangedIntegration,
    NewIntegration,
    Rotation,
    Target,
    UnsavedIntegration,
)
from shared.integrations.generated_secrets import make_secrets, plan_rotation
from shared.integrations.patch import plan_config
from shared.integrations.records import list_rows, read_row, read_sealed, show_one, write_row
from shared.integrations.scope import add_history_routes
from shared.integrations.sealing import open_provider, seal_provider
from shared.jobs.routes import add_job_routes
from shared.messages.replay import add_message_routes
from shared.provider.base import Check
from shared.provider.catalogue import find_provider, list_types, load_provider
from shared.provider.messages import Identity
from shared.runtime.database.client import as_user
from shared.runtime.errors import BadRequest, Conflict, FieldError, PreconditionFailed
from shared.runtime.log import bind_log
from shared.runtime.web.etags import list_versions
from shared.runtime.web.idempotency import bind_fingerprint, check_fingerprint, read_key, seal_fingerprint
from shared.runtime.web.rate_limits import TESTS, take_tokens
from shared.runtime.web.routing import Call, Reply, Router, parse_uuid

PATCH_TRIES = 5

router = Router("integrations")
add_replay_routes(router)
add_message_routes(router)
add_history_routes(router)
add_state_routes(router)
add_settings_routes(router)
add_job_routes(router)
add_firmware_routes(router)
add_conflict_routes(router)
add_provisioning_routes(router)


@functions_framework.http
def integrations(request: flask.Request) -> flask.Response:
    """Entry point."""
    return router.answer(request)


@router.route("GET", "/types")
def list_catalogue(call: Call) -> Reply:
    """The integration types with the JSON Schema of their config; secrets are `writeOnly`."""
    _ = call.user
    return Reply({"types": [_describe_type(name) for name in list_types()]})


@router.route("GET", "/")
def list_integrations(call: Call) -> Reply:
    """One page of the caller's integrations, newest first; one alone where `id` is given."""
    return read_row(call, _name_integration(call.query("id"))) if call.query("id") else list_rows(call)


@router.route("POST", "/")
def create_integration(call: Call) -> Reply:
    """Validate, seal, write as the caller; 201 with what the database holds now.

    Secrets that were made for it are in this reply and in no other, not even in that to the same Idempotency-Key.
    """
    user, body, key = call.user, call.json(NewIntegration), read_key(call.request.headers)
    made = make_secrets(find_provider(body.integration_type), body.config or {})
    write: dict[str, Any] = {"values": _fill_columns(body, made)}
    context = bind_fingerprint(user.id, key or "")
    if key:
        write |= {"key": key, "fingerprint": seal_fingerprint(body, context)}
    result = write_row(call, "insert", write)
    if "fingerprint" in result:
        check_fingerprint(result["fingerprint"], body, context)
        call.headers["Idempotent-Replayed"] = "true"
        made = {}
    call.headers["Location"] = f"/functions/v1/integrations/{result['integration']['id']}"
    return replace(_show_made(result["integration"], made), status=HTTPStatus.CREATED)


@router.route("PATCH", "/")
def change_named_integration(call: Call) -> Reply:
    """PATCH with the id in the query or the body."""
    body = call.json(ChangedIntegration)
    return _change(call, _choose_named(call, body.id), body)


@router.route("DELETE", "/")
def delete_named_integration(call: Call) -> Reply:
    """DELETE with the id in the query or the body."""
    named = call.json(Target).id if call.body.strip() else None
    integration_id = _choose_named(call, named)
    _ = call.user
    _require_same(integration_id, named)
    return _delete(call, integration_id)


@router.route("POST", "/test")
def test_unsaved(call: Call) -> Reply:
    """Test a config before it is saved; for admins of the organization it names."""
    database, body = as_user(call.user.token), call.json(UnsavedIntegration)
    organization_id = str(body.organization_id)
    bind_log(organization=organization_id)
    provider = load_provider(body.config or {}, Identity(organization_id, "", body.integration_type))
    take_tokens(call, database, TESTS, p_organization_id=organization_id)
    database.call("require_role", p_organization_id=organization_id, p_role="admin")
    return _show_checks(list(provider.check()))


@router.route("GET", "/{id}")
def get_integration(call: Call) -> Reply:
    """One integration."""
    return read_row(call, _name_integration(call.parameters["id"]))


@router.route("PATCH", "/{id}")
def change_integration(call: Call) -> Reply:
    """Merge patch: an absent field stays, `null` in config removes."""
    return _change(call, _name_integration(call.parameters["id"]), call.json(ChangedIntegration))


@router.route("DELETE", "/{id}")
def delete_integration(call: Call) -> Reply:
    """Delete it; its devices and telemetry stay, its pending deliveries are cancelled."""
    return _delete(call, _name_integration(call.parameters["id"]))


@router.route("POST", "/{id}/rotate-secret")
def rotate_secret(call: Call) -> Reply:
    """Make a secret anew and show it once; the old one stays in use for the grace period."""
    _ = call.user
    integration_id = _name_integration(call.parameters["id"])
    rotation = call.json(Rotation) if call.body.strip() else Rotation()
    made: dict[str, str] = {}

    def plan_patch(sealed: Mapping[str, Any]) -> dict[str, Any]:
        made_now, patch = plan_rotation(sealed, rotation)
        made.update(made_now)
        return patch

    return _show_made(_change_config(call, integration_id, {}, plan_patch), made)


@router.route("POST", "/{id}/test")
def test_saved(call: Call) -> Reply:
    """Test the connection as it is saved; for admins."""
    integration_id = _name_integration(call.parameters["id"])
    database = as_user(call.user.token)
    take_tokens(call, database, TESTS, p_integration_id=integration_id)
    checks = list(open_provider(read_sealed(call, integration_id)).check())
    failed = next((check.name for check in checks if not check.ok), None)
    database.call("record_test", p_integration_id=integration_id, p_failed=failed)
    return _show_checks(checks)


def _choose_named(call: Call, named: uuid.UUID | None) -> str:
    """The id in the query, or else the one in the body."""
    text = call.query("id") or str(named or "")
    if not text:
        problem = FieldError("id", "Required: in the path, as ?id= or in the body.")
        raise BadRequest(
            "Which integration? Name it in the path, as ?id= or as id in the body.", errors=[problem]
        )
    return _name_integration(text)


def _require_same(integration_id: str, named: uuid.UUID | None) -> None:
    if named and str(named) != integration_id:
        raise Conflict("The body names another integration than the address; leave one of the two out.")


def _name_integration(text: str | None) -> str:
    integration_id = parse_uuid(text, "id")
    bind_log(integration=integration_id)
    return integration_id


def _fill_columns(body: NewIntegration, made: Mapping[str, str]) -> dict[str, Any]:
    organization_id, integration_id = str(body.organization_id), str(uuid.uuid4())
    bind_log(organization=organization_id)
    identity = Identity(organization_id, integration_id, body.integration_type, body.name)
    return {
        "id": integration_id,
        "organization_id": organization_id,
        "integration_type": body.integration_type,
        "name": body.name,
        "status": body.status,
        **seal_provider(load_provider({**(body.config or {}), **made}, identity)),
    }


def _change(call: Call, integration_id: str, body: ChangedIntegration) -> Reply:
    _ = call.user
    _require_same(integration_id, body.id)
    values = body.model_dump(include={"name", "status"}, exclude_unset=True)
    versions = list_versions(call.request.headers.get("If-Match"))
    if body.config is not None:
        patch = body.config
        return show_one(_change_config(call, integration_id, values, lambda _: patch))
    if not values:
        raise BadRequest("Nothing to change: send name, status or config.")
    write = {"id": integration_id, "values": values, "versions": versions}
    return show_one(write_row(call, "update", write)["integration"])


def _change_config(
    call: Call,
    integration_id: str,
    values: dict[str, Any],
    plan_patch: Callable[[Mapping[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    """Read, merge, and write only where nobody has written since; read again where somebody has."""
    wanted = list_versions(call.request.headers.get("If-Match"))
    for _ in range(PATCH_TRIES):
        sealed = read_sealed(call, integration_id)
        if wanted is not None and sealed["version"] not in wanted:
            raise PreconditionFailed
        columns, changed = plan_config(sealed, plan_patch(sealed))
        write = {
            "id": integration_id,
            "values": values | columns,
            "versions": [sealed["version"]],
            "changed_secrets": changed,
        }
        try:
            return dict(write_row(call, "update", write)["integration"])
        except PreconditionFailed:
            continue
    raise Conflict("Somebody else keeps changing this integration; read it again and retry.")


def _show_made(row: Mapping[str, Any], made: Mapping[str, str]) -> Reply:
    reply = show_one(row)
    return replace(reply, body=reply.body | {"generated": dict(made)}) if made else reply


def _delete(call: Call, integration_id: str) -> Reply:
    versions = list_versions(call.request.headers.get("If-Match"))
    write_row(call, "delete", {"id": integration_id, "versions": versions})
    return Reply(status=HTTPStatus.NO_CONTENT)


def _show_checks(checks: list[Check]) -> Reply:
    return Reply(
        {
            "ok": all(check.ok for check in checks),
            "checks": [
                {"name": check.name, "ok": check.ok, "detail": check.detail, "ms": check.ms}
                for check in checks
            ],
        }
    )


@cache
def _describe_type(name: str) -> dict[str, Any]:
    provider = find_provider(name)
    return {
        "type": name,
        "label": provider.label,
        "docs": provider.docs,
        "capabilities": provider.capabilities(),
        "config_schema": provider.model_json_schema(),
    }
