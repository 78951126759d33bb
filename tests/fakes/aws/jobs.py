"""Jobs and their executions, which moto gives other states than AWS: made for a group, moved by the tests."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from tests.fakes.aws.words import ACCOUNT, Answer, Asked, answer_json, refuse

if TYPE_CHECKING:
    from tests.fakes.aws.server import FakeAws

TOLD = {"targets", "description"}
"""What AWS tells of a job as it was told it."""

ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED")


@dataclass
class Job:
    """One job; `executions` by thing, `waiting` who is not offered it yet."""

    id: str
    body: dict[str, Any]
    waiting: list[str]
    created_at: float = field(default_factory=lambda: round(time.time(), 3))
    status: str = "IN_PROGRESS"
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    details: dict[str, dict[str, str]] = field(default_factory=dict)

    def offer(self, count: int | None = None) -> None:
        """Offer it to so many more things, to all without a number."""
        for thing in self.waiting[:count]:
            self.move(thing, "QUEUED")
        self.waiting = [] if count is None else self.waiting[count:]

    def move(self, thing: str, status: str, **details: str) -> None:
        """What a device reports of it, in whole seconds as AWS does."""
        now = int(time.time())
        before = self.executions.get(thing, {"queuedAt": now, "executionNumber": 1})
        self.executions[thing] = before | {"status": status, "lastUpdatedAt": now}
        self.details[thing] = details
        if not self.waiting and all(each["status"] in ENDED for each in self.executions.values()):
            self.status = "COMPLETED"

    def show(self) -> dict[str, Any]:
        return {
            "jobId": self.id,
            "jobArn": f"arn:aws:iot:eu-west-1:{ACCOUNT}:job/{self.id}",
            "status": self.status,
            "createdAt": self.created_at,
            "targetSelection": self.body["targetSelection"],
        }


def create(fake: FakeAws, asked: Asked) -> Answer:
    job_id, body = asked.path.split("/")[2], json.loads(asked.body)
    if job_id in fake.jobs:
        return refuse(409, "ResourceAlreadyExistsException", f"Job {job_id} already exists.")
    things: list[str] = []
    for target in body["targets"]:
        group = target.partition(":thinggroup/")[2]
        things += fake.ask("GET", f"/thing-groups/{group}/things?recursive=true")["things"]
    fake.jobs[job_id] = job = Job(job_id, body, things)
    if not fake.holds_back:
        job.offer()
    return answer_json({"jobArn": job.show()["jobArn"], "jobId": job_id})


def find(fake: FakeAws, asked: Asked, place: int = 2) -> Job | None:
    return fake.jobs.get(unquote(asked.path.split("/")[place]))


def absent() -> Answer:
    return refuse(404, "ResourceNotFoundException", "The job is not there.")


def describe(fake: FakeAws, asked: Asked) -> Answer:
    job = find(fake, asked)
    return (
        answer_json({"job": job.show() | {name: job.body[name] for name in TOLD & job.body.keys()}})
        if job
        else absent()
    )


def show_document(fake: FakeAws, asked: Asked) -> Answer:
    job = find(fake, asked)
    return answer_json({"document": job.body["document"]}) if job else absent()


def cancel(fake: FakeAws, asked: Asked) -> Answer:
    job = find(fake, asked)
    if not job:
        return absent()
    if job.status != "IN_PROGRESS":
        return refuse(409, "InvalidStateTransitionException", "The job has ended.")
    for thing, execution in job.executions.items():
        if execution["status"] == "QUEUED":
            job.move(thing, "CANCELED")
    job.waiting, job.status = [], "CANCELED"
    return answer_json({"jobId": job.id})


def list_jobs(fake: FakeAws, asked: Asked) -> Answer:
    group = asked.query.get("thingGroupName")
    jobs = sorted(fake.jobs.values(), key=lambda job: -job.created_at)
    wanted = [
        job for job in jobs if not group or any(each.endswith(f"/{group}") for each in job.body["targets"])
    ]
    return page(asked, "jobs", [job.show() for job in wanted])


def list_executions(fake: FakeAws, asked: Asked) -> Answer:
    job = find(fake, asked)
    if not job:
        return absent()
    arn = f"arn:aws:iot:eu-west-1:{ACCOUNT}:thing/"
    told = [{"thingArn": arn + thing, "jobExecutionSummary": each} for thing, each in job.executions.items()]
    return page(asked, "executionSummaries", told)


def describe_execution(fake: FakeAws, asked: Asked) -> Answer:
    job, thing = find(fake, asked, 4), unquote(asked.path.split("/")[2])
    if not job or thing not in job.executions:
        return absent()
    told = job.executions[thing] | {"jobId": job.id, "statusDetails": {"detailsMap": job.details[thing]}}
    return answer_json({"execution": told})


def page(asked: Asked, name: str, items: list[Any]) -> Answer:
    """The part of a list that is asked for."""
    begin, size = int(asked.query.get("nextToken", "0")), int(asked.query.get("maxResults", "25"))
    reply: dict[str, Any] = {name: items[begin : begin + size]}
    if begin + size < len(items):
        reply["nextToken"] = str(begin + size)
    return answer_json(reply)


OWN = {
    "iot:CreateJob": create,
    "iot:DescribeJob": describe,
    "iot:GetJobDocument": show_document,
    "iot:CancelJob": cancel,
    "iot:ListJobs": list_jobs,
    "iot:ListJobExecutionsForJob": list_executions,
    "iot:DescribeJobExecution": describe_execution,
}
