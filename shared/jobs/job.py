"""What a kind of job is given, and what it can answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar

from pydantic import BaseModel

from shared.integrations.sealing import SealedIntegration
from shared.provider import Provider
from shared.runtime.database.client import Database
from shared.runtime.deadline import Deadline

LEASE_SECONDS = 30
"""How long a job is held without a sign of its worker; a running one is renewed by itself."""


class LeasedJob(TypedDict):
    """What `lease_jobs` answers of each job."""

    id: str
    kind: str
    request: dict[str, Any]
    state: dict[str, Any] | None
    """Null where it is too large to be read, as is `progress`."""
    progress: dict[str, Any] | None
    attempts: int
    created_at: str
    lease_token: str
    integration: SealedIntegration


Request = TypeVar("Request", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Done:
    """Finished well. `report` is for people; where there is none, the last progress says it all."""

    report: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Finished, and trying again would not help; `error` says why."""

    error: str
    report: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Not finished: due again in `seconds`, to go on from what was saved."""

    seconds: float = 0.0


JobOutcome = Done | Failed | Again


@dataclass
class Job(Generic[Request]):
    """One job while it is held: what was asked, and where the last run stopped.

    `state` is where to go on, `{}` at first; `progress` what people see of it. Return `Again()` once `deadline` has
    expired. OutsideErrors and Unavailable may pass: the job is tried again with growing pauses.
    """

    row: LeasedJob
    request: Request
    provider: Provider
    database: Database
    deadline: Deadline
    state: dict[str, Any] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    saves: int = 0

    @property
    def lease(self) -> dict[str, str]:
        """What a SQL function needs to know that the job is still held: `p_job_id`, `p_lease_token`."""
        return {"p_job_id": self.row["id"], "p_lease_token": self.row["lease_token"]}

    def save(self, state: Mapping[str, object], progress: Mapping[str, object]) -> None:
        """Commit a step: whoever goes on does so from `state`. LeaseLost where somebody else has taken over."""
        self.database.call(
            "save_job", **self.lease, p_state=state, p_progress=progress, p_lease_seconds=LEASE_SECONDS
        )
        self.state, self.progress = dict(state), dict(progress)
        self.saves += 1
