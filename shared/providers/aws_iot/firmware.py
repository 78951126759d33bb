"""Firmware: images in a bucket, thing groups as cohorts, jobs as deployments and rollouts.

A job's id is the rollout's name; AWS makes one of an id once, for what is in the group when it begins. It keeps no
events of it: how each thing fares is read from its execution.
"""

from __future__ import annotations

from contextlib import suppress

from shared.provider import (
    Artifact,
    BadRequest,
    BegunRollout,
    Cohort,
    Conflict,
    Deadline,
    Deployment,
    DeviceFirmware,
    FieldError,
    Firmware,
    Item,
    Listing,
    NewArtifact,
    NotFound,
    NotSupported,
    OtaEvent,
    Package,
    Problem,
    RolloutPlan,
    RolloutTarget,
    name_refusals,
)
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.api import open_api, read_items
from shared.providers.aws_iot.bucket import PART, Bucket, BucketApi, explain_missing
from shared.providers.aws_iot.executions import (
    EXECUTIONS,
    MEMBERS,
    PAGE_SIZE,
    list_executions,
    list_members,
    read_next,
)
from shared.providers.aws_iot.jobs import (
    JobSettings,
    check_own,
    check_plan,
    describe_job,
    is_open,
    is_own,
    read_artifact_ids,
    read_begun,
    read_deployment,
)

JOBS_AT_ONCE = 25
NO_BUCKET = "Set firmware_bucket: AWS keeps images in a bucket of S3."
WRONG_PART = "In a bucket it has letters, digits and . _ - alone."


