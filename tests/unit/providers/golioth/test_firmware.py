"""Golioth's firmware, against a real server that speaks as Golioth does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.provider import Artifact, NewArtifact, RolloutPlan, RolloutTarget
from shared.providers.golioth.api import Account
from shared.providers.golioth.firmware import GoliothFirmware
from shared.runtime.deadline import Deadline
from shared.runtime.errors import (
    BadRequest,
    Conflict,
    NotFound,
    NotSupported,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
)
from tests.fakes.golioth import FakeGolioth, Fault
from tests.fakes.golioth.firmware import add_device, install_update, make_artifact, make_cohort

pytestmark = pytest.mark.usefixtures("allow_loopback")

DEPLOY = r"POST .*/deployments"


@pytest.fixture
def firmware(fake: FakeGolioth) -> Iterator[GoliothFirmware]:
    account = Account(fake.url, fake.api_key, fake.project_id, fake.organization_id)
    with GoliothFirmware(account, Deadline(10)) as opened:
        yield opened


def plan_deployment(fake: FakeGolioth, name: str = "spring") -> RolloutPlan:
    artifact = make_artifact(fake, "main", "1.3")
    target = RolloutTarget(cohort_id=make_cohort(fake, "fleet")["cohortId"])
    return RolloutPlan(name, target, (Artifact(artifact["id"], "main", "1.3"),))


def plan_release(fake: FakeGolioth) -> RolloutPlan:
    artifact = make_artifact(fake, "main", "1.3")
    return RolloutPlan("spring", RolloutTarget(tag_id="beta"), (Artifact(artifact["id"], "main", "1.3"),))


def test_an_image_arrives_as_it_was_sent(fake: FakeGolioth, firmware: GoliothFirmware) -> None:
    content = bytes(range(256)) * 9000

    artifact = firmware.add_artifact(NewArtifact("main", "1.3", content))

    assert fake.store["contents"][artifact.id] == content
    assert (artifact.package, artifact.version, artifact.size) == ("main", "1.3", len(content))
    assert firmware.has_version("main", "1.3")
    assert not firmware.has_version("main", "1.4")


def test_artifacts_are_listed_page_by_page(fake: FakeGolioth, firmware: GoliothFirmware) -> None:
    fake.most_per_page = 2
    made = [make_artifact(fake, "main", f"1.{number}")["id"] for number in range(3)]

    first = firmware.list_artifacts(None)
    second = firmware.list_artifacts(first.after)

    assert [artifact.id for artifact in (*first.items, *second.items)] == made
    assert second.after is None


@pytest.mark.parametrize("after", ["x", "-1", "9" * 20])
def test_a_made_up_cursor_is_refused(firmware: GoliothFirmware, after: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        firmware.list_artifacts(after)

    assert refusal.value.errors[0].field == "cursor"


def test_refusals_are_told_by_what_they_mean_in_golioths_words(
    fake: FakeGolioth, firmware: GoliothFirmware
) -> None:
    plan = plan_deployment(fake)
    firmware.begin(plan)

    with pytest.raises(NotFound, match="artifact not found"):
        firmware.read_artifact("unknown")
    with pytest.raises(Conflict, match="already exists"):
        firmware.add_artifact(NewArtifact("main", "1.3", b"x"))
    with pytest.raises(Conflict, match="in use"):
        firmware.delete_artifact(plan.artifacts[0].id)


def test_a_deployment_is_made_once_however_often_it_is_begun(
    fake: FakeGolioth, firmware: GoliothFirmware
) -> None:
    plan = plan_deployment(fake)
    assert firmware.find(plan) is None

    begun = [firmware.begin(plan) for _ in range(2)]

    assert begun[0] == begun[1] == firmware.find(plan)
    assert list(fake.store["deployments"]) == [begun[0].reference]
    assert begun[0].at is not None


@pytest.mark.parametrize(
    "fault", [Fault(DEPLOY, status=500), Fault(DEPLOY, close="after"), Fault(DEPLOY, close="before")]
)
def test_a_deployment_whose_reply_was_lost_is_found_again(
    fake: FakeGolioth, firmware: GoliothFirmware, fault: Fault
) -> None:
    plan = plan_deployment(fake)
    fake.faults.append(fault)

    with pytest.raises(OutsideError):
        firmware.begin(plan)
    firmware.begin(plan)

    assert len(fake.store["deployments"]) == 1


def test_another_deployment_of_the_same_name_is_not_taken_for_ours(
    fake: FakeGolioth, firmware: GoliothFirmware
) -> None:
    plan = plan_deployment(fake)
    other = Artifact(make_artifact(fake, "main", "1.4")["id"], "main", "1.4")
    firmware.begin(RolloutPlan(plan.name, plan.target, (other,)))

    with pytest.raises(Conflict, match="another deployment"):
        firmware.begin(plan)


def test_a_deployment_can_not_be_taken_back(fake: FakeGolioth, firmware: GoliothFirmware) -> None:
    with pytest.raises(NotSupported, match="replace"):
        firmware.withdraw(plan_deployment(fake))


def test_a_release_is_made_once_switched_off_and_on_again(
    fake: FakeGolioth, firmware: GoliothFirmware
) -> None:
    plan = plan_release(fake)

    begun = firmware.begin(plan)
    firmware.withdraw(plan)
    (off,) = (item["rollout"] for item in fake.store["releases"].values())
    again = firmware.begin(plan)

    (release,) = fake.store["releases"].values()
    assert (release["releaseTags"], release["deviceTagIds"]) == (["spring"], ["beta"])
    assert (off, release["rollout"], again) == (False, True, begun)


def test_withdrawing_what_never_began_is_nothing(fake: FakeGolioth, firmware: GoliothFirmware) -> None:
    firmware.withdraw(plan_release(fake))

    assert not [call for call in fake.calls if call.startswith("PATCH")]


@pytest.mark.parametrize("newest_first", [False, True])
def test_events_are_read_to_their_end(
    fake: FakeGolioth, firmware: GoliothFirmware, *, newest_first: bool
) -> None:
    fake.most_per_page, fake.store["order"] = 3, {"newest_first": newest_first}
    cohort = make_cohort(fake, "fleet")["cohortId"]
    for number in range(2):
        install_update(fake, add_device(fake, f"d{number}", "1.2", cohort), "1.3")

    events, after = [], None
    while True:
        page = firmware.list_events(
            RolloutPlan("spring", RolloutTarget(cohort), ()), "2026-01-01T00:00:00+00:00", after
        )
        events += page.items
        after = page.after
        if after is None:
            break

    assert len(events) == 8
    assert len({event.at for event in events}) == 8


def test_the_devices_of_a_tag_are_listed_and_have_no_events(
    fake: FakeGolioth, firmware: GoliothFirmware
) -> None:
    wanted = add_device(fake, "a", "1.2", tags=("beta",))
    add_device(fake, "b", "1.2")

    plan = RolloutPlan("spring", RolloutTarget(tag_id="beta"), ())
    devices = firmware.list_devices(plan, None)

    assert [(device.device, device.packages["main"].current_version) for device in devices.items] == [
        (wanted, "1.2")
    ]
    assert firmware.list_events(plan, "2026-01-01T00:00:00Z", None).items == []


def test_cohorts_and_packages_are_listed(fake: FakeGolioth, firmware: GoliothFirmware) -> None:
    make_artifact(fake, "modem", "7")
    made = firmware.add_cohort("fleet")
    add_device(fake, "a", "1.2", made.id)

    assert [(cohort.name, cohort.device_count) for cohort in firmware.list_cohorts(None).items] == [
        ("fleet", 1)
    ]
    assert [package.id for package in firmware.list_packages(None).items] == ["modem"]
    assert firmware.list_deployments(made.id, None).items == []


def test_cohorts_without_an_organization_say_what_to_set(fake: FakeGolioth) -> None:
    account = Account(fake.url, fake.api_key, fake.project_id)
    with (
        GoliothFirmware(account, Deadline(5)) as firmware,
        pytest.raises(ProtocolFailed, match="organization_id"),
    ):
        firmware.list_cohorts(None)


def test_an_upload_that_golioth_may_have_is_not_sent_twice(
    fake: FakeGolioth, firmware: GoliothFirmware
) -> None:
    fake.faults.append(Fault(r"POST /artifacts", status=503))

    with pytest.raises(ProviderRefused):
        firmware.add_artifact(NewArtifact("main", "1.3", b"image"))

    assert len(fake.calls) == 1
