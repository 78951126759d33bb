"""Jobs from their lease to their end, by the code that a tick runs, over a running stack's database."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict

from shared.jobs import Again, Done, Job, JobOutcome
from shared.jobs.kinds import Kind
from shared.jobs.pool import run_jobs
from shared.provider import Capability, Commander, Subscriber
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.errors import TimedOut
from shared.runtime.idle_watch import Pulse
from tests.platform import Platform
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.usefixtures("functions_environment")

Run = Callable[[Job[Any]], JobOutcome | None]
IDLE_SECONDS = 0.8


class Request(BaseModel):
    """What a probe may be asked for."""

    model_config = ConfigDict(extra="forbid")

    pages: int = 3


@pytest.fixture
def integration_id(admin: Platform) -> str:
    return str(admin.create("webhook", {"url": "http://127.0.0.1:9/hook"})["id"])


def begin(admin: Platform, integration_id: str, **request: Any) -> str:
    with admin.stack.connect() as connection:
        row = connection.execute(
            "insert into integration_jobs (organization_id, integration_id, kind, request)"
            " values (%s, %s, 'probe', %s) returning id",
            (admin.user.organization_id, integration_id, Jsonb(request)),
        ).fetchone()
    assert row is not None
    return str(row[0])


def work(run: Run, capability: type[Capability] = Subscriber, seconds: float = 20) -> Counter[str]:
    """What a tick does, with `run` as the only kind, until it has been idle for a moment."""
    kind, deadline, pulse = Kind("probe", Request, capability, run), Deadline(seconds), Pulse()
    ending = threading.Thread(target=end_when_idle, args=(deadline, pulse))
    ending.start()
    try:
        return run_jobs(as_service(), deadline, pulse, lambda _: kind)
    finally:
        deadline.shorten()
        ending.join()


def end_when_idle(deadline: Deadline, pulse: Pulse) -> None:
    while not deadline.expired and pulse.idle_seconds() < IDLE_SECONDS:
        time.sleep(0.02)
    deadline.shorten()


def read(admin: Platform, integration_id: str, job_id: str) -> dict[str, Any]:
    reply = admin.call("GET", f"/integrations/{integration_id}/jobs/{job_id}")
    assert reply.status_code == 200, reply.text
    return dict(reply.json()["job"])


def count_pages(job: Job[Request]) -> JobOutcome:
    for page in range(job.state.get("page", 0), job.request.pages):
        job.save({"page": page + 1}, {"pages": page + 1})
    return Done({"pages": job.state["page"]})


def test_a_job_is_done_and_says_what_came_of_it(admin: Platform, integration_id: str) -> None:
    job_id = begin(admin, integration_id, pages=2)

    counts = work(count_pages)

    job = read(admin, integration_id, job_id)
    assert counts == {"done": 1}
    assert (job["status"], job["progress"], job["report"]) == ("done", {"pages": 2}, {"pages": 2})
    assert "state" not in job
    assert "lease_token" not in job


def test_what_fails_outside_is_tried_again_from_the_last_step(admin: Platform, integration_id: str) -> None:
    job_id, begun_at = begin(admin, integration_id), []

    def fail_once(job: Job[Request]) -> JobOutcome:
        begun_at.append(job.state.get("page", 0))
        if not begun_at[:-1]:
            job.save({"page": 2}, {"pages": 2})
            raise TimedOut("It did not answer.")
        return count_pages(job)

    first = work(fail_once)
    told = read(admin, integration_id, job_id)
    with admin.stack.connect() as connection:
        connection.execute("update integration_jobs set due_at = now()")
    second = work(fail_once)

    assert (first, second) == ({"retried": 1}, {"done": 1})
    assert (told["status"], told["error"]) == ("pending", "It did not answer.")
    assert begun_at == [0, 2]
    assert read(admin, integration_id, job_id)["error"] is None


def test_a_defect_ends_its_job_and_no_other(admin: Platform, integration_id: str) -> None:
    other = str(admin.create("webhook", {"url": "http://127.0.0.1:9/other"})["id"])
    jobs = {begin(admin, integration_id, pages=1): integration_id, begin(admin, other, pages=2): other}

    def break_one(job: Job[Request]) -> JobOutcome:
        return Done({"result": 1 // (job.request.pages - 1)})

    counts = work(break_one)

    assert counts == {"done": 1, "failed": 1}
    failed = next(job for job in (read(admin, i, j) for j, i in jobs.items()) if job["status"] == "failed")
    assert failed["error"] == "It failed on our side; the log has the details."


@pytest.mark.parametrize("report", [{"text": "a\x00b"}, {"text": "\ud800"}, {"text": object()}])
def test_what_can_not_be_kept_of_a_job_fails_it_instead_of_being_made_again(
    admin: Platform, integration_id: str, report: dict[str, object]
) -> None:
    job_id = begin(admin, integration_id)

    counts = work(lambda _: Done(report))

    assert counts == {"failed": 1}
    assert "can't be kept" in read(admin, integration_id, job_id)["error"]


@pytest.mark.parametrize(
    ("request_", "capability", "told"),
    [({"pages": "x", "y": 1}, Subscriber, "pages, y"), ({}, Commander, "have no")],
)
def test_a_request_written_past_the_api_is_refused_with_its_reason(
    admin: Platform, integration_id: str, request_: dict[str, Any], capability: type[Capability], told: str
) -> None:
    job_id = begin(admin, integration_id, **request_)

    work(count_pages, capability)

    job = read(admin, integration_id, job_id)
    assert job["status"] == "failed"
    assert told in job["error"]


def test_the_end_of_a_tick_is_no_failure(admin: Platform, integration_id: str) -> None:
    job_id = begin(admin, integration_id)

    def outlast(job: Job[Request]) -> JobOutcome:
        while not job.deadline.expired:
            time.sleep(0.01)
        raise TimedOut

    counts = work(outlast, seconds=1)

    assert counts == {"put_off": 1}
    assert read(admin, integration_id, job_id) | {"status": "pending", "error": None, "attempts": 0} == read(
        admin, integration_id, job_id
    )


def test_a_cancelled_job_stops_at_its_next_step(admin: Platform, integration_id: str) -> None:
    job_id, stepped = begin(admin, integration_id), threading.Event()
    path = f"/integrations/{integration_id}/jobs/{job_id}/cancel"

    def go_on(job: Job[Request]) -> JobOutcome:
        while not job.deadline.expired:
            job.save({}, {"saves": job.saves})
            stepped.set()
        return Again()

    counts: list[Counter[str]] = []
    working = threading.Thread(target=lambda: counts.append(work(go_on, seconds=PATIENCE_SECONDS)))
    working.start()
    assert stepped.wait(PATIENCE_SECONDS)
    reply = admin.call("POST", path)
    working.join()

    assert (reply.status_code, reply.json()["job"]["status"]) == (200, "cancelled")
    assert counts == [{"lost_leases": 1}]
    assert admin.call("POST", path).status_code == 200


def test_a_finished_job_can_not_be_cancelled(admin: Platform, integration_id: str) -> None:
    job_id = begin(admin, integration_id, pages=1)
    work(count_pages)

    reply = admin.call("POST", f"/integrations/{integration_id}/jobs/{job_id}/cancel")

    assert (reply.status_code, reply.json()["code"]) == (409, "conflict")


def test_jobs_are_listed_newest_first_and_narrowed(admin: Platform, integration_id: str) -> None:
    first = begin(admin, integration_id, pages=1)
    work(count_pages)
    second = begin(admin, integration_id)
    path = f"/integrations/{integration_id}/jobs"

    listed = [job["id"] for job in admin.call("GET", path).json()["jobs"]]
    done = [job["id"] for job in admin.call("GET", f"{path}?status=done").json()["jobs"]]

    assert (listed, done) == ([second, first], [first])
    assert admin.call("GET", f"{path}?status=x").status_code == 400


@pytest.mark.parametrize(
    ("role", "organization", "statuses"),
    [
        ("viewer", 0, (200, 403)),
        ("member", 0, (200, 403)),
        ("owner", 1, (404, 404)),
        ("stranger", 0, (404, 404)),
    ],
)
def test_members_see_a_job_and_only_admins_cancel_it(
    admin: Platform, integration_id: str, role: str, organization: int, statuses: tuple[int, int]
) -> None:
    path = f"/integrations/{integration_id}/jobs/{begin(admin, integration_id)}"
    caller = Platform(admin.stack, admin.stack.user(role, organization))

    answers = caller.call("GET", path), caller.call("POST", f"{path}/cancel")

    assert tuple(answer.status_code for answer in answers) == statuses