class JobsFirmware(Firmware):
    """See `Firmware`."""

    def __init__(self, account: Account, how: JobSettings, deadline: Deadline) -> None:
        self._account, self._how, self._deadline = account, how, deadline
        self._api = open_api(account, "iot", deadline)
        self._s3: BucketApi | None = None

    def __exit__(self, *details: object) -> None:
        """Close the connections."""
        try:
            if self._s3:
                self._s3.__exit__(*details)
        finally:
            self._api.__exit__(*details)

    # Artifacts

    def list_artifacts(self, after: str | None) -> Listing[Artifact]:
        """See `Firmware`; in the order of their names."""
        with name_refusals():
            return Listing(*self._bucket.list_images(after))

    def read_artifact(self, artifact_id: str) -> Artifact:
        """See `Firmware`."""
        with name_refusals():
            found = self._bucket.find(artifact_id)
            if found is None:
                raise explain_missing(artifact_id)
        return found

    def has_version(self, package: str, version: str) -> bool:
        """See `Firmware`."""
        for field, part in (("package", package), ("version", version)):
            if not PART.fullmatch(part):
                raise BadRequest(errors=[FieldError(field, WRONG_PART)])
        with name_refusals():
            return self._bucket.find(f"{package}:{version}") is not None

    def add_artifact(self, new: NewArtifact) -> Artifact:
        """See `Firmware`."""
        with name_refusals():
            self._bucket.put(new)
        return self.read_artifact(f"{new.package}:{new.version}")

    def delete_artifact(self, artifact_id: str) -> None:
        """See `Firmware`."""
        artifact = self.read_artifact(artifact_id)
        with name_refusals():
            self._bucket.delete(artifact)

    # Cohorts

    def list_cohorts(self, after: str | None) -> Listing[Cohort]:
        """See `Firmware`; AWS does not say how many things are in a group."""
        with name_refusals():
            reply = self._api.run("iot:ListThingGroups", query={"maxResults": PAGE_SIZE, "nextToken": after})
        names = [Item(each).text("groupName") for each in read_items(reply, "thingGroups")]
        return Listing([Cohort(name, name, None) for name in names if name], read_next(reply))

    def read_cohort(self, cohort_id: str) -> Cohort:
        """See `Firmware`."""
        with name_refusals():
            name = (
                Item(self._api.run("iot:DescribeThingGroup", cohort_id)).text("thingGroupName") or cohort_id
            )
        return Cohort(name, name, None)

    def add_cohort(self, name: str) -> Cohort:
        """See `Firmware`."""
        with name_refusals():
            self._api.run("iot:CreateThingGroup", name, body={})
        return Cohort(name, name, 0)

    def list_packages(self, after: str | None) -> Listing[Package]:
        """See `Firmware`."""
        with name_refusals():
            return Listing(*self._bucket.list_packages(after))

    def list_deployments(self, cohort_id: str, after: str | None) -> Listing[Deployment]:
        """See `Firmware`; the newest first."""
        query = {"thingGroupName": cohort_id, "maxResults": JOBS_AT_ONCE, "nextToken": after}
        with name_refusals():
            reply = self._api.run("iot:ListJobs", query=query)
            jobs = [Item(each) for each in read_items(reply, "jobs")]
            read = [read_deployment(job, self._read_artifacts(job.text("jobId") or "")) for job in jobs]
        return Listing(read, read_next(reply))

    def add_deployment(self, cohort_id: str, name: str, artifact_ids: list[str]) -> Deployment:
        """See `Firmware`."""
        artifacts = tuple(self.read_artifact(each) for each in artifact_ids)
        begun = self.begin(RolloutPlan(name, RolloutTarget(cohort_id), artifacts))
        return Deployment(begun.reference, name, tuple(artifact_ids), begun.at)

    # Rollouts

    def find(self, plan: RolloutPlan) -> BegunRollout | None:
        """See `Firmware`. BadRequest for what can be no job."""
        check_plan(plan)
        found = self._find(plan.name)
        return read_begun(found) if found else None

    def begin(self, plan: RolloutPlan) -> BegunRollout:
        """See `Firmware`. Conflict where another job stands under the name."""
        check_plan(plan)
        found = self._find(plan.name)
        if found is None:
            with name_refusals():
                group = Item(self._api.run("iot:DescribeThingGroup", str(plan.target.cohort_id)))
            addresses = {each.id: self._bucket.locate(self._account, each) for each in plan.artifacts}
            job = describe_job(plan, group.text("thingGroupArn") or "", addresses, self._how)
            # It is there already where an earlier try has made it and its answer was an error.
            with suppress(Conflict), name_refusals():
                self._api.run("iot:CreateJob", plan.name, body=job)
                return read_begun(self._find(plan.name) or Item({"jobId": plan.name}))
            found = self._find(plan.name)
        if found is None or not self._installs(plan):
            raise Conflict(f"AWS has another job named {plan.name} already.")
        check_own(found, plan, self._how)
        return read_begun(found)

    def withdraw(self, plan: RolloutPlan) -> None:
        """See `Firmware`: things that have begun go on, those that have not get nothing."""
        if not self._is_open(plan) or not self._installs(plan):
            return
        try:
            with name_refusals():
                self._api.run("iot:CancelJob", plan.name, body={"comment": "Cancelled by an admin."})
        except Problem as problem:
            # It has ended meanwhile, or an earlier try has cancelled it and its answer was an error.
            if not problem.is_final or self._is_open(plan):
                raise

    def list_events(self, plan: RolloutPlan, since: str, after: str | None) -> Listing[OtaEvent]:  # noqa: ARG002 - there are none
        """See `Firmware`: AWS keeps none."""
        return Listing([])

    def list_devices(self, plan: RolloutPlan, after: str | None) -> Listing[DeviceFirmware]:
        """See `Firmware`: who is in the group first, as long as the job is offered to more, then its executions."""
        phase, _, token = (after or "").partition(" ")
        if not phase:
            if found := self._find(plan.name):
                check_own(found, plan, self._how)
            phase = MEMBERS if found and is_open(found) else EXECUTIONS
        listed = list_members if phase == MEMBERS else list_executions
        with name_refusals():
            return listed(self._api, plan, token)

    def _is_open(self, plan: RolloutPlan) -> bool:
        """Whether its own job is; one of the name that goes elsewhere is another's."""
        found = self._find(plan.name)
        return found is not None and is_open(found) and is_own(found, plan, self._how)

    def _installs(self, plan: RolloutPlan) -> bool:
        return self._read_artifacts(plan.name) == tuple(sorted(each.id for each in plan.artifacts))

    def _find(self, name: str) -> Item | None:
        try:
            with name_refusals():
                return Item(self._api.run("iot:DescribeJob", name)).item("job")
        except NotFound:
            return None

    def _read_artifacts(self, name: str) -> tuple[str, ...]:
        """Nothing of a job that is gone meanwhile."""
        try:
            with name_refusals():
                document = Item(self._api.run("iot:GetJobDocument", name)).fields.get("document")
        except NotFound:
            return ()
        return read_artifact_ids(document)

    @property
    def _bucket(self) -> Bucket:
        if self._how.bucket is None:
            raise NotSupported(NO_BUCKET)
        if self._s3 is None:
            self._s3 = BucketApi(self._account, "s3", self._deadline, self._account.locate("s3"))
        return Bucket(self._s3, self._how.bucket, self._how.folder)
