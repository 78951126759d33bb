"""What a config may hold, and the API behind it: devices, variables, firmware, the connection test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.provider import (
    BadRequest,
    Conflict,
    Deadline,
    DeviceChange,
    NewArtifact,
    NewDevice,
    NotFound,
    NotSupported,
    ProviderRefused,
    RolloutPlan,
    RolloutTarget,
)
from shared.runtime.errors import InvalidConfig
from tests.fakes.particle.server import FakeParticle
from tests.unit.providers.particle.account import make_particle

pytestmark = pytest.mark.usefixtures("allow_loopback")
DEVICE = "0123456789abcdef01234567"
OTHER = "f" * 24


@pytest.fixture
def fake() -> Iterator[FakeParticle]:
    with FakeParticle() as started:
        yield started


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"client_id": "a"}, "client_secret"),
        ({"client_secret": "b"}, "client_secret"),
        ({"access_token": "t", "client_id": "a"}, "client_id"),
        ({"sync_direction": "import"}, "config"),
        ({"access_token": "t", "product_id": None, "sync_groups": ["a"]}, "config"),
        ({"product_id": "a/b"}, "product_id"),
        ({"event_id_path": "$.a"}, "event_id_path"),
        ({"base_url": "ftp://x"}, "base_url"),
    ],
)
def test_what_can_not_be_is_said_at_its_field(config: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        make_particle(**config)

    assert [error.field for error in refusal.value.errors] == [field]


def test_without_credentials_nothing_is_synced_and_nothing_else_can_be_done() -> None:
    particle = make_particle()

    assert particle.sync_direction == "off"
    with pytest.raises(NotSupported, match="access_token"):
        _ = particle.account


def test_credentials_are_sent_to_particle_or_to_the_address_that_is_written() -> None:
    assert make_particle().locate({}) == ("https", "api.particle.io", "443")
    assert make_particle().locate({"base_url": "https://cloud.acme.example/"}) == (
        "https",
        "cloud.acme.example",
        "443",
    )


def test_devices_come_page_by_page_once_each_with_what_is_known(fake: FakeParticle) -> None:
    for number in range(250):
        fake.know(f"{number:024x}", groups=["a"] if number % 2 else ["a", "b"], notes="roof")
    seen = []
    with make_particle(fake, sync_groups=["b", "a"]).devices(Deadline(30)) as directory:
        cursor = None
        while True:
            page = directory.list_page(cursor)
            seen += page.devices
            if (cursor := page.next_cursor) is None:
                break

    assert sorted(each.id for each in seen) == sorted(fake.devices)
    assert seen[0].tags == ("a", "b")
    assert seen[0].attributes == {"notes": "roof", "status": "normal", "platform_id": "13"}
    assert (seen[0].firmware_version, seen[0].last_report) == ("1", "2026-11-20T10:00:00+00:00")
    assert directory.narrowed


@pytest.mark.parametrize("groups", [["a"], []])
def test_a_list_whose_groups_became_fewer_meanwhile_begins_anew(
    fake: FakeParticle, groups: list[str]
) -> None:
    for number in range(3):
        fake.know(f"{number:024x}", groups=["a"])

    with make_particle(fake, sync_groups=groups).devices(Deadline(30)) as directory:
        page = directory.list_page("1.2")

    assert (len(page.devices), page.next_cursor) == (3, None)


def test_a_device_is_added_claimed_named_and_grouped_and_twice_is_once(fake: FakeParticle) -> None:
    wanted = NewDevice("Roof", (DEVICE.upper(), "SN1"), ("field",))
    with make_particle(fake, claim_user="fleet@example.com").devices(Deadline(30)) as directory:
        made, again = (directory.settle(directory.create(wanted).id, wanted) for _ in range(2))
        found = directory.find(wanted)

    assert made
    assert again
    assert made.id == again.id == DEVICE
    assert found == again
    assert (made.name, made.tags) == ("Roof", ("field",))
    assert fake.devices[DEVICE]["claimed_by"] == "fleet@example.com"


def test_a_device_without_an_id_of_theirs_is_refused_for_good(fake: FakeParticle) -> None:
    with make_particle(fake).devices(Deadline(30)) as directory, pytest.raises(ProviderRefused) as refusal:
        directory.create(NewDevice("Roof", ("SN1",)))

    assert refusal.value.is_final
    assert "24 hex digits" in refusal.value.detail


def test_groups_are_changed_without_those_that_others_gave(fake: FakeParticle) -> None:
    fake.know(DEVICE, groups=["a", "b"])
    with make_particle(fake).devices(Deadline(30)) as directory:
        for _ in range(2):
            directory.update(DEVICE, DeviceChange("Roof", ("c",), ("a",)))

    assert (fake.devices[DEVICE]["name"], fake.devices[DEVICE]["groups"]) == ("Roof", ["b", "c"])


def test_what_is_not_there_is_absent_and_deleted_already(fake: FakeParticle) -> None:
    with make_particle(fake).devices(Deadline(30)) as directory:
        assert directory.get(OTHER) is None
        directory.delete(OTHER)


def test_a_token_that_may_not_read_devices_makes_none_absent(fake: FakeParticle) -> None:
    fake.know(DEVICE)
    fake.missing.add("devices:get")

    with (
        make_particle(fake).devices(Deadline(30)) as directory,
        pytest.raises(ProviderRefused, match="scopes"),
    ):
        directory.get(DEVICE)


def test_keys_and_certificates_are_the_factorys(fake: FakeParticle) -> None:
    with make_particle(fake).devices(Deadline(30)) as directory:
        for call in (
            lambda: directory.name_identity("a"),
            lambda: directory.add_key("a", "b", "c"),
            lambda: directory.add_authority("a"),
            lambda: directory.describe_certificate("a"),
        ):
            with pytest.raises(NotSupported, match="factory"):
                call()


def test_variables_are_read_one_by_one_and_can_not_be_written(fake: FakeParticle) -> None:
    fake.know(DEVICE, variables={"temp": "double", "all": "string"})
    fake.variables = {(DEVICE, "temp"): 21.5, (DEVICE, "all"): '{"a":{"b":2}}'}
    state = make_particle(fake).state(DEVICE)

    assert state.read(()) == {"all": {"a": {"b": 2}}, "temp": 21.5}
    assert state.read(("temp",)) == 21.5
    assert state.read(("all", "a", "b")) == 2
    with pytest.raises(ProviderRefused, match="no variable"):
        state.read(("none",))
    with pytest.raises(NotSupported):
        state.write(("temp",), 1, merge=False)
    with pytest.raises(NotSupported):
        state.remove(("temp",))


def test_a_version_is_uploaded_as_it_is_and_released_to_a_group(fake: FakeParticle) -> None:
    image = bytes(range(256)) * 8
    fake.know(DEVICE, groups=["field"])
    with make_particle(fake).firmware(Deadline(30)) as firmware:
        artifact = firmware.add_artifact(NewArtifact("main", "2", image))
        assert firmware.has_version("main", "2")
        assert not firmware.has_version("main", "3")
        plan = RolloutPlan("r", RolloutTarget(cohort_id="field"), (firmware.read_artifact(artifact.id),))
        begun = [firmware.begin(plan) for _ in range(2)]
        cohort = firmware.read_cohort("field")
        waiting = firmware.list_devices(plan, None).items

    assert fake.firmware == {2: image}
    assert begun[0] == begun[1]
    body = {"version": 2, "groups": ["field"], "product_default": False, "intelligent": True}
    assert fake.releases == [body, body]
    assert (cohort.device_count, cohort.active_deployment_id) == (1, "2")
    assert [each.packages["main"].current_version for each in waiting] == ["1"]


def test_a_release_need_not_be_immediate(fake: FakeParticle) -> None:
    fake.know(DEVICE, groups=["field"])
    fake.firmware[2] = b"x"
    with make_particle(fake, intelligent_releases=False).firmware(Deadline(30)) as firmware:
        firmware.add_deployment("field", "d", ["2"])

    assert [each["intelligent"] for each in fake.releases] == [False]


def test_what_firmware_can_not_be_is_said_in_words(fake: FakeParticle) -> None:
    fake.firmware[2] = b"x"
    with make_particle(fake).firmware(Deadline(30)) as firmware:
        for new in (NewArtifact("main", "1.2.3", b"x"), NewArtifact("modem", "2", b"x")):
            with pytest.raises(BadRequest):
                firmware.add_artifact(new)
        with pytest.raises(Conflict):
            firmware.add_artifact(NewArtifact("main", "2", b"x"))
        with pytest.raises(NotFound):
            firmware.read_cohort("none")
        with pytest.raises(BadRequest, match="one version"):
            firmware.add_deployment("field", "d", ["1", "2"])
        with pytest.raises(NotSupported, match="replace"):
            firmware.withdraw(RolloutPlan("r", RolloutTarget(cohort_id="a"), ()))
    with pytest.raises(NotSupported, match="product_id"):
        make_particle(fake, product_id=None).firmware(Deadline(30))


def test_the_connection_test_says_which_scope_is_missing(fake: FakeParticle) -> None:
    fake.know(DEVICE)
    fine = list(make_particle(fake).check())
    fake.missing.add("devices:list")

    *_, failed = make_particle(fake).check()

    assert [each.name for each in fine] == ["receive", "address", "product", "devices"]
    assert all(each.ok for each in fine)
    assert fine[-1].detail == "1 devices can be read."
    assert (failed.name, failed.ok) == ("devices", False)
    assert "devices:list" in failed.detail


def test_a_wrong_token_fails_the_connection_test_at_the_product(fake: FakeParticle) -> None:
    *_, failed = make_particle(fake, access_token="canary-token").check()

    assert (failed.name, failed.ok) == ("product", False)
    assert "canary" not in failed.detail
