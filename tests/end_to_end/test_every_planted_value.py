"""All odd values at once, in every column that people, endpoints, devices and platforms can fill: nobody else notices.

The columns are the catalogue's own: a new one is planted without a change here. They are written by the superuser with
triggers off, as a restore or an older version may have left them; what a check of the table refuses can't be there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Composed, Identifier

from scripts.local.data_folder import DataFolder, database_url
from shared.provider import make_secret
from shared.runtime.database.leases import UNREAD
from tests.database.estate import build_estate
from tests.end_to_end.scheduler.test_tick import connect_broker, publish, readings
from tests.fakes.golioth.webhooks import Forms
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform, run_tick
from tests.stack import Stack

DOCUMENTS = {
    "infinite": '{"n": 1e400}',
    "wide": '{"n": -' + "9" * 400 + "}",
    "deep": '{"n": ' + "[" * 1_500 + "]" * 1_500 + "}",
    "quarter": '{"n": "' + "A" * 262_144 + '"}',
    "large": '{"n": "' + "A" * 10_000_000 + '"}',
    "list": "[1, {}]",
    "text": '"text"',
    "number": "5",
}
TEXTS = {
    "infinite": "\u202e\u0001\ufffd\ud7ff\U0010ffff",
    "wide": "-" + "9" * 400,
    "deep": "[" * 1_500,
    "quarter": "A" * 262_144,
    "large": "A" * 10_000_000,
    "list": "",
    "text": "'; drop table",
    "number": "5",
}
COLUMNS = """
select c.relnamespace::regnamespace::text, c.relname, a.attname, format_type(a.atttypid, null)
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
 where c.relnamespace in ('public'::regnamespace, 'private'::regnamespace) and c.relkind in ('r', 'p')
   and not c.relispartition and a.atttypid in ('jsonb'::regtype, 'json'::regtype, 'text'::regtype, 'text[]'::regtype)
   and exists (
     select from pg_attribute o where o.attrelid = c.oid and o.attname = 'organization_id' and not o.attisdropped)
 order by 1, 2, 3
"""
ORPHANS = """
select format('delete from %s c where not exists (select from %s p where %s)',
         k.conrelid::regclass, k.confrelid::regclass,
         string_agg(format('(p.%I = c.%I or c.%2$I is null)', there.attname, here.attname), ' and '))
  from pg_constraint k
  cross join lateral unnest(k.conkey, k.confkey) u(here, there)
  join pg_attribute here on here.attrelid = k.conrelid and here.attnum = u.here
  join pg_attribute there on there.attrelid = k.confrelid and there.attnum = u.there
 where k.contype = 'f' and k.conparentid = 0 and k.connamespace in ('public'::regnamespace, 'private'::regnamespace)
 group by k.oid, k.conrelid, k.confrelid
"""
CONFIGS, SECRET = "device_integrations", make_secret()
Column = tuple[str, str, str, str]


@pytest.fixture
def superuser(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    folder = DataFolder(stack.functions_env.parent)
    url = database_url(folder.load_credentials(), folder.load_ports().postgres, "supabase_admin")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def hostile(superuser: psycopg.Connection[Any]) -> Iterator[dict[str, str]]:
    """Ids of two organizations for each value, one with its configs as they should be; gone in the end."""
    made = {f"{value} {whole}": str(uuid.uuid4()) for value in DOCUMENTS for whole in ("rows", "all")}
    yield made
    superuser.execute("set session_replication_role = replica")
    for schema, table in {column[:2] for column in list_columns(superuser)}:
        gone = SQL("delete from {} where organization_id = any(%s)").format(Identifier(schema, table))
        superuser.execute(gone, [list(made.values())])
    superuser.execute("delete from organizations where id = any(%s)", [list(made.values())])
    # What the triggers would have taken along.
    for (orphans,) in superuser.execute(ORPHANS.encode()).fetchall() * 2:
        superuser.execute(orphans)


def list_columns(connection: psycopg.Connection[Any]) -> list[Column]:
    return connection.execute(COLUMNS.encode()).fetchall()


def build_all(stack: Stack, hostile: dict[str, str], url: str) -> None:
    """A row of everything for each, of types whose configs need no secret."""
    with stack.connect() as connection:
        connection.cursor_factory = psycopg.ClientCursor
        member = stack.user("stranger").id
        for organization in hostile.values():
            connection.execute("insert into organizations (id, name) values (%s, 'Hostile')", [organization])
            connection.execute(
                "insert into organization_members (user_id, organization_id, role) values (%s, %s, 'admin')",
                [member, organization],
            )
            build_estate(connection, organization)
            connection.execute(
                "insert into private.idempotency_keys (user_id, key, organization_id, fingerprint)"
                " values (%s, %s, %s, 'x')",
                [member, organization, organization],
            )
            change = "update device_integrations set {} where organization_id = %s and integration_type = %s"
            address = (
                '{"broker_url": "mqtt://127.0.0.1", "port": 9, "topics": "#", "command_topic": "x/{device}"}'
            )
            connection.execute(
                change.format("integration_type = 'mqtt', settings = %s::jsonb").encode(),
                [address, organization, "golioth"],
            )
            connection.execute(
                change.format("settings = %s::jsonb").encode(),
                [json.dumps({"url": url, "events": ["*"]}), organization, "webhook"],
            )


def write_change(column: Column) -> Composed:
    schema, table, name, kind = column
    value = SQL("array[%s]") if kind == "text[]" else SQL("%s::{}").format(SQL(kind))
    change = SQL("update {} set {} = {} where organization_id = %s")
    return change.format(Identifier(schema, table), Identifier(name), value)


def plant_all(connection: psycopg.Connection[Any], hostile: dict[str, str]) -> dict[Column, set[str]]:
    """Write what can be written; the values that each column took."""
    connection.execute("set session_replication_role = replica")
    taken: dict[Column, set[str]] = {}
    for column in connection.execute(COLUMNS.encode()).fetchall():
        for what, organization in hostile.items():
            value, whole = what.split()
            if whole == "rows" and column[1] == CONFIGS:
                continue
            text = (TEXTS if column[3].startswith("text") else DOCUMENTS)[value]
            try:
                done = connection.execute(write_change(column), [text, organization])
            except (
                psycopg.errors.IntegrityError,
                psycopg.errors.DataError,
                psycopg.errors.ProgramLimitExceeded,
            ):
                continue
            if done.rowcount:
                taken.setdefault(column, set()).add(value)
    connection.execute("set session_replication_role = origin")
    return taken


DUE = """
update public.integration_schedules set due_at = now(), lease_token = null;
update public.webhook_deliveries set due_at = now() - interval '1 minute', lease_token = null where status = 'pending';
update public.integration_jobs set due_at = now() where status = 'pending';
"""
UNPARKED = """
select 'job', organization_id, status, error from public.integration_jobs
 where kind = 'backfill' and (status = 'running' or error is null)
