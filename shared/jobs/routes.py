"""An integration's jobs: members see them, admins begin and cancel them."""

from __future__ import annotations

from http import HTTPStatus

from typing_extensions import TypedDict

from shared.integrations.scope import list_page, read_part
from shared.jobs.bodies import JobFilters, JobPage, JobRow, NewJob, OneJob
from shared.jobs.kinds import find_kind
from shared.jobs.run import require_capability
from shared.provider import find_provider
from shared.runtime.bodies import parse_model
from shared.runtime.errors import Conflict, NotSupported
from shared.runtime.web.call import Call
from shared.runtime.web.rate_limits import WRITES
from shared.runtime.web.routes import Routes

routes = Routes()


class _Integration(TypedDict):
    organization_id: str
    integration_type: str


@routes.get("/{id}/jobs")
def list_jobs(call: Call, query: JobFilters) -> JobPage:
    """List the jobs of an integration, newest first."""
    rows, next_cursor = list_page(call, JobRow, "integration_jobs", query)
    return {"jobs": rows, "next_cursor": next_cursor}


@routes.post(
    "/{id}/jobs",
    status=HTTPStatus.ACCEPTED,
    budget=WRITES,
    headers=("Location",),
    problems=(Conflict, NotSupported),
)
def begin_job(call: Call, body: NewJob) -> OneJob:
    """Begin a job, done from the next tick on; 409 while one of the kind is not finished."""
    kind = find_kind(body.kind)
    request = parse_model(kind.request, body.model_extra or {})
    query = {"id": f"eq.{call.integration_id}"}
    integration = call.database.read_one(_Integration, "device_integrations", query)
    require_capability(find_provider(integration["integration_type"]), kind)
    values = {
        "organization_id": integration["organization_id"],
        "integration_id": call.integration_id,
        "kind": kind.name,
        "request": request.model_dump(mode="json", exclude_unset=True),
    }
    try:
        job = call.database.insert(JobRow, "integration_jobs", values)
    except Conflict:
        raise Conflict(
            f"A {kind.name} job of this integration is not finished yet; wait for it or cancel it."
        ) from None
    call.headers["Location"] = f"/functions/v1/integrations/{call.integration_id}/jobs/{job['id']}"
    return {"job": job}


@routes.get("/{id}/jobs/{job_id}")
def get_job(call: Call) -> OneJob:
    """Read one job as it is now."""
    return {"job": read_part(call, JobRow, "integration_jobs", call.parameters["job_id"])}


@routes.post("/{id}/jobs/{job_id}/cancel", budget=WRITES, problems=(Conflict,))
def cancel_job(call: Call) -> OneJob:
    """End a job that is not finished; 409 once it is done or failed."""
    job_id = call.parameters["job_id"]
    call.database.call("cancel_job", p_integration_id=call.integration_id, p_job_id=job_id)
    return get_job(call)
