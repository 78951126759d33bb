"""The calls about jobs, below an integration's path: members see them, admins begin and cancel them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.integrations.scope import choose, list_page, read_id, read_part
from shared.jobs.kinds import find_kind, list_kinds
from shared.jobs.run import require_capability
from shared.provider.catalogue import find_provider
from shared.runtime.database.client import Database, as_user
from shared.runtime.errors import Conflict
from shared.runtime.web.rate_limits import WRITES, take_tokens
from shared.runtime.web.routing import Call, Reply, Router, parse_model, parse_uuid

STATUSES = ("pending", "running", "done", "failed", "cancelled")
COLUMNS = (
    "id,organization_id,integration_id,kind,request,status,progress,report,error,attempts,due_at,created_by,"
    "created_at,finished_at"
)


class NewJob(BaseModel):
    """The body of POST …/jobs: the kind, and the fields of its request beside it."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    kind: str = Field(max_length=40)


def add_job_routes(router: Router) -> None:
    """The calls below an integration's path."""
    router.route("GET", "/{id}/jobs")(list_jobs)
    router.route("POST", "/{id}/jobs")(begin_job)
    router.route("GET", "/{id}/jobs/{job_id}")(get_job)
    router.route("POST", "/{id}/jobs/{job_id}/cancel")(cancel_job)


def list_jobs(call: Call) -> Reply:
    """One page of its jobs, newest first; `kind` and `status` narrow it."""
    filters = {"kind": choose(call, "kind", list_kinds()), "status": choose(call, "status", STATUSES)}
    return list_page(call, "integration_jobs", COLUMNS, filters, "jobs")


def begin_job(call: Call) -> Reply:
    """Begin a job; 202, for it is done from the next tick on.

    Errors: NotSupported where the type can't, Conflict where one of the kind is not finished yet.
    """
    database, integration_id, body = as_user(call.user.token), read_id(call), call.json(NewJob)
    kind = find_kind(body.kind)
    wanted = parse_model(kind.request, body.model_extra or {})
    integration = _read_integration(database, integration_id)
    require_capability(find_provider(integration["integration_type"]), kind)
    take_tokens(call, database, WRITES, p_integration_id=integration_id)
    row = _insert(
        database,
        {
            "organization_id": integration["organization_id"],
            "integration_id": integration_id,
            "kind": kind.name,
            "request": wanted.model_dump(mode="json", exclude_unset=True),
        },
    )
    location = f"/functions/v1/integrations/{integration_id}/jobs/{row['id']}"
    return Reply({"job": row}, HTTPStatus.ACCEPTED, {"Location": location})


def get_job(call: Call) -> Reply:
    """One job as it is now."""
    return Reply({"job": _read_job(call)})


def cancel_job(call: Call) -> Reply:
    """End a job that is not finished; Conflict once it is done or failed."""
    database, integration_id = as_user(call.user.token), read_id(call)
    job_id = parse_uuid(call.parameters["job_id"], "job_id")
    take_tokens(call, database, WRITES, p_integration_id=integration_id)
    database.call("cancel_job", p_integration_id=integration_id, p_job_id=job_id)
    return Reply({"job": _read_job(call)})


def _read_integration(database: Database, integration_id: str) -> dict[str, Any]:
    columns = "organization_id,integration_type"
    return database.read_one("device_integrations", {"select": columns, "id": f"eq.{integration_id}"})


def _insert(database: Database, values: dict[str, Any]) -> dict[str, Any]:
    try:
        return database.insert("integration_jobs", values, COLUMNS)
    except Conflict:
        raise Conflict(
            f"A {values['kind']} job of this integration is not finished yet; wait for it or cancel it."
        ) from None


def _read_job(call: Call) -> dict[str, Any]:
    return read_part(call, "integration_jobs", COLUMNS, job_id=call.parameters["job_id"])
