"""Things as a directory: listed, found, made with a certificate, changed for a version, deleted with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shared.devices.certificate_requests import make_request
from shared.devices.provisioning_steps import Provisioning, carry_out, complete
from shared.provider import (
    CredentialsRefused,
    Deadline,
    DeviceChange,
    NewDevice,
    NotSupported,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
)
from shared.providers.aws_iot.api import open_api
from shared.providers.aws_iot.certificates import read_key
from shared.providers.aws_iot.devices import Selection, ThingDirectory
from shared.providers.aws_iot.things import read_thing
from tests.fakes.aws import FakeAws, Fault
from tests.unit.providers.aws_iot.accounts import make_account

pytestmark = pytest.mark.usefixtures("allow_loopback")
NO_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----"


@pytest.fixture
def directory(aws: FakeAws) -> Iterator[ThingDirectory]:
    with open_api(make_account(aws), "iot", Deadline(60)) as api:
        yield ThingDirectory(api, Selection())


def add_thing(aws: FakeAws, thing: str, **attributes: str) -> None:
    aws.ask("POST", f"/things/{thing}", {"attributePayload": {"attributes": attributes}})


def test_things_are_listed_with_what_is_known_of_them(aws: FakeAws, directory: ThingDirectory) -> None:
    add_thing(aws, "pump-1", name="Pump1", tags="b,a", hardware_ids="hw-2,hw-1", site="north")

    page = directory.list_page(None)

    (thing,) = page.devices
    assert (thing.id, thing.name, thing.tags, thing.hardware_ids) == (
        "pump-1",
        "Pump1",
        ("a", "b"),
        ("hw-1", "hw-2"),
    )
    assert (dict(thing.attributes), page.next_cursor) == ({"site": "north"}, None)


def test_a_page_leads_to_the_next(aws: FakeAws, directory: ThingDirectory) -> None:
    aws.things = [{"thingName": f"t{number}"} for number in range(600)]
    names, cursor = [], None

    while True:
        page = directory.list_page(cursor)
        names += [thing.id for thing in page.devices]
        if (cursor := page.next_cursor) is None:
            break

    assert names == [f"t{number}" for number in range(600)]
    assert len(aws.calls) == 3


def test_a_group_is_a_cohort(aws: FakeAws) -> None:
    for name in ("pump-1", "pump-2"):
        add_thing(aws, name)
    aws.ask("POST", "/thing-groups/plant", {})
    aws.ask("PUT", "/thing-groups/addThingToThingGroup", {"thingName": "pump-2", "thingGroupName": "plant"})

    with open_api(make_account(aws), "iot", Deadline(60)) as api:
        directory = ThingDirectory(api, Selection(group="plant"))
        (thing,) = directory.list_page(None).devices

    assert (thing.id, thing.cohort, directory.narrowed) == ("pump-2", "plant", True)


@pytest.mark.parametrize(
    "wanted", [NewDevice("other", ("hw-1",)), NewDevice("pump-1"), NewDevice("pump-1", ("hw-9",))]
)
def test_a_thing_is_found_by_its_hardware_id_or_its_name(
    aws: FakeAws, directory: ThingDirectory, wanted: NewDevice
) -> None:
    add_thing(aws, "pump-1", hardware_ids="hw-1")

    found = directory.find(wanted)

    assert found is not None
    assert found.id == "pump-1"


@pytest.mark.parametrize("name", ["nobody", "Pump 1", "../jobs", "x" * 129])
def test_what_is_no_thing_is_not_found(directory: ThingDirectory, name: str) -> None:
    assert directory.get(name) is None
    assert directory.find(NewDevice(name)) is None


def test_a_thing_is_made_twice_without_harm(directory: ThingDirectory) -> None:
    wanted = NewDevice("pump-1", ("hw-1",), ("a",))

    made = [directory.create(wanted) for _ in range(2)]

    assert made[0] == made[1] == directory.get("pump-1")
    assert len(directory.list_page(None).devices) == 1


@pytest.mark.parametrize(
    "wanted", [NewDevice("Pump 1"), NewDevice("pump-1", ("hw 1",)), NewDevice("pump-1", (), ("a,b",))]
)
def test_what_aws_does_not_take_is_refused_by_us_for_good(
    aws: FakeAws, directory: ThingDirectory, wanted: NewDevice
) -> None:
    with pytest.raises(ProviderRefused) as refusal:
        directory.create(wanted)

    assert refusal.value.is_final
    assert aws.calls == []


def test_tags_are_changed_beside_other_attributes(aws: FakeAws, directory: ThingDirectory) -> None:
    add_thing(aws, "pump-1", tags="a,b", site="north")

    directory.update("pump-1", DeviceChange("Pump-One", ("c",), ("a",)))

    thing = directory.get("pump-1")
    assert thing is not None
    assert (thing.name, thing.tags, dict(thing.attributes)) == ("Pump-One", ("b", "c"), {"site": "north"})


def test_the_last_tag_can_go(aws: FakeAws, directory: ThingDirectory) -> None:
    add_thing(aws, "pump-1", tags="a", site="north")

    directory.update("pump-1", DeviceChange(remove_tags=("a",)))

    thing = directory.get("pump-1")
    assert thing is not None
    assert (thing.tags, dict(thing.attributes)) == ((), {"site": "north"})


def test_a_change_meanwhile_is_read_again(aws: FakeAws, directory: ThingDirectory) -> None:
    add_thing(aws, "pump-1")
    aws.faults.append(Fault("PATCH /things/pump-1", status=409, name="VersionConflictException"))

    directory.update("pump-1", DeviceChange(add_tags=("a",)))

    thing = directory.get("pump-1")
    assert thing is not None
    assert thing.tags == ("a",)


# Certificates


def prepare_policy(aws: FakeAws) -> str:
    document = '{"Version": "2012-10-17", "Statement": []}'
    aws.ask("POST", "/policies/things", {"policyDocument": document})
    return "things"


def open_directory(aws: FakeAws, policy: str | None) -> Any:
    return open_api(make_account(aws), "iot", Deadline(60)), Selection(new_policy=policy)


def test_a_certificate_is_made_of_a_request_and_the_key_stays_here(aws: FakeAws) -> None:
    opened, selection = open_directory(aws, prepare_policy(aws))
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        request, key = make_request("pump-1")

        pem = directory.certify("pump-1", request)

    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in key
    (principal,) = aws.ask("GET", "/things/pump-1/principals")["principals"]
    assert aws.ask("POST", f"/attached-policies/{principal.replace('/', '%2F').replace(':', '%3A')}")[
        "policies"
    ]


def test_a_lost_answer_makes_no_second_certificate_where_the_first_is_attached(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, selection = open_directory(aws, None)
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        request, _ = make_request("pump-1")
        # Moto signs another key than the request's, so which one it is is told for it.
        monkeypatch.setattr("shared.providers.aws_iot.certificates.read_key", lambda _pem: b"the same key")

        pems = {directory.certify("pump-1", request) for _ in range(3)}

    assert len(pems) == 1
    assert aws.calls.count("POST /certificates") == 1


def test_a_thing_goes_with_its_certificates(aws: FakeAws) -> None:
    policy = prepare_policy(aws)
    opened, selection = open_directory(aws, policy)
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        directory.certify("pump-1", make_request("pump-1")[0])

        directory.delete("pump-1")
        directory.delete("pump-1")

        assert directory.get("pump-1") is None
    assert aws.ask("GET", "/certificates")["certificates"] == []


def test_what_has_a_policy_that_is_not_there_goes_with_its_certificate(aws: FakeAws) -> None:
    opened, selection = open_directory(aws, "misspelt")
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        with pytest.raises(ProviderRefused, match="ResourceNotFoundException"):
            directory.certify("pump-1", make_request("pump-1")[0])

        directory.delete("pump-1")

        assert directory.get("pump-1") is None
    assert aws.ask("GET", "/certificates")["certificates"] == []


@pytest.mark.parametrize(
    "pattern", ["DELETE /things/pump-1/principals", "DELETE /certificates/", "DELETE /things/pump-1$"]
)
def test_a_thing_goes_also_where_an_answer_was_an_error(aws: FakeAws, pattern: str) -> None:
    opened, selection = open_directory(aws, prepare_policy(aws))
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        directory.certify("pump-1", make_request("pump-1")[0])
        aws.faults.append(Fault(pattern, status=500, works=True))

        directory.delete("pump-1")

        assert directory.get("pump-1") is None
    assert aws.ask("GET", "/certificates")["certificates"] == []


def test_what_was_detached_just_now_may_count_as_attached_for_some_seconds(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.aws_iot.certificates.SETTLING", (0.01, 0.01, 0.01))
    opened, selection = open_directory(aws, None)
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        directory.certify("pump-1", make_request("pump-1")[0])
        aws.faults += [
            Fault("DELETE /certificates/", status=409, name="DeleteConflictException", times=2),
            Fault("DELETE /things/pump-1$", status=400, name="InvalidRequestException", times=3),
        ]

        directory.delete("pump-1")

        assert directory.get("pump-1") is None
    assert aws.ask("GET", "/certificates")["certificates"] == []


def test_what_stays_attached_is_told(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.providers.aws_iot.certificates.SETTLING", (0.01,))
    opened, selection = open_directory(aws, None)
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        aws.faults.append(
            Fault("DELETE /things/pump-1$", status=400, name="InvalidRequestException", times=9)
        )

        with pytest.raises(ProviderRefused, match="InvalidRequestException"):
            directory.delete("pump-1")


# Undoing and completing


def plan(**wanted: Any) -> Provisioning:
    return Provisioning("p", NewDevice("pump-1", **wanted), csr=make_request("pump-1")[0])


def list_certificates(aws: FakeAws) -> list[str]:
    return [each["status"] for each in aws.ask("GET", "/certificates")["certificates"]]


def list_names(aws: FakeAws) -> list[str]:
    return [each["thingName"] for each in aws.ask("GET", "/things")["things"]]


@pytest.mark.parametrize(
    ("wanted", "denied"),
    [
        ({"cohort": "nowhere"}, set()),
        ({}, {"iot:CreateCertificateFromCsr"}),
        ({}, {"iot:AttachThingPrincipal"}),
        ({}, {"iot:AttachPolicy"}),
    ],
)
def test_whatever_part_is_refused_nothing_is_left(
    aws: FakeAws, wanted: dict[str, Any], denied: set[str]
) -> None:
    opened, selection = open_directory(aws, prepare_policy(aws))
    aws.denied |= denied
    with opened as api:
        ending = carry_out(ThingDirectory(api, selection), plan(**wanted), None)

    assert ending.error
    assert list_names(aws) == []
    assert list_certificates(aws) == []


@pytest.mark.parametrize(
    "pattern", ["POST /things/", "PUT /thing-groups/", "POST /certificates", "PUT /things/.*/principals"]
)
@pytest.mark.parametrize("close", ["before", "after"])
def test_what_was_cut_off_anywhere_is_completed_once(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch, pattern: str, close: str
) -> None:
    # Moto signs another key than the request's, so which one it is is told for it.
    monkeypatch.setattr("shared.providers.aws_iot.certificates.read_key", lambda _pem: b"the same key")
    aws.ask("POST", "/thing-groups/hall", {})
    opened, selection = open_directory(aws, prepare_policy(aws))
    wanted = plan(cohort="hall")
    with opened as api:
        directory = ThingDirectory(api, selection)
        aws.faults.append(Fault(pattern, times=99, close=close))
        with pytest.raises(OutsideError):
            carry_out(directory, wanted, None)
        aws.faults.clear()

        ending = complete(directory, wanted)

    assert ending.error is None
    assert aws.ask("GET", "/thing-groups/hall/things")["things"] == ["pump-1"]
    assert list_certificates(aws) == ["ACTIVE"]
    assert len(aws.ask("GET", "/things/pump-1/principals")["principals"]) == 1


def test_nobody_signs_in_any_more_whatever_of_a_deletion_is_cut_off(aws: FakeAws) -> None:
    opened, selection = open_directory(aws, prepare_policy(aws))
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        directory.certify("pump-1", make_request("pump-1")[0])
        aws.denied.add("iot:DetachThingPrincipal")

        with pytest.raises(CredentialsRefused):
            directory.delete("pump-1")

    assert list_certificates(aws) == ["INACTIVE"]


@pytest.mark.parametrize("pem", ["", "no certificate", NO_REQUEST])
def test_what_can_not_be_read_is_no_key_of_a_thing(
    aws: FakeAws, monkeypatch: pytest.MonkeyPatch, pem: str
) -> None:
    opened, selection = open_directory(aws, None)
    with opened as api:
        directory = ThingDirectory(api, selection)
        directory.create(NewDevice("pump-1"))
        request, _ = make_request("pump-1")
        directory.certify("pump-1", request)
        monkeypatch.setattr("shared.providers.aws_iot.certificates.read_key", lambda _pem: read_key(pem))

        directory.certify("pump-1", request)

    assert aws.calls.count("POST /certificates") == 2


def test_there_are_no_keys_and_no_authorities(directory: ThingDirectory) -> None:
    for refused in (
        lambda: directory.name_identity("pump"),
        lambda: directory.add_key("pump", "i", "k"),
        lambda: directory.add_authority("pem"),
    ):
        with pytest.raises(NotSupported):
            refused()


@pytest.mark.parametrize("wrong", [None, 7, {}, {"thingName": ""}, {"thingName": 5}])
def test_a_thing_without_a_name_is_no_thing(wrong: Any) -> None:
    with pytest.raises(ProtocolFailed):
        read_thing(wrong)


@pytest.mark.parametrize("attributes", [None, [], {"tags": 7}, {"hardware_ids": ["x"]}, {"name": ""}])
def test_what_is_malformed_in_a_thing_counts_as_absent(attributes: Any) -> None:
    thing = read_thing({"thingName": "pump-1", "attributes": attributes, "thingTypeName": 9})

    assert (thing.name, thing.tags, thing.hardware_ids, dict(thing.attributes)) == ("pump-1", (), (), {})
