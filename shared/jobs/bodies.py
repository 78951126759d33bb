"""What callers of an integration's jobs send, and what they get."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field
from typing_extensions import TypedDict

from shared.jobs.kinds import list_kinds
from shared.runtime.bodies import Body, Moment, Uuid
from shared.runtime.web.paging import PageQuery

Status = Literal["pending", "running", "done", "failed", "cancelled"]


def _check_kind(kind: str) -> str:
    if kind not in list_kinds():
        raise ValueError(f"Expected one of: {', '.join(list_kinds())}.")
    return kind


class JobFilters(PageQuery):
    """Which jobs are listed."""

    kind: (
        Annotated[str, AfterValidator(_check_kind), Field(json_schema_extra={"enum": [*list_kinds()]})] | None
    ) = None
    """Only of this kind."""
    status: Status | None = None
    """Only with this status."""


class NewJob(Body):
    """The body of POST …/jobs: the kind, and the fields of its request beside it."""

    model_config = ConfigDict(extra="allow")

    kind: str = Field(max_length=40)


class JobRow(TypedDict):
    """Long work on one integration; `error` is why the last try failed, `report` what came of a finished one."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid
    kind: str
    request: dict[str, object]
    status: Status
    progress: dict[str, object]
    report: dict[str, object] | None
    error: str | None
    attempts: int
    due_at: Moment
    created_by: Uuid | None
    created_at: Moment
    finished_at: Moment | None


OneJob = TypedDict("OneJob", {"job": JobRow})
JobPage = TypedDict("JobPage", {"jobs": list[JobRow], "next_cursor": str | None})
