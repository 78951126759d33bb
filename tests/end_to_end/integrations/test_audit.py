"""The audit log: who changed what, through the API or past it, and nobody who can change that."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import psycopg
import pytest

from tests.platform import Platform
from tests.stack import Stack

MQTT = {"broker_url": "mqtt://127.0.0.1", "port": 1883, "topics": "devices/+/telemetry"}
SECRET, OTHER = "canary-audited-8812", "canary-audited-9923"


def rest(platform: Platform, method: str, path: str, **request: Any) -> httpx.Response:
    """A call straight to /rest/v1, past the API."""
    headers = {
        "Authorization": f"Bearer {platform.stack.token(platform.user)}",
        "apikey": platform.stack.anon_key,
        "X-Request-Id": "past-the-api",
    }
    return httpx.request(
        method, f"{platform.stack.url}/rest/v1/{path}", headers=headers, timeout=60, **request
    )


def trail(platform: Platform, row_id: str) -> list[dict[str, Any]]:
    """The audit rows of one row, oldest first."""
    return platform.rows("audit_log", row_id=f"eq.{row_id}", order="id")


def test_a_creation_says_who_when_and_what_with_the_request_that_did_it(admin: Platform) -> None:
    request_id = f"audit-{uuid.uuid4()}"
    body = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "name": f"Audited {uuid.uuid4()}",
        "config": MQTT | {"username": "u", "password": SECRET},
    }

    created = admin.call("POST", "/integrations", json=body, headers={"X-Request-Id": request_id})

    (row,) = trail(admin, created.json()["integration"]["id"])
    assert (row["action"], row["table_name"], row["request_id"]) == (
        "insert",
        "device_integrations",
        request_id,
    )
    assert (row["actor_id"], row["actor_role"], row["database_role"]) == (
        admin.user.id,
        "admin",
        "authenticated",
    )
    assert row["organization_id"] == admin.user.organization_id
    assert row["changed"]["name"] == {"old": None, "new": body["name"]}
    assert row["changed"]["settings.port"] == {"old": None, "new": 1883}
    assert row["changed"]["secrets"] == {"added": ["password"], "removed": [], "changed": []}


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({"config": {"keepalive": 30}}, {"settings.keepalive": {"old": None, "new": 30}}),
        (
            {"config": {"port": 1884, "password": SECRET}},
            {
                "settings.port": {"old": 1883, "new": 1884},
                "secrets": {"added": [], "removed": [], "changed": ["password"]},
            },
        ),
        (
            {"config": {"username": None, "password": None}},
            {
                "settings.username": {"old": "u", "new": None},
                "secrets": {"added": [], "removed": ["password"], "changed": []},
            },
        ),
        ({"status": "inactive"}, {"status": {"old": "active", "new": "inactive"}}),
        (
            {"config": {"password": OTHER}},
            {"secrets": {"added": [], "removed": [], "changed": ["password"]}},
        ),
    ],
)
def test_a_change_says_each_field_that_differs_and_of_secrets_the_names(
    admin: Platform, patch: dict[str, Any], changed: dict[str, Any]
) -> None:
    created = admin.create("mqtt", MQTT | {"username": "u", "password": SECRET})

    reply = admin.call("PATCH", f"/integrations/{created['id']}", json=patch)

    assert reply.status_code == 200, reply.text
    assert trail(admin, created["id"])[-1]["changed"] == changed


def test_of_several_secrets_only_the_one_that_changed_is_named(admin: Platform) -> None:
    headers = {"X-Key": SECRET, "X-Token": SECRET}
    created = admin.create("webhook", {"url": "http://127.0.0.1:9/", "headers": headers})

    admin.call(
        "PATCH", f"/integrations/{created['id']}", json={"config": {"headers": headers | {"X-Token": OTHER}}}
    )

    secrets = trail(admin, created["id"])[-1]["changed"]["secrets"]
    assert secrets == {"added": [], "removed": [], "changed": ["headers.X-Token"]}


def test_a_patch_that_changes_nothing_is_no_change(admin: Platform) -> None:
    created = admin.create("mqtt", MQTT | {"username": "u", "password": SECRET})

    admin.call("PATCH", f"/integrations/{created['id']}", json={"config": {"password": SECRET}})

    assert [row["action"] for row in trail(admin, created["id"])] == ["insert"]


def test_a_deletion_is_kept_with_what_was_there(admin: Platform) -> None:
    created = admin.create("mqtt", MQTT)

    admin.call("DELETE", f"/integrations/{created['id']}")

    row = trail(admin, created["id"])[-1]
    assert (row["action"], row["changed"]["name"]) == ("delete", {"old": created["name"], "new": None})


def test_changes_past_the_api_are_recorded_too_and_name_every_secret_they_may_have_changed(
    admin: Platform,
) -> None:
    created = admin.create("mqtt", MQTT | {"username": "u", "password": SECRET})

    write = {
        "id": created["id"],
        "values": {"name": f"Past {uuid.uuid4()}"},
        "sealed": {"sent": f"k1.{'forged':_<40}", "kept": None, "count": 2},
    }
    call = {"p_action": "update", "p_write": write}
    reply = rest(admin, "POST", "rpc/write_integration", json=call)

    assert (reply.status_code, "problem" in reply.json()) == (200, False)
    row = trail(admin, created["id"])[-1]
    assert (row["actor_id"], row["request_id"]) == (admin.user.id, "past-the-api")
    assert row["changed"]["secrets"]["changed"] == ["password"]
    assert "forged" not in json.dumps(row)


def test_a_secret_written_where_it_does_not_belong_stays_out_of_the_log(admin: Platform) -> None:
    misplaced = {
        "api_token": SECRET,
        "nested": {"password": SECRET},
        "broker_url": f"mqtt://user:{SECRET}@broker.example",
    }
    row = {
        "organization_id": admin.user.organization_id,
        "integration_type": "mqtt",
        "name": str(uuid.uuid4()),
    }

    reply = rest(admin, "POST", "device_integrations", json=row | {"settings": misplaced})

    assert reply.status_code == 201
    with admin.stack.connect() as connection:
        kept = connection.execute(
            "select changed::text from audit_log where changed #>> '{name,new}' = %s", (row["name"],)
        ).fetchall()
    assert len(kept) == 1
    assert SECRET not in kept[0][0]


def test_members_and_the_organizations_name_are_audited(stack: Stack) -> None:
    owner = Platform(stack, stack.user("owner", 0))
    organization, viewer = str(owner.user.organization_id), stack.user("viewer", 0).id

    members = f"organization_members?user_id=eq.{viewer}&organization_id=eq.{organization}"
    for role in ("member", "viewer"):
        rest(owner, "PATCH", members, json={"role": role})
    for name in ("Renamed", "Alpha"):
        rest(owner, "PATCH", f"organizations?id=eq.{organization}", json={"name": name})

    assert [row["changed"] for row in trail(owner, viewer)[-2:]] == [
        {"role": {"old": "viewer", "new": "member"}},
        {"role": {"old": "member", "new": "viewer"}},
    ]
    assert trail(owner, organization)[-1]["changed"] == {"name": {"old": "Renamed", "new": "Alpha"}}
    assert trail(owner, organization)[-1]["actor_role"] == "owner"


def test_what_people_do_to_devices_is_audited_and_what_devices_say_is_not(
    stack: Stack, admin: Platform
) -> None:
    created = admin.create("mqtt", MQTT)
    messages = json.dumps(
        [{"event_id": str(uuid.uuid4()), "device": "a", "kind": "telemetry", "payload": {}}]
    )
    with stack.connect() as connection:
        connection.execute("set local role service_role")
        connection.execute("select ingest_messages(%s, %s)", (created["id"], messages))
    (device,) = admin.rows("devices", integration_id=f"eq.{created['id']}")

    heard = trail(admin, device["id"])
    rest(admin, "PATCH", f"devices?id=eq.{device['id']}", json={"metadata": {"room": "A"}})

    assert heard == []
    assert [row["changed"] for row in trail(admin, device["id"])] == [
        {"metadata.room": {"old": None, "new": "A"}}
    ]


def test_what_the_scheduler_reports_does_not_fill_the_log(stack: Stack, admin: Platform) -> None:
    created = admin.create("mqtt", MQTT)

    with stack.connect() as connection:
        connection.execute("set local role service_role")
        for error in ("away", None, "away again"):
            connection.execute(
                "update integration_schedules set lease_token = %s where integration_id = %s",
                (token := uuid.uuid4(), created["id"]),
            )
            connection.execute("select finish_session(%s, %s, %s)", (created["id"], token, error))

    assert [row["action"] for row in trail(admin, created["id"])] == ["insert"]


@pytest.mark.parametrize("persona", [("viewer", 0), ("member", 0), ("owner", 1), ("stranger", 0)])
def test_only_admins_of_the_organization_read_it(
    stack: Stack, admin: Platform, persona: tuple[str, int]
) -> None:
    created = admin.create("mqtt", MQTT)
    reader = Platform(stack, stack.user(*persona))

    assert trail(reader, created["id"]) == []
    assert len(trail(Platform(stack, stack.user("owner", 0)), created["id"])) == 1


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role", "postgres"])
@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set actor_id = null",
        "delete from audit_log",
        "truncate audit_log",
    ],
)
def test_nobody_changes_or_deletes_it_not_even_the_service_or_the_tables_owner(
    stack: Stack, admin: Platform, role: str, statement: str
) -> None:
    admin.create("mqtt", MQTT)

    with stack.connect() as connection:
        connection.execute(f"set local role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_nobody_adds_to_it_by_hand(stack: Stack, role: str) -> None:
    with stack.connect() as connection:
        connection.execute(f"set local role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "insert into audit_log (organization_id, table_name, row_id, action, database_role, changed)"
                " values (gen_random_uuid(), 'x', gen_random_uuid(), 'insert', 'x', '{}')"
            )


def test_a_deleted_organization_stays_in_the_log_until_the_retention_takes_it(stack: Stack) -> None:
    made = uuid.uuid4()
    columns = "organization_id, table_name, row_id, action, database_role, changed, created_at"

    with stack.connect() as connection:
        connection.execute("insert into organizations (id, name) values (%s, 'Leaving')", (made,))
        connection.execute("delete from organizations where id = %s", (made,))
        connection.execute(
            f"insert into audit_log ({columns})"
            " values (%s, 'old', %s, 'insert', 'x', '{}', now() - interval '2 years')",
            (made, made),
        )
        connection.execute("set local role service_role")
        connection.execute("select prune_audit_log()")
        kept = connection.execute(
            "select action, table_name from audit_log where organization_id = %s order by id", (made,)
        ).fetchall()
        connection.rollback()

    assert kept == [("insert", "organizations"), ("delete", "organizations")]
