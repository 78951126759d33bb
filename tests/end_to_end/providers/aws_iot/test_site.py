"""An account through the API: things synced and made, shadows, commands, the connection test, a key that is revoked."""

from __future__ import annotations

import resource
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from psycopg.rows import dict_row

from shared.devices.certificate_requests import make_request
from shared.jobs.kinds import find_kind
from shared.runtime.database.client import as_service
from tests.end_to_end.providers.aws_iot.site import Site, open_site
from tests.fakes.aws import FakeAws, Fault
from tests.fakes.aws.server import DATA_HOST
from tests.platform import Platform

TABLES = ("devices", "device_links", "device_conflicts")
NO_REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----"
MOST_KILOBYTES = 65_536
"""By how much a sync of ten thousand things may grow the process."""


def add_thing(aws: FakeAws, thing: str, **attributes: str) -> None:
    aws.ask("POST", f"/things/{thing}", {"attributePayload": {"attributes": attributes}})


def add_device(site: Site, external_id: str) -> str:
    with site.admin.stack.connect() as connection:
        row = connection.execute(
            "insert into devices (organization_id, integration_id, external_id, name) values (%s, %s, %s, %s)"
            " returning id::text",
            (site.admin.user.organization_id, site.integration["id"], external_id, external_id),
        ).fetchone()
    assert row
    return str(row[0])


def snapshot(site: Site) -> dict[str, list[dict[str, Any]]]:
    with site.admin.stack.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return {
            table: cursor.execute(f"select xmin::text, t.* from {table} t order by t::text").fetchall()
            for table in TABLES
        }


# Things


def test_things_become_devices_and_devices_become_things(site: Site, aws: FakeAws) -> None:
    add_thing(aws, "pump-1", tags="a,b", site="north")
    add_device(site, "pump-2")

    report = site.sync(direction="both")

    devices = site.devices()
    assert devices["pump-1"]["metadata"]["tags"] == ["a", "b"]
    assert aws.ask("GET", "/things/pump-2")["thingName"] == "pump-2"
    assert report["counts"]["created"] == report["counts"]["created_there"] == 1
    assert site.sync(direction="both")["changes"] == []


def test_ten_thousand_things_are_synced_in_bounded_memory_and_again_without_a_change(
    site: Site, aws: FakeAws
) -> None:
    aws.things = [{"thingName": f"t{n}", "attributes": {"tags": "a", "site": "north"}} for n in range(10_000)]
    site.sync(direction="import", limit=500)
    early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    site.sync(direction="import")

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early < MOST_KILOBYTES
    before = snapshot(site)
    report = site.sync(direction="import")
    assert len(before["devices"]) == 10_000
    assert report["changes"] == []
    assert snapshot(site) == before


OUTAGES = [
    Fault("GET /things", status=400, name="ThrottlingException", times=3),
    Fault("GET /things", close="after"),
    Fault("GET /things", cut=30),
    Fault("GET /things", status=503),
]


@pytest.mark.parametrize("fault", OUTAGES)
def test_an_outage_in_the_middle_of_a_sync_loses_and_doubles_nothing(
    site: Site, aws: FakeAws, fault: Fault
) -> None:
    aws.things = [{"thingName": f"t{n}"} for n in range(700)]
    site.begin(direction="import")
    aws.faults += [Fault("GET /things", seconds=0.01), fault]

    for _ in range(3):
        site.work()

    assert len(site.devices()) == 700


def test_a_thing_is_made_with_a_certificate_for_a_key_that_is_shown_once(site: Site, aws: FakeAws) -> None:
    reply = site.call(
        "POST", "/devices", json={"name": "pump-9", "tags": ["a"], "credentials": "certificate"}
    )

    assert reply.status_code == 201, reply.text
    shown = reply.json()["credentials"]
    assert x509.load_pem_x509_certificate(shown["certificate"].encode())
    key = serialization.load_pem_private_key(shown["private_key"].encode(), None)
    assert key.public_key()
    assert len(aws.ask("GET", "/things/pump-9/principals")["principals"]) == 1
    with site.admin.stack.connect() as connection:
        rows = str(connection.execute("select p::text from device_provisionings p").fetchall())
    assert shown["private_key"].splitlines()[1] not in rows
    assert site.devices()["pump-9"]["name"] == "pump-9"


