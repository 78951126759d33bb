"""What admins write at Golioth stands in the audit log: who, when and what, without secrets and large bodies."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.end_to_end.firmware_site import Site, open_site
from tests.fakes.golioth.firmware import make_artifact, make_cohort
from tests.fakes.golioth_site import add_device
from tests.stack import Stack

Row = dict[str, Any]


@pytest.fixture
def site(stack: Stack) -> Iterator[Site]:
    with open_site(stack) as opened:
        yield opened


def trail(site: Site) -> list[tuple[str, str, Row]]:
    """What was written at the other side, oldest first: of what kind, how, and the new values."""
    rows = site.platform.rows(
        "audit_log", row_id=f"eq.{site.integration['id']}", table_name="like.remote.*", order="id"
    )
    return [(row["table_name"], row["action"], news(row["changed"])) for row in rows]


def news(changed: Row) -> Row:
    return {name: values["new"] for name, values in changed.items()}


def test_a_write_to_the_state_says_who_and_when_and_which_value_went_where(site: Site) -> None:
    device, request_id = add_device(site.platform, site.integration, site.fake), f"state-{uuid.uuid4()}"
    place = f"/devices/{device['id']}/state"

    site.call(
        "PUT", place, params={"path": "desired/led"}, json={"on": 1}, headers={"X-Request-Id": request_id}
    )
    site.call("DELETE", place, params={"path": "desired/led"})

    assert trail(site) == [
        ("remote.state", "update", {"device_id": device["id"], "/desired/led.on": 1}),
        ("remote.state", "delete", {"device_id": device["id"], "path": "/desired/led"}),
    ]
    (row,) = site.platform.rows("audit_log", request_id=f"eq.{request_id}")
    who = (row["actor_id"], row["actor_role"], row["database_role"])
    assert who == (site.platform.user.id, "admin", "authenticated")


def test_neither_a_secret_nor_a_large_value_is_in_it(site: Site) -> None:
    device = add_device(site.platform, site.integration, site.fake)
    place, canary = f"/devices/{device['id']}/state", "canary-desired-5521"

    for path, value in (
        ("desired/wifi/password", canary),
        ("desired/wifi", {"ssid": "lab", "psk_key": canary}),
        ("desired/table", ["x" * 5000]),
    ):
        site.call("PUT", place, params={"path": path}, json=value)
    created = site.call(
        "POST", "/settings", json={"key": "API_TOKEN", "data_type": "string", "value": canary}
    )
    site.call("PUT", f"/settings/{created.json()['setting']['id']}", json={"value": canary})

    values = [{k: v for k, v in each.items() if k != "device_id"} for _, _, each in trail(site)]
    assert values[:4] == [
        {"/desired/wifi/password": "***"},
        {"/desired/wifi.ssid": "lab", "/desired/wifi.psk_key": "***"},
        {"/desired/table.bytes": 5004},
        {"API_TOKEN": "***"},
    ]
    assert canary not in str(site.platform.rows("audit_log", row_id=f"eq.{site.integration['id']}"))


def test_settings_artifacts_cohorts_and_deployments_are_in_it(site: Site) -> None:
    setting = {"key": "LOOP_DELAY", "data_type": "integer", "value": 60}
    setting_id = site.call("POST", "/settings", json=setting).json()["setting"]["id"]
    site.call("PUT", f"/settings/{setting_id}", json={"value": 30})
    site.call("DELETE", f"/settings/{setting_id}")
    artifact, cohort = make_artifact(site.fake, "main", "1.3"), make_cohort(site.fake, "fleet")
    octets = {"Content-Type": "application/octet-stream"}
    site.call("POST", "/artifacts", params={"version": "1.4"}, content=b"image", headers=octets)
    site.call("POST", "/cohorts", json={"name": "beta"})
    deployment = {"cohort_id": cohort["cohortId"], "name": "spring", "artifact_ids": [artifact["id"]]}
    site.call("POST", "/deployments", json=deployment)
    site.call("DELETE", f"/artifacts/{artifact['id']}")

    assert trail(site) == [
        ("remote.settings", "insert", {"LOOP_DELAY": 60}),
        ("remote.settings", "update", {"setting_id": setting_id, "value": 30}),
        ("remote.settings", "delete", {"setting_id": setting_id}),
        ("remote.artifacts", "insert", {"package": "main", "version": "1.4", "bytes": 5}),
        ("remote.cohorts", "insert", {"name": "beta"}),
        ("remote.deployments", "insert", deployment),
        ("remote.artifacts", "delete", {"artifact_id": artifact["id"]}),
    ]


def test_a_rollout_that_is_begun_and_cancelled_is_in_it_under_its_own_id(site: Site) -> None:
    artifact, cohort = make_artifact(site.fake, "main", "1.3"), make_cohort(site.fake, "fleet")
    body = {"name": "spring", "artifact_ids": [artifact["id"]], "cohort_id": cohort["cohortId"]}

    rollout = site.call("POST", "/rollouts", json=body).json()["rollout"]
    site.call("POST", f"/rollouts/{rollout['id']}/cancel")

    begun, cancelled = site.platform.rows("audit_log", row_id=f"eq.{rollout['id']}", order="id")
    assert (begun["actor_id"], cancelled["actor_id"]) == (site.platform.user.id,) * 2
    assert news(begun["changed"])["target.cohort_id"] == cohort["cohortId"]
    assert cancelled["changed"] == {"status": {"old": "starting", "new": "cancelled"}}


def test_who_may_not_write_there_leaves_no_row_and_reaches_nothing(site: Site) -> None:
    member = site.as_user("member")

    replies = [
        member.call("POST", "/cohorts", json={"name": "beta"}),
        record(site, member),
        record(site, site.as_user("admin", 1)),
    ]

    assert [reply.status_code for reply in replies] == [403, 403, 404]
    assert (trail(site), site.fake.calls) == ([], [])


def record(site: Site, caller: Site) -> httpx.Response:
    """The row that an admin's call writes, asked for past the API."""
    stack, body = (
        caller.platform.stack,
        {"p_what": "cohorts", "p_action": "insert", "p_values": {"name": "x"}},
    )
    headers = {"Authorization": f"Bearer {stack.token(caller.platform.user)}", "apikey": stack.anon_key}
    url = f"{stack.url}/rest/v1/rpc/record_remote_write"
    return httpx.post(
        url, json=body | {"p_integration_id": site.integration["id"]}, headers=headers, timeout=60
    )
