"""Names that were changed on both sides: recorded once, settled by a policy or a person, never silently overwritten."""

from __future__ import annotations

from typing import Any

import pytest

from tests.end_to_end.fleet import Fleet, ago
from tests.fakes.golioth.devices import add_device
from tests.platform import Platform


def clash(fleet: Fleet, **fields: Any) -> dict[str, Any]:
    """A device that was renamed on both sides since it was last in step."""
    remote = add_device(fleet.fake, "a")
    fleet.sync(direction="both")
    remote |= {"name": "a there"} | fields
    fleet.rename("a", "a here")
    return remote


def test_what_changed_on_both_sides_is_recorded_once_and_stays(fleet: Fleet) -> None:
    remote = clash(fleet)

    reports = [fleet.sync(direction="both") for _ in range(3)]

    (conflict,) = fleet.conflicts()
    assert conflict["fields"] == ["name"]
    assert (conflict["local"], conflict["remote"]) == ({"name": "a here"}, {"name": "a there"})
    assert (list(fleet.devices()), remote["name"]) == (["a here"], "a there")
    assert [report["counts"].get("conflicts", 0) for report in reports] == [1, 0, 0]
    entries = fleet.admin.rows("integration_activity", kind="eq.sync.conflicts", select="level")
    assert entries == [{"level": "warning"}]


@pytest.mark.parametrize(("resolution", "name"), [("local", "a here"), ("remote", "a there")])
def test_a_resolved_conflict_is_carried_out_by_the_next_sync(
    fleet: Fleet, resolution: str, name: str
) -> None:
    remote = clash(fleet)
    fleet.sync(direction="both")
    (conflict,) = fleet.conflicts()

    reply = fleet.admin.call(
        "POST", f"{fleet.path}/conflicts/{conflict['id']}/resolve", json={"resolution": resolution}
    )
    fleet.sync(direction="both")

    assert (reply.status_code, reply.json()["conflict"]["resolution"]) == (200, resolution)
    assert (list(fleet.devices()), remote["name"]) == ([name], name)
    (settled,) = fleet.conflicts("resolved")
    assert settled["applied_at"] is not None
    assert fleet.sync(direction="both")["changes"] == []


def test_a_decision_does_not_hold_for_what_has_changed_since(fleet: Fleet) -> None:
    remote = clash(fleet)
    fleet.sync(direction="both")
    (conflict,) = fleet.conflicts()
    fleet.admin.call("POST", f"{fleet.path}/conflicts/{conflict['id']}/resolve", json={"resolution": "local"})
    remote["name"] = "a there again"

    fleet.sync(direction="both")

    (reopened,) = fleet.conflicts()
    assert (reopened["id"], reopened["remote"]) == (conflict["id"], {"name": "a there again"})
    assert remote["name"] == "a there again"


def test_a_conflict_that_both_sides_settled_by_themselves_is_over(fleet: Fleet) -> None:
    remote = clash(fleet)
    fleet.sync(direction="both")
    remote["name"] = "a here"

    fleet.sync(direction="both")

    (settled,) = fleet.conflicts("resolved")
    assert (settled["resolution"], fleet.conflicts()) == ("agreed", [])


@pytest.mark.parametrize(
    ("policy", "updated", "name"),
    [
        ("local", -1, "a here"),
        ("remote", -1, "a there"),
        ("newest", 60, "a there"),
        ("newest", -60, "a here"),
    ],
)
def test_a_policy_settles_conflicts_and_they_are_recorded(
    fleet: Fleet, policy: str, updated: int, name: str
) -> None:
    remote = clash(fleet, updatedAt=ago(minutes=-updated))

    fleet.sync(direction="both", conflicts=policy)
    fleet.sync(direction="both", conflicts=policy)

    assert (list(fleet.devices()), remote["name"]) == ([name], name)
    (settled,) = fleet.conflicts("resolved")
    assert (settled["policy"], settled["applied_at"] is not None) == (policy, True)


@pytest.mark.parametrize(("role", "organization", "status"), [("member", 0, 403), ("owner", 1, 404)])
def test_only_admins_begin_jobs_and_resolve_conflicts(
    fleet: Fleet, role: str, organization: int, status: int
) -> None:
    clash(fleet)
    fleet.sync(direction="both")
    (conflict,) = fleet.conflicts()
    caller = Platform(fleet.admin.stack, fleet.admin.stack.user(role, organization))

    replies = [
        caller.call("POST", f"{fleet.path}/jobs", json={"kind": "sync"}),
        caller.call("POST", f"{fleet.path}/conflicts/{conflict['id']}/resolve", json={"resolution": "local"}),
    ]

    assert [reply.status_code for reply in replies] == [status, status]
    assert caller.call("GET", f"{fleet.path}/conflicts").status_code == (200 if status == 403 else 404)