def test_a_thing_is_made_of_a_request_that_its_device_has_signed(site: Site) -> None:
    csr, _ = make_request("pump-8")

    reply = site.call("POST", "/devices", json={"name": "pump-8", "credentials": "certificate", "csr": csr})

    assert reply.status_code == 201, reply.text
    assert set(reply.json()["credentials"]) == {"type", "common_name", "certificate"}


@pytest.mark.parametrize("pattern", ["POST /things/", "POST /certificates", "PUT /things/.*/principals"])
def test_a_lost_answer_leaves_the_thing_to_the_scheduler(site: Site, aws: FakeAws, pattern: str) -> None:
    aws.faults.append(Fault(pattern, times=99, close="after"))
    reply = site.call("POST", "/devices", json={"name": "pump-7", "credentials": "certificate"})
    aws.faults.clear()
    with site.admin.stack.connect() as connection:
        connection.execute("update device_provisionings set due_at = now() where status = 'pending'")
    plan = find_kind("provision").plan
    assert plan
    as_service().call(plan)

    site.work()

    assert reply.status_code == 202, reply.text
    rows = site.admin.rows(
        "device_provisionings", select="status", integration_id=f"eq.{site.integration['id']}"
    )
    assert [row["status"] for row in rows] == ["done"]
    assert aws.ask("GET", "/things/pump-7/principals")["principals"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"name": "pump 1", "credentials": "none"}, 502, "letters, digits"),
        ({"name": "pump-1"}, 501, "credentials certificate"),
        (
            {
                "name": "pump-1",
                "credentials": "certificate",
                "csr": NO_REQUEST,
            },
            400,
            "openssl req",
        ),
        ({"name": "pump-1", "credentials": "psk", "csr": "x"}, 400, "csr"),
    ],
)
def test_what_can_be_no_thing_is_refused_with_the_remedy(
    site: Site, body: dict[str, Any], status: int, words: str
) -> None:
    reply = site.call("POST", "/devices", json=body)

    assert (reply.status_code, words in reply.text) == (status, True), reply.text
    assert site.devices() == {}


# Shadows


def test_a_shadow_is_read_and_written_through_the_api(site: Site, aws: FakeAws) -> None:
    add_thing(aws, "pump-1")
    place = f"/devices/{add_device(site, 'pump-1')}/state"

    written = site.call("PUT", place, params={"path": "desired/led"}, json={"on": True})
    merged = site.call("PATCH", place, params={"path": "named/cfg/desired"}, json={"interval": 60})
    refused = site.call("PUT", place, params={"path": "reported/led"}, json=1)

    assert (written.json()["state"], merged.json()["state"], refused.status_code) == (
        {"on": True},
        {"interval": 60},
        400,
    )
    assert site.call("GET", place).json()["state"]["named"] == ["cfg"]
    assert site.call("DELETE", place, params={"path": "desired/led"}).status_code == 204


# Commands


def test_a_command_is_confirmed_by_the_device_itself(site: Site, aws: FakeAws) -> None:
    aws.devices["pump-1"] = True
    command_id = site.command("reboot", {"delay": 5}, add_device(site, "pump-1"))

    site.send_commands()

    assert site.read_command(command_id)["status"] == "confirmed"
    assert aws.delivered == [("pump-1", "devices/pump-1/commands/reboot", b'{"delay":5}')]


def test_a_command_waits_for_a_device_that_is_away(site: Site, aws: FakeAws) -> None:
    command_id = site.command("reboot", {}, add_device(site, "pump-1"))
    site.send_commands()
    away = site.read_command(command_id)
    aws.devices["pump-1"] = True

    site.send_commands()

    assert (away["status"], away["error"]) == ("pending", "The device is not connected.")
    assert site.read_command(command_id)["status"] == "confirmed"


