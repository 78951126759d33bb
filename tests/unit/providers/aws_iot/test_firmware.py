"""Firmware: images in a bucket, groups as cohorts, jobs begun once and followed execution by execution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from shared.provider import (
    Artifact,
    BadRequest,
    Conflict,
    Deadline,
    Item,
    NewArtifact,
    NotFound,
    NotSupported,
    ProviderRefused,
    RolloutPlan,
    RolloutTarget,
    judge_state,
)
from shared.providers.aws_iot.firmware import JobsFirmware
from shared.providers.aws_iot.jobs import JobSettings, read_artifact_ids, read_execution
from tests.fakes.aws import FakeAws, Fault
from tests.unit.providers.aws_iot.accounts import make_account

pytestmark = pytest.mark.usefixtures("allow_loopback")
ROLE = "arn:aws:iam::123456789012:role/download"
HOW = JobSettings(
    "acme-firmware", download_role_arn=ROLE, rate_per_minute=50, timeout_minutes=60, integration_id="ours"
)


@pytest.fixture
def firmware(aws: FakeAws) -> Iterator[JobsFirmware]:
    make_bucket(aws)
    with JobsFirmware(make_account(aws), HOW, Deadline(60)) as opened:
        yield opened


def make_bucket(aws: FakeAws) -> None:
    import httpx

    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260102/eu-west-1/s3/aws4_request, "
        "SignedHeaders=host, Signature=0"
    }
    body = "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    httpx.put(
        f"{aws.moto.geturl()}/acme-firmware", content=body, headers=headers, timeout=60
    ).raise_for_status()


def make_fleet(aws: FakeAws, count: int = 3) -> list[str]:
    """Things in the group plant."""
    aws.ask("POST", "/thing-groups/plant", {})
    names = [f"pump-{number}" for number in range(count)]
    for name in names:
        aws.ask("POST", f"/things/{name}", {})
        aws.ask("PUT", "/thing-groups/addThingToThingGroup", {"thingName": name, "thingGroupName": "plant"})
    return names


def upload(firmware: JobsFirmware, version: str = "1.3") -> Artifact:
    return firmware.add_artifact(NewArtifact("main", version, b"image" * 100))


def make_plan(firmware: JobsFirmware, name: str = "spring") -> RolloutPlan:
    return RolloutPlan(name, RolloutTarget("plant"), (upload(firmware),))


def test_an_image_is_uploaded_found_listed_and_deleted(firmware: JobsFirmware) -> None:
    made = upload(firmware)

    assert (made.id, made.package, made.version, made.size) == ("main:1.3", "main", "1.3", 500)
    assert firmware.has_version("main", "1.3")
    assert not firmware.has_version("main", "1")
    assert firmware.list_artifacts(None).items == [made]
    assert [package.id for package in firmware.list_packages(None).items] == ["main"]
    firmware.delete_artifact(made.id)
    with pytest.raises(NotFound):
        firmware.read_artifact(made.id)


@pytest.mark.parametrize(("package", "version"), [("a/b", "1"), ("main", "1+2"), ("..", "1"), ("main", "")])
def test_what_is_no_name_of_an_object_is_refused_by_its_field(
    firmware: JobsFirmware, package: str, version: str
) -> None:
    with pytest.raises(BadRequest):
        firmware.has_version(package, version)


def test_without_a_bucket_it_is_said_what_is_missing(aws: FakeAws) -> None:
    with (
        JobsFirmware(make_account(aws), JobSettings(), Deadline(9)) as firmware,
        pytest.raises(NotSupported, match="firmware_bucket"),
    ):
        firmware.list_artifacts(None)


def test_groups_are_cohorts(firmware: JobsFirmware) -> None:
    firmware.add_cohort("plant")

    assert [(cohort.id, cohort.device_count) for cohort in firmware.list_cohorts(None).items] == [
        ("plant", None)
    ]
    assert firmware.read_cohort("plant").name == "plant"
    with pytest.raises(NotFound):
        firmware.read_cohort("nothing")


def test_a_job_says_what_to_install_and_is_found_by_its_name(aws: FakeAws, firmware: JobsFirmware) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    assert firmware.find(plan) is None

    begun = firmware.begin(plan)

    assert begun.reference == "spring"
    document = json.loads(aws.jobs["spring"].body["document"])
    url = f"${{aws:iot:s3-presigned-url:{aws.url}/acme-firmware/firmware/main/1.3}}"
    assert document == {
        "operation": "firmware_update",
        "artifacts": [{"package": "main", "version": "1.3", "url": url}],
    }
    job = aws.jobs["spring"].body
    assert (job["targetSelection"], job["presignedUrlConfig"]) == (
        "SNAPSHOT",
        {"roleArn": ROLE, "expiresInSec": 3600},
    )
    assert [each.endswith(":thinggroup/plant") for each in job["targets"]] == [True]


def test_a_job_is_begun_once_whatever_is_lost(aws: FakeAws, firmware: JobsFirmware) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    aws.faults.append(Fault("PUT /jobs/spring", close="after"))
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a lost answer comes to
        firmware.begin(plan)

    again = [firmware.begin(plan) for _ in range(2)]

    assert {each.reference for each in again} == {"spring"}
    assert len(aws.jobs) == 1


@pytest.mark.parametrize("failures", [1, 2])
def test_a_job_whose_answer_was_an_error_all_the_same_is_ours(
    aws: FakeAws, firmware: JobsFirmware, failures: int
) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    aws.faults.append(Fault("PUT /jobs/spring", status=500, works=True, times=failures))

    assert firmware.begin(plan).reference == "spring"
    assert len(aws.jobs) == 1


def test_a_job_that_somebody_makes_meanwhile_under_the_name_is_a_conflict(
    aws: FakeAws, firmware: JobsFirmware
) -> None:
    make_fleet(aws)
    firmware.begin(make_plan(firmware))
    aws.faults.append(Fault("GET /jobs/spring$", status=404, name="ResourceNotFoundException"))

    with pytest.raises(Conflict):
        firmware.begin(RolloutPlan("spring", RolloutTarget("plant"), (upload(firmware, "1.4"),)))


@pytest.mark.parametrize("again", [[], [Fault("/cancel", status=400, name="InvalidRequestException")]])
def test_a_job_is_cancelled_also_where_the_answer_was_an_error(
    aws: FakeAws, firmware: JobsFirmware, again: list[Fault]
) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    firmware.begin(plan)
    aws.faults += [Fault("PUT /jobs/spring/cancel", status=500, works=True), *again]

    firmware.withdraw(plan)

    assert aws.jobs["spring"].status == "CANCELED"


def test_a_job_that_goes_on_is_not_told_as_cancelled(aws: FakeAws, firmware: JobsFirmware) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    firmware.begin(plan)
    aws.faults.append(Fault("/cancel", status=400, name="InvalidRequestException"))

    with pytest.raises(ProviderRefused):
        firmware.withdraw(plan)


def test_a_job_that_is_gone_meanwhile_hides_no_other(aws: FakeAws, firmware: JobsFirmware) -> None:
    names = make_fleet(aws)
    plans = [make_plan(firmware, name) for name in ("spring", "summer")]
    for plan in plans:
        firmware.begin(plan)
        for name in names:
            aws.jobs[plan.name].move(name, "FAILED", reason="no space")
    gone = Fault("GET /jobs/spring/job-document", status=404, name="ResourceNotFoundException")
    aws.faults += [gone, Fault(f"GET /things/{names[0]}/jobs", status=404, name="ResourceNotFoundException")]

    listed = {each.id: each.artifact_ids for each in firmware.list_deployments("plant", None).items}
    devices = firmware.list_devices(plans[0], "executions").items

    assert listed == {"spring": (), "summer": ("main:1.3",)}
    assert [each.packages["main"].message for each in devices] == [
        "The device reports that the job failed.",
        "reason: no space",
        "reason: no space",
    ]


def test_another_job_of_the_name_is_a_conflict(aws: FakeAws, firmware: JobsFirmware) -> None:
    make_fleet(aws)
    firmware.begin(make_plan(firmware))
    other = RolloutPlan("spring", RolloutTarget("plant"), (upload(firmware, "1.4"),))

    with pytest.raises(Conflict):
        firmware.begin(other)


def test_a_job_that_goes_to_another_group_is_neither_followed_nor_cancelled(
    aws: FakeAws, firmware: JobsFirmware
) -> None:
    make_fleet(aws)
    aws.ask("POST", "/thing-groups/other", {})
    plan = make_plan(firmware)
    firmware.begin(plan)
    other = RolloutPlan(plan.name, RolloutTarget("other"), plan.artifacts)

    with pytest.raises(Conflict, match="goes elsewhere"):
        firmware.begin(other)
    with pytest.raises(Conflict, match="goes elsewhere"):
        firmware.list_devices(other, None)
    firmware.withdraw(other)

    assert aws.jobs["spring"].status == "IN_PROGRESS"
    assert firmware.begin(plan).reference == "spring"


def test_a_job_of_another_integration_is_neither_taken_for_ours_nor_cancelled(
    aws: FakeAws, firmware: JobsFirmware
) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    firmware.begin(plan)

    with JobsFirmware(make_account(aws), replace(HOW, integration_id="theirs"), Deadline(60)) as other:
        with pytest.raises(Conflict, match="another integration's"):
            other.begin(plan)
        with pytest.raises(Conflict, match="another integration's"):
            other.list_devices(plan, None)
        other.withdraw(plan)

    assert aws.jobs["spring"].status == "IN_PROGRESS"
    assert firmware.begin(plan).reference == "spring"


@pytest.mark.parametrize("description", [None, "Somebody's own words"])
def test_a_job_that_does_not_say_whose_it_is_is_followed_and_cancelled_as_before(
    aws: FakeAws, firmware: JobsFirmware, description: str | None
) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    firmware.begin(plan)
    aws.jobs["spring"].body["description"] = description

    begun = firmware.begin(plan)
    firmware.withdraw(plan)

    assert (begun.reference, aws.jobs["spring"].status) == ("spring", "CANCELED")


def test_a_job_that_installs_something_else_is_not_cancelled(aws: FakeAws, firmware: JobsFirmware) -> None:
    make_fleet(aws)
    firmware.begin(make_plan(firmware))

    firmware.withdraw(RolloutPlan("spring", RolloutTarget("plant"), (upload(firmware, "1.4"),)))

    assert aws.jobs["spring"].status == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("name", "target", "field"),
    [
        ("spring 2026", RolloutTarget("plant"), "name"),
        ("x" * 65, RolloutTarget("plant"), "name"),
        ("ok", RolloutTarget(tag_id="t"), "tag_id"),
    ],
)
def test_what_can_be_no_job_is_refused_by_its_field(
    firmware: JobsFirmware, name: str, target: RolloutTarget, field: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        firmware.find(RolloutPlan(name, target, ()))

    assert [error.field for error in refusal.value.errors] == [field]


def read_states(firmware: JobsFirmware, plan: RolloutPlan) -> dict[str, str | None]:
    states: dict[str, str | None] = {}
    after = None
    while True:
        page = firmware.list_devices(plan, after)
        for device in page.items:
            said = device.packages.get("main")
            states[device.device] = judge_state(said, "1.3") if said else None
        if (after := page.after) is None:
            return states


def test_who_is_in_the_group_is_known_before_the_job_is_offered(aws: FakeAws, firmware: JobsFirmware) -> None:
    names, aws.holds_back = make_fleet(aws), True
    plan = make_plan(firmware)
    firmware.begin(plan)

    assert set(read_states(firmware, plan)) == set(names)
    aws.jobs["spring"].offer(1)
    assert [*read_states(firmware, plan).values()].count("pending") == 1


def test_each_execution_is_followed_and_says_why_it_failed(aws: FakeAws, firmware: JobsFirmware) -> None:
    good, slow, bad = make_fleet(aws)
    plan = make_plan(firmware)
    firmware.begin(plan)
    aws.jobs["spring"].move(good, "SUCCEEDED")
    aws.jobs["spring"].move(slow, "IN_PROGRESS")
    aws.jobs["spring"].move(bad, "FAILED", code="7", reason="no space")

    assert read_states(firmware, plan) == {good: "updated", slow: "downloading", bad: "failed"}
    messages = [each.packages["main"].message for each in firmware.list_devices(plan, "executions").items]
    assert messages == [None, None, "code: 7; reason: no space"]


def test_a_job_that_is_cancelled_is_so_at_aws_and_twice_is_no_harm(
    aws: FakeAws, firmware: JobsFirmware
) -> None:
    make_fleet(aws)
    plan = make_plan(firmware)
    firmware.begin(plan)

    firmware.withdraw(plan)
    firmware.withdraw(plan)
    firmware.withdraw(RolloutPlan("never-begun", plan.target, plan.artifacts))

    assert aws.jobs["spring"].status == "CANCELED"


def test_what_a_group_was_given_is_listed(aws: FakeAws, firmware: JobsFirmware) -> None:
    make_fleet(aws)
    artifact = upload(firmware)

    made = firmware.add_deployment("plant", "spring", [artifact.id])

    assert (made.id, made.artifact_ids) == ("spring", ("main:1.3",))
    listed = firmware.list_deployments("plant", None).items
    assert [(each.id, each.artifact_ids) for each in listed] == [("spring", ("main:1.3",))]


@pytest.mark.parametrize(
    ("status", "state", "version"),
    [
        ("QUEUED", "pending", None),
        ("IN_PROGRESS", "downloading", None),
        ("SUCCEEDED", "updated", "1.3"),
        ("FAILED", "failed", None),
        ("TIMED_OUT", "failed", None),
        ("REJECTED", "failed", None),
        ("CANCELED", "failed", None),
    ],
)
def test_an_execution_is_a_step_of_an_update(status: str, state: str, version: str | None) -> None:
    plan = RolloutPlan("spring", RolloutTarget("plant"), (Artifact("main:1.3", "main", "1.3"),))
    arn = "arn:aws:iot:eu-west-1:123456789012:thing/pump-1"
    summary = {"status": status, "lastUpdatedAt": 1_767_323_045.5}

    device = read_execution(plan, Item({"thingArn": arn, "jobExecutionSummary": summary}), None)

    assert device is not None
    said = device.packages["main"]
    assert (device.device, said.state, said.current_version) == ("pump-1", state, version)
    assert (said.at, said.message is not None) == ("2026-01-02T03:04:05.500000+00:00", state == "failed")


@pytest.mark.parametrize(
    "execution", [{}, {"thingArn": "x", "jobExecutionSummary": {"status": "REMOVED"}}, {"thingArn": 7}]
)
def test_what_is_no_execution_is_left_out(execution: Any) -> None:
    assert read_execution(RolloutPlan("s", RolloutTarget("g"), ()), Item(execution), None) is None


@pytest.mark.parametrize(
    "document", [None, "", "{", "[]", '{"artifacts": 7}', '{"artifacts": [{"package": "main"}]}']
)
def test_a_document_that_is_not_ours_names_nothing(document: Any) -> None:
    assert read_artifact_ids(document) == ()
