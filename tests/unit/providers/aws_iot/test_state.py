"""Shadows: read as one tree, what is desired merged, replaced and removed, a newer version read again."""

from __future__ import annotations

from typing import Any

import pytest

from shared.provider import BadRequest, ProviderRefused
from shared.providers.aws_iot.state import Shadows, replace_value
from tests.fakes.aws import FakeAws, Fault
from tests.unit.providers.aws_iot.accounts import make_account

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture
def shadows(aws: FakeAws) -> Shadows:
    aws.ask("POST", "/things/pump-1", {})
    return Shadows(make_account(aws), "pump-1")


def report(aws: FakeAws, shadow: str | None = None, **state: Any) -> None:
    aws.ask("POST", "/things/pump-1/shadow" + (f"?name={shadow}" if shadow else ""), {"state": state})


def test_the_root_is_the_classic_shadow_with_the_names_of_the_others(aws: FakeAws, shadows: Shadows) -> None:
    report(aws, desired={"led": True}, reported={"led": False})
    report(aws, "cfg", desired={"interval": 60})

    root = shadows.read(())

    assert isinstance(root, dict)
    assert (root["desired"], root["reported"], root["delta"]) == (
        {"led": True},
        {"led": False},
        {"led": True},
    )
    assert (root["named"], root["version"]) == (["cfg"], 1)
    assert shadows.read(("named", "cfg", "desired", "interval")) == 60
    assert shadows.read(("named",)) == ["cfg"]


def test_of_a_thing_without_a_shadow_there_is_nothing(shadows: Shadows) -> None:
    assert shadows.read(("desired", "led")) is None
    assert shadows.read(("named", "cfg")) is None


def test_what_is_merged_keeps_what_is_there(aws: FakeAws, shadows: Shadows) -> None:
    report(aws, desired={"led": {"on": True, "colour": "red"}})

    assert shadows.write(("desired", "led"), {"on": False}, merge=True) == {"on": False, "colour": "red"}


def test_what_is_replaced_is_all_there_is(aws: FakeAws, shadows: Shadows) -> None:
    report(aws, desired={"led": {"on": True, "colour": {"r": 1, "g": 2}}, "fan": 3})

    written = shadows.write(("desired", "led"), {"colour": {"r": 5}}, merge=False)

    assert written == {"colour": {"r": 5}}
    assert shadows.read(("desired", "fan")) == 3


def test_a_named_shadow_is_made_by_writing_and_removed_whole(shadows: Shadows) -> None:
    shadows.write(("named", "cfg", "desired", "interval"), 60, merge=False)
    assert shadows.read(("named",)) == ["cfg"]

    shadows.remove(("named", "cfg"))
    shadows.remove(("named", "cfg"))

    assert shadows.read(("named", "cfg")) is None


def test_what_is_desired_no_more_is_removed(aws: FakeAws, shadows: Shadows) -> None:
    report(aws, desired={"led": True, "fan": 3})

    shadows.remove(("desired", "led"))
    shadows.remove(("desired", "nothing", "here"))

    assert shadows.read(("desired",)) == {"fan": 3}


def test_a_newer_version_is_read_again(aws: FakeAws, shadows: Shadows) -> None:
    report(aws, desired={"led": True})
    aws.faults.append(Fault("POST /things/pump-1/shadow", status=409, name="ConflictException"))

    assert shadows.write(("desired",), {"fan": 1}, merge=False) == {"fan": 1}
    assert aws.calls.count("POST /things/pump-1/shadow") == 2


def test_versions_that_never_end_are_told_as_a_conflict(aws: FakeAws, shadows: Shadows) -> None:
    aws.faults.append(Fault("POST /things/pump-1/shadow", times=99, status=409, name="ConflictException"))

    with pytest.raises(ProviderRefused) as refusal:
        shadows.write(("desired",), {"fan": 1}, merge=False)

    assert refusal.value.answered == 409


@pytest.mark.parametrize("path", [("reported", "led"), ("delta",), ("named",), ("version",)])
def test_what_is_the_devices_own_is_not_written(
    shadows: Shadows, aws: FakeAws, path: tuple[str, ...]
) -> None:
    with pytest.raises(BadRequest):
        shadows.write(path, 1, merge=True)
    assert aws.calls == []


def test_a_name_stays_in_its_place_whatever_is_in_it(aws: FakeAws) -> None:
    Shadows(make_account(aws), "a/../../jobs?x=1").read(("desired",))

    assert aws.calls[-1] == "GET /things/a%2F..%2F..%2Fjobs%3Fx%3D1/shadow"


def test_only_what_differs_is_sent() -> None:
    assert replace_value({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1}}) == {
        "a": {"b": 1, "c": None},
        "d": None,
    }