# Keys


def test_a_revoked_key_becomes_an_alert_and_no_storm_and_ends_with_a_new_one(
    site: Site, aws: FakeAws
) -> None:
    device, keys = add_device(site, "pump-1"), dict(aws.keys)
    aws.devices["pump-1"] = True
    aws.revoke()
    for _ in range(20):
        site.command("reboot", {}, device)
    aws.calls.clear()

    for _ in range(3):
        site.send_commands()

    assert site.alerts() == ["authentication.failed"]
    assert len(aws.calls) <= 3 * 16
    aws.keys.update(keys)
    for _ in range(3):
        site.send_commands()
    as_service().call("judge_integrations")
    assert site.alerts() == []
    assert {row["status"] for row in site.admin.rows("device_commands", select="status")} == {"confirmed"}


def test_a_sync_with_a_revoked_key_raises_the_alert_too(site: Site, aws: FakeAws) -> None:
    keys = dict(aws.keys)
    aws.revoke()
    site.begin(direction="import")

    for _ in range(3):
        site.work()

    assert site.alerts() == ["authentication.failed"]
    aws.keys.update(keys)
    site.work()
    as_service().call("judge_integrations")
    assert site.alerts() == []


# The connection test


def run_test(site: Site) -> list[tuple[str, bool, str]]:
    reply = site.call("POST", "/test")
    assert reply.status_code == 200, reply.text
    return [(check["name"], check["ok"], check["detail"]) for check in reply.json()["checks"]]


def test_every_step_says_what_it_saw(site: Site) -> None:
    steps = run_test(site)

    assert [(name, ok) for name, ok, _ in steps] == [
        (name, True) for name in ("receiver", "address", "things", "shadows", "jobs")
    ]
    assert "eu-west-1" in steps[2][2]


RIGHTS = [("iot:ListThings", "things"), ("iot:GetThingShadow", "shadows"), ("iot:ListJobs", "jobs")]


@pytest.mark.parametrize(("denied", "step"), RIGHTS)
def test_a_missing_permission_is_named_in_the_words_of_aws(
    site: Site, aws: FakeAws, denied: str, step: str
) -> None:
    aws.denied.add(denied)

    *passed, (name, ok, detail) = run_test(site)

    assert (name, ok) == (step, False)
    assert f"is not authorized to perform: {denied}" in detail
    assert all(earlier[1] for earlier in passed)


def test_a_role_is_assumed_under_the_integrations_own_id(admin: Platform, aws: FakeAws) -> None:
    role = "arn:aws:iam::123456789012:role/device-integrations"
    with open_site(admin, aws, role_arn=role) as site:
        aws.roles[role] = "not-yet"
        *_, (name, ok, detail) = run_test(site)
        assert (name, ok, f"external id {site.integration['id']}" in detail) == ("role", False, True)

        aws.roles[role] = site.integration["id"]
        assert all(ok for _, ok, _ in run_test(site))


def test_an_unsaved_role_is_told_to_be_saved_first(admin: Platform, aws: FakeAws) -> None:
    config = {"region": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/x", "endpoint_url": aws.url}
    body = {"organization_id": admin.user.organization_id, "integration_type": "aws_iot", "config": config}

    reply = admin.call("POST", "/integrations/test", json=body)

    assert (reply.status_code, "external id" in reply.text) == (501, True), reply.text


def test_without_a_key_the_test_says_what_comes_in(admin: Platform, aws: FakeAws) -> None:
    with open_site(admin, aws, access_key_id=None, secret_access_key=None, data_endpoint=DATA_HOST) as site:
        assert [(name, ok) for name, ok, _ in run_test(site)] == [("receiver", True)]
        assert site.call("POST", "/jobs", json={"kind": "sync"}).status_code in {202, 501}