union all
select 'command', organization_id, status, error from public.device_commands
 where status = 'sending' or status = 'failed' and error is null
union all
select 'delivery', organization_id, status, null from public.webhook_deliveries where status = 'delivering'
union all
select 'session', organization_id, 'leased', null from public.integration_schedules where lease_token is not null
"""
TICKS = 4
"""A slow machine may need more than one for all there is."""

READ = ("", "/{}", "/{}/activity", "/{}/deliveries", "/{}/jobs", "/{}/conflicts")


def test_every_value_in_every_column_is_parked_and_the_other_organization_is_served(
    admin: Platform, hostile: dict[str, str], superuser: psycopg.Connection[Any], receiver: HttpReceiver
) -> None:
    prefix = uuid.uuid4().hex
    broker = connect_broker(admin, prefix, command_topic=f"{prefix}/{{device}}/commands")
    publish(admin.stack, readings(prefix, 1, device="pump"))
    run_tick(admin.stack, idle_seconds=0.5)
    (device,) = admin.rows("devices", external_id="eq.pump", order="created_at.desc", limit="1", select="id")
    pushed = admin.create("golioth", {"project_id": "p", "api_key": "k" * 20, "webhook_secret": SECRET})
    admin.create("webhook", {"url": receiver.url})
    build_all(admin.stack, hostile, receiver.url)
    taken = plant_all(superuser, hostile)
    superuser.execute(DUE)
    publish(admin.stack, readings(prefix, 3, device="pump"))
    command = admin.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"}).json()[
        "command"
    ]
    event = Forms("p").make_json("d", {"t": 1})
    proven = event.headers | {"X-Webhook-Secret": SECRET}

    names = {organization: what for what, organization in hostile.items()}
    parts: list[dict[str, Any]] = []
    for _ in range(TICKS):
        parts += run_tick(admin.stack, seconds=30, idle_seconds=5).values()
        unparked = [row for row in superuser.execute(UNPARKED).fetchall() if str(row[1]) in names]
        (sent,) = admin.rows("device_commands", id=f"eq.{command['id']}", select="status")
        if not unparked and sent["status"] == "sent":
            break
    received = admin.call("POST", f"/golioth-webhook/{pushed['id']}", content=event.body, headers=proven)
    answers = read_all(admin.stack, hostile, superuser)

    unplanted = {f"{column[1]}.{column[2]}" for column in list_columns(superuser) if column not in taken}
    documents = [column for column in list_columns(superuser) if column not in taken and column[3] != "text"]
    assert documents == [], unplanted
    assert (received.status_code, sent["status"]) == (202, "sent")
    assert len(admin.rows("device_messages", integration_id=f"eq.{broker['id']}", select="id")) == 4
    own = admin.user.organization_id or ""
    assert any(own.encode() in request.body for request in receiver.requests)
    assert not any("restarts" in part or part.get("failed_leases") for part in parts)
    assert unparked == []
    assert {code for code, _ in answers} <= {200, 500}
    assert {words for code, words in answers if code == 500} == {UNREAD}


def read_all(
    stack: Stack, hostile: dict[str, str], connection: psycopg.Connection[Any]
) -> set[tuple[int, str]]:
    """The statuses that their own member is answered, who reads it all through the API, with the reason of each."""
    member, answers = Platform(stack, stack.user("stranger")), set[tuple[int, str]]()
    for value in ("infinite", "deep", "large"):
        organization = hostile[f"{value} all"]
        found = "select id::text from device_integrations where organization_id = %s"
        for (integration_id,) in connection.execute(found.encode(), [organization]).fetchall():
            for path in READ:
                query = {"organization_id": organization} if not path else {}
                reply = member.call("GET", f"/integrations{path.format(integration_id)}", params=query)
                answers.add((reply.status_code, "" if reply.is_success else reply.json()["detail"]))
    return answers
