"""`/integrations`: admins manage the connections of their organization. Contract: docs/api.md.

Everything is written with the caller's token, so row-level security decides; secrets are sealed before they are
written and never read back to anyone.
"""

from __future__ import annotations

import uuid
from functools import cache, partial
from http import HTTPStatus

from shared.integrations import bodies, create, patch, rotate
from shared.integrations.activity import list_export, write_csv
from shared.integrations.codecs.sources import lend_own_codecs
from shared.integrations.connection_test import answer_test
from shared.integrations.records import IntegrationRow, list_rows, read_row, read_sealed, write_row
from shared.integrations.remote_calls import USING, reach_provider
from shared.integrations.scope import list_page
from shared.provider import Checker, Identity, catalogue, require
from shared.runtime.errors import (
    BadRequest,
    Conflict,
    FieldError,
    IdempotencyMismatch,
    InvalidConfig,
    NotFound,
    NotSupported,
    PreconditionFailed,
    VaultError,
)
from shared.runtime.log import bind_log
from shared.runtime.web.call import Call
from shared.runtime.web.etags import list_versions, make_tag
from shared.runtime.web.events import EventStream
from shared.runtime.web.rate_limits import TESTS, WRITES
from shared.runtime.web.routes import Routes

WRITING = (Conflict, InvalidConfig, VaultError)
CHANGING = (*WRITING, PreconditionFailed)

routes = Routes()


@routes.get("/types")
def list_types(call: Call) -> bodies.Catalogue:  # noqa: ARG001 - who is signed in may read it
    """The catalogue of integration types, with the JSON Schema of their config; secrets are `writeOnly`."""
    return {"types": [_describe_type(name) for name in catalogue.list_types()]}


@routes.get("/", also=HTTPStatus.NOT_MODIFIED, problems=(NotFound,))
def list_integrations(
    call: Call, query: bodies.IntegrationFilters
) -> bodies.IntegrationPage | bodies.OneIntegration:
    """List integrations, newest first; or read one by its id."""
    if query.id is None:
        return list_rows(call, query)
    call.parameters["id"] = str(query.id)
    return get_integration(call)


@routes.post(
    "/",
    status=HTTPStatus.CREATED,
    settles=WRITES,
    headers=("Location", "ETag", "Idempotent-Replayed"),
    problems=(*WRITING, IdempotencyMismatch),
)
def create_integration(call: Call, body: bodies.NewIntegration) -> bodies.CreatedIntegration:
    """Create an integration.

    Secrets that were made for it are in this reply and in no other, not even in that to the same Idempotency-Key.
    """
    row, made = create.create_integration(call, body)
    call.headers["Location"] = f"/functions/v1/integrations/{row['id']}"
    return _show_made(call, row, made)


@routes.patch("/", settles=WRITES, headers=("ETag",), problems=CHANGING)
def change_integration_by_id(
    call: Call, query: bodies.Named, body: bodies.ChangedIntegrationById
) -> bodies.OneIntegration:
    """Change the integration whose id is in the query or the body."""
    _name_integration(call, query, body.id)
    return change_integration(call, body)


@routes.delete("/", status=HTTPStatus.NO_CONTENT, settles=WRITES, problems=(Conflict, PreconditionFailed))
def delete_integration_by_id(call: Call, query: bodies.Named, body: bodies.Target | None) -> None:
    """Delete the integration whose id is in the query or the body."""
    _name_integration(call, query, body.id if body else None)
    delete_integration(call)


@routes.post("/test", budget=TESTS, problems=USING)
def test_config(call: Call, body: bodies.UnsavedIntegration) -> bodies.Verdict | EventStream:
    """Test a config before it is saved."""
    organization_id = str(body.organization_id)
    bind_log(organization=organization_id)
    integration_type = catalogue.resolve_type(body.integration_type, body.config or {})
    identity = Identity(organization_id, "", integration_type)
    provider = catalogue.load_safe_provider(body.config or {}, identity)
    call.database.call("require_role", p_organization_id=organization_id, p_role="admin")
    lend_own_codecs(provider, call.database)
    return answer_test(call, require(provider, Checker))


@routes.get("/{id}", also=HTTPStatus.NOT_MODIFIED, headers=("ETag",))
def get_integration(call: Call) -> bodies.OneIntegration:
    """Read one integration."""
    return _show_row(call, read_row(call))


@routes.patch("/{id}", settles=WRITES, headers=("ETag",), problems=CHANGING)
def change_integration(call: Call, body: bodies.ChangedIntegration) -> bodies.OneIntegration:
    """Change an integration: a merge patch, in which `null` in the config removes."""
    _require_same(call, body.id)
    return _show_row(call, patch.patch_integration(call, body))


