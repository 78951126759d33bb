"""What one organization's rows may hold that came past every check: each reader serves the others and parks that one.

The values are written by the owner of the tables with the triggers off, as a restore or an older version may have left
them; what people send is refused at the border (tests/database/test_portable.py).
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform, enqueue, run_tick
from tests.stack import Stack

VALUES = {
    "infinite": '{"n": 1e400}',
    "wide": '{"n": -' + "9" * 400 + "}",
    "deep": '{"n": ' + "[" * 1_500 + "]" * 1_500 + "}",
    "large": '{"n": "' + "A" * 10_000_000 + '"}',
}


OWNED = """
select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id'
 where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
   and not c.relispartition and c.relname not like 'organization%'
"""


@pytest.fixture
def hostile(stack: Stack) -> Iterator[Platform]:
    """An admin of the other organization, of which nothing is left in the end."""
    platform = Platform(stack, stack.user("admin", 1))
    yield platform
    with stack.connect() as connection:
        # What can't be read can't be deleted either with the triggers on: the audit log would have to read it.
        owned = [table for (table,) in connection.execute(OWNED).fetchall()]
        for turn in ("disable", "enable"):
            for table in owned:
                connection.execute(f"alter table {table} {turn} trigger user")
                if turn == "disable":
                    connection.execute(
                        f"delete from {table} where organization_id = %s", [platform.user.organization_id]
                    )


CHECKED = ("device_commands", "device_integrations", "integration_jobs")


def plant(stack: Stack, statement: str, *values: Any) -> None:
    """Write past the checks of what people send."""
    with stack.connect() as connection:
        for turn in ("disable", "enable"):
            for table in CHECKED:
                connection.execute(f"alter table {table} {turn} trigger user")
            if turn == "disable":
                connection.execute(statement, values)


def make_hostile_device(hostile: Platform, broker: dict[str, Any]) -> str:
    device_id = str(uuid.uuid4())
    plant(
        hostile.stack,
        "insert into devices (id, organization_id, integration_id, external_id, name) values (%s, %s, %s, 'x', 'x')",
        device_id,
        broker["organization_id"],
        broker["id"],
    )
    return device_id


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_command_that_can_not_be_read_fails_and_the_others_are_sent(
    admin: Platform, hostile: Platform, value: str
) -> None:
    prefix = uuid.uuid4().hex
    connect_broker(admin, prefix, command_topic=f"{prefix}/{{device}}/commands")
    publish(admin.stack, readings(prefix, 1, device="pump"))
    run_tick(admin.stack, idle_seconds=0.5)
    (device,) = admin.rows("devices", external_id="eq.pump", order="created_at.desc", limit="1", select="id")
    broker = connect_broker(hostile, uuid.uuid4().hex)
    planted = make_hostile_device(hostile, broker)
    plant(
        admin.stack,
        "insert into device_commands (organization_id, integration_id, device_id, name, payload)"
        " values (%s, %s, %s, 'stop', %s::jsonb)",
        broker["organization_id"],
        broker["id"],
        planted,
        value,
    )
    admin.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"})

    counts = run_tick(admin.stack, idle_seconds=3)["commands"]

    (bad,) = hostile.rows("device_commands", device_id=f"eq.{planted}", select="status,error")
    assert counts["sent"] >= 1
    assert bad["error"]
    assert bad["status"] in {"failed", "pending"}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_config_that_can_not_be_read_shows_the_reason_and_the_others_receive(
    admin: Platform, hostile: Platform, value: str
) -> None:
    prefix = uuid.uuid4().hex
    good = connect_broker(admin, prefix)
    bad = connect_broker(hostile, uuid.uuid4().hex)
    plant(admin.stack, "update device_integrations set settings = %s::jsonb where id = %s", value, bad["id"])
    publish(admin.stack, readings(prefix, 3))

    counts = run_tick(admin.stack, idle_seconds=3)["sessions"]

    (shown,) = hostile.rows("device_integrations", id=f"eq.{bad['id']}", select="status,error_message")
    assert len(admin.rows("device_messages", integration_id=f"eq.{good['id']}", select="id")) == 3
    assert counts["sessions"] >= 1
    assert (shown["status"], bool(shown["error_message"])) == ("error", True)


@pytest.mark.parametrize("column", ["payload", "settings"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_delivery_that_can_not_be_read_is_parked_and_the_others_arrive(
    admin: Platform, hostile: Platform, receiver: HttpReceiver, value: str, column: str
) -> None:
    admin.create("webhook", {"url": receiver.url})
    bad = hostile.create("webhook", {"url": receiver.url})
    enqueue(hostile, 1)
    if column == "settings":
        document = value[:-1] + ', "events": ["*"]}'
        plant(
            admin.stack,
            "update device_integrations set settings = %s::jsonb where id = %s",
            document,
            bad["id"],
        )
    else:
        plant(
            admin.stack,
            "update device_messages m set payload = %s::jsonb from webhook_deliveries d"
            " where d.message_id = m.id and d.integration_id = %s",
            value,
            bad["id"],
        )
    enqueue(admin, 3)

    counts = run_tick(admin.stack, idle_seconds=3)["deliveries"]

    (parked,) = hostile.rows("webhook_deliveries", integration_id=f"eq.{bad['id']}", select="status")
    assert counts["delivered"] >= 3
    assert len(receiver.requests) >= 3
    assert parked["status"] != "delivering"


@pytest.mark.parametrize("column", ["request", "state"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_job_that_can_not_be_read_fails_and_the_loop_goes_on(
    admin: Platform, hostile: Platform, value: str, column: str
) -> None:
    job_id = str(uuid.uuid4())
    owner = hostile.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "topics": "#"}, status="inactive")
    plant(
        admin.stack,
        f"insert into integration_jobs (id, organization_id, integration_id, kind, {column})"
        " values (%s, %s, %s, 'sync', %s::jsonb)",
        job_id,
        owner["organization_id"],
        owner["id"],
        value,
    )
    plant(admin.stack, "update device_integrations set status = 'active' where id = %s", owner["id"])

    counts = run_tick(admin.stack, idle_seconds=3)["jobs"]

    (job,) = hostile.rows("integration_jobs", id=f"eq.{job_id}", select="status,error")
    assert counts.get("failed_leases", 0) == 0
    assert (job["status"], bool(job["error"])) == ("failed", True)


HUGE = '{"cursor": "' + "x" * 2_000_000 + '"}'


def test_a_job_and_a_session_that_keep_too_much_say_so_and_lose_nothing_of_it(
    admin: Platform, hostile: Platform
) -> None:
    job_id = str(uuid.uuid4())
    owner = hostile.create("mqtt", {"broker_url": "mqtt://127.0.0.1:1", "topics": "#"}, status="inactive")
    plant(
        admin.stack,
        "insert into integration_jobs (id, organization_id, integration_id, kind, state)"
        " values (%s, %s, %s, 'sync', %s::jsonb)",
        job_id,
        owner["organization_id"],
        owner["id"],
        HUGE,
    )
    plant(admin.stack, "update device_integrations set status = 'active' where id = %s", owner["id"])
    state = "update integration_schedules set state = %s::jsonb, due_at = now() where integration_id = %s"
    plant(admin.stack, state, HUGE, owner["id"])

    run_tick(admin.stack, idle_seconds=3)

    (job,) = hostile.rows("integration_jobs", id=f"eq.{job_id}", select="status,error")
    (shown,) = hostile.rows("device_integrations", id=f"eq.{owner['id']}", select="status,error_message")
    with admin.stack.connect() as connection:
        row = connection.execute(
            "select s.state = %(huge)s::jsonb, j.state = %(huge)s::jsonb from integration_schedules s,"
            " integration_jobs j where s.integration_id = %(owner)s and j.id = %(job)s",
            {"huge": HUGE, "owner": owner["id"], "job": job_id},
        ).fetchone()
    assert (job["status"], shown["status"]) == ("failed", "error")
    assert all("larger than a megabyte" in words for words in (job["error"], shown["error_message"]))
    assert row == (True, True)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_receiver_that_can_not_be_read_refuses_its_own_pushes_only(
    admin: Platform, hostile: Platform, value: str
) -> None:
    good, bad = (
        each.create("golioth", {"project_id": "p", "api_key": "k" * 20}) for each in (admin, hostile)
    )
    plant(admin.stack, "update device_integrations set integration_type = 'unknown' where id = %s", bad["id"])
    plant(admin.stack, "update device_integrations set settings = %s::jsonb where id = %s", value, bad["id"])
    codes: list[int] = []

    def push(integration_id: str) -> None:
        codes.append(admin.call("POST", f"/receive/{integration_id}", content=b"{}").status_code)

    threads = [threading.Thread(target=push, args=(each["id"],)) for each in (good, bad) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(codes) == {401}


@pytest.mark.parametrize(
    "value", ['{"n": 1e400}', '{"n": "\\u0000"}', '{"n": "\\ud800"}'], ids=["1e400", "nul", "lone"]
)
def test_what_people_send_past_the_api_is_refused_at_the_border(admin: Platform, value: str) -> None:
    broker = admin.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "topics": "#"}, status="inactive")
    token = admin.stack.token(admin.user)
    headers = {
        "Authorization": f"Bearer {token}",
        "apikey": admin.stack.anon_key,
        "Content-Type": "application/json",
    }
    rest = f"{admin.stack.url}/rest/v1"

    changed = httpx.patch(
        f"{rest}/device_integrations?id=eq.{broker['id']}",
        content=f'{{"settings": {value}}}',
        headers=headers,
        timeout=60,
    )
    begun = httpx.post(
        f"{rest}/integration_jobs",
        content=f'{{"organization_id": "{broker["organization_id"]}", "integration_id": "{broker["id"]}",'
        f' "kind": "sync", "request": {value}}}',
        headers=headers,
        timeout=60,
    )

    assert [reply.status_code for reply in (changed, begun)] == [400, 400]


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_can_not_be_read_can_be_deleted_by_its_admin(hostile: Platform, value: str) -> None:
    bad = hostile.create("mqtt", {"broker_url": "mqtt://127.0.0.1", "topics": "#"}, status="inactive")
    plant(
        hostile.stack, "update device_integrations set settings = %s::jsonb where id = %s", value, bad["id"]
    )

    reply = hostile.call("DELETE", f"/integrations/{bad['id']}")

    assert reply.status_code == 204
    entries = hostile.rows("audit_log", row_id=f"eq.{bad['id']}", select="action", order="id")
    assert [entry["action"] for entry in entries][-1] == "delete"