@routes.delete("/{id}", status=HTTPStatus.NO_CONTENT, settles=WRITES, problems=(PreconditionFailed,))
def delete_integration(call: Call) -> None:
    """Delete an integration.

    Its devices and telemetry stay; its pending deliveries are cancelled.
    """
    versions = list_versions(call.request.headers.get("If-Match"))
    write_row(call, "delete", {"id": call.integration_id, "versions": versions})


@routes.post("/{id}/rotate-secret", settles=WRITES, headers=("ETag",), problems=(*CHANGING, NotSupported))
def rotate_secret(call: Call, body: bodies.Rotation | None) -> bodies.CreatedIntegration:
    """Make a secret anew and show it once; the old one stays in use for the grace period."""
    row, made = rotate.rotate_secret(call, body or bodies.Rotation())
    return _show_made(call, row, made)


@routes.post("/{id}/test", budget=TESTS, problems=USING)
def test_integration(call: Call, body: bodies.Trial | None) -> bodies.Verdict | EventStream:
    """Test the connection of a saved integration, or what it would be with another config."""
    if body and body.config is not None:
        provider = patch.merge_patch(read_sealed(call), body.config).provider
        lend_own_codecs(provider, call.database)
        return answer_test(call, require(provider, Checker))
    return answer_test(call, reach_provider(call, Checker), partial(_record_test, call))


@routes.get("/{id}/activity")
def list_activity(call: Call, query: bodies.ActivityFilters) -> bodies.ActivityPage:
    """List what happened to an integration, newest first."""
    rows, next_cursor = list_page(call, bodies.ActivityRow, "integration_activity", query)
    return {"activity": rows, "next_cursor": next_cursor}


@routes.get("/{id}/activity.csv", media="text/csv", headers=("Content-Disposition",))
def export_activity(call: Call, query: bodies.ActivityFilters) -> str:
    """Export what happened to an integration as CSV, newest first: up to 10,000 lines.

    `from` and `to` narrow it. No cell is one that a spreadsheet would take for a formula.
    """
    call.headers["Content-Disposition"] = f'attachment; filename="activity-{call.integration_id}.csv"'
    return write_csv(list_export(call, query))


def _record_test(call: Call, verdict: bodies.Verdict) -> None:
    failed = next((check.name for check in verdict["checks"] if not check.ok), None)
    call.database.call("record_test", p_integration_id=call.integration_id, p_failed=failed)


def _name_integration(call: Call, query: bodies.Named, named: uuid.UUID | None) -> None:
    """Have the id where a path would have it: that in the query, or else that in the body."""
    chosen = query.id or named
    if chosen is None:
        problem = FieldError("id", "Required: in the path, as ?id= or in the body.")
        raise BadRequest(
            "Which integration? Name it in the path, as ?id= or as id in the body.", errors=[problem]
        )
    call.parameters["id"] = str(chosen)
    _require_same(call, named)


def _require_same(call: Call, named: uuid.UUID | None) -> None:
    if named and str(named) != call.integration_id:
        raise Conflict("The body names another integration than the address; leave one of the two out.")


def _show_made(call: Call, row: IntegrationRow, made: dict[str, str]) -> bodies.CreatedIntegration:
    integration = _show_row(call, row)["integration"]
    return {"integration": integration, "generated": made} if made else {"integration": integration}


def _show_row(call: Call, row: IntegrationRow) -> bodies.OneIntegration:
    """The reply that shows one row, with the ETag of what it shows."""
    bind_log(organization=row["organization_id"], integration=row["id"])
    shown: bodies.OneIntegration = {"integration": _rename_columns(row)}
    call.headers["ETag"] = make_tag(row["version"], shown)
    return shown


def _rename_columns(row: IntegrationRow) -> bodies.Integration:
    return {
        "id": row["id"],
        "organization_id": row["organization_id"],
        "integration_type": row["integration_type"],
        "name": row["name"],
        "status": row["status"],
        "config": row["settings"],
        "secrets": row["secret_names"],
        "device_count": row["device_count"],
        "last_sync_at": row["last_sync_at"],
        "sync_status": row["sync_status"],
        "error_message": row["error_message"],
        "created_at": row["created_at"],
        "created_by": row["created_by"],
        "updated_at": row["updated_at"],
        "health": row["health"],
    }


@cache
def _describe_type(name: str) -> bodies.IntegrationType:
    provider = catalogue.find_provider(name)
    return {
        "type": name,
        "label": provider.label,
        "docs": provider.docs,
        "capabilities": provider.capabilities(),
        "config_schema": provider.model_json_schema(),
    }
