"""The migrations beside a platform's own organizations, members and devices, as docs/keep-yours.md shows them."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from scripts.local.stack import ROOT
from shared.scheduler.retention import FIRST, PRUNES
from tests.ports import find_free_port
from tests.stack import Serve, Stack

DOCUMENT = (ROOT / "docs" / "keep-yours.md").read_text("utf-8")
MIGRATIONS = ROOT / "supabase" / "migrations"
LEFT_OUT = re.findall(r"^\| `(\w+\.sql)`", DOCUMENT, re.MULTILINE)
OURS = ("organization_members", "organization_invitations")
PEOPLE = (
    "create_organization",
    "invite_member",
    "accept_invitation",
    "leave_organization",
    "delete_organization",
)


def write_migrations(folder: Path) -> None:
    """Ours without the files of the table, and in their place those of the document."""
    for file in MIGRATIONS.glob("*.sql"):
        if file.name not in LEFT_OUT:
            (folder / file.name).write_bytes(file.read_bytes())
    for name, script in re.findall(r"```sql\n-- (\w+\.sql)\n(.*?)```", DOCUMENT, re.DOTALL):
        (folder / name).write_text(script)


@pytest.fixture(scope="module")
def platform() -> Iterator[Stack]:
    """A stack on the platform's own tables."""
    with tempfile.TemporaryDirectory(prefix="yours-") as folder:
        migrations = Path(folder) / "migrations"
        migrations.mkdir()
        write_migrations(migrations)
        serve = Serve(Path(folder), find_free_port(), ["--migrations", str(migrations)])
        try:
            yield serve.start()
        finally:
            serve.stop()


@pytest.fixture
def connection(platform: Stack) -> Iterator[psycopg.Connection]:
    with platform.connect() as opened:
        yield opened
        opened.rollback()


def ask(connection: psycopg.Connection, statement: str, *values: Any) -> Any:
    row = connection.execute(statement, values).fetchone()
    return row[0] if row else None


def make_organization(connection: psycopg.Connection, user_id: str, level: int) -> str:
    organization = ask(connection, "insert into organizations (title) values ('Acme') returning id")
    connection.execute("insert into memberships values (%s, %s, %s)", (organization, user_id, level))
    return str(organization)


def make_integration(connection: psycopg.Connection, organization: str) -> str:
    return str(
        ask(
            connection,
            "insert into device_integrations (organization_id, integration_type, name)"
            " values (%s, 'mqtt', 'Broker') returning id",
            organization,
        )
    )


def act_as(connection: psycopg.Connection, user_id: str) -> None:
    claims = Jsonb({"role": "authenticated", "sub": user_id})
    connection.execute("select set_config('request.jwt.claims', %s::jsonb::text, true)", (claims,))
    connection.execute("set local role authenticated")


def test_every_file_that_the_document_leaves_out_is_one_of_ours() -> None:
    assert [name for name in LEFT_OUT if not (MIGRATIONS / name).exists()] == []
    assert len(LEFT_OUT) > len(OURS)


def test_none_of_our_own_members_are_made(connection: psycopg.Connection) -> None:
    assert [ask(connection, "select to_regclass(%s)::text", f"public.{name}") for name in OURS] == [None] * 2
    assert ask(connection, "select count(*) from pg_proc where proname = any (%s)", list(PEOPLE)) == 0


@pytest.mark.parametrize(("level", "seen"), [(1, 1), (3, 1), (None, 0)])
def test_the_platforms_members_see_what_its_function_says(
    platform: Stack, connection: psycopg.Connection, level: int | None, seen: int
) -> None:
    user = platform.user("stranger").id
    make_integration(connection, make_organization(connection, platform.user("owner").id, 3))
    if level is not None:
        make_integration(connection, make_organization(connection, user, level))

    act_as(connection, user)

    assert ask(connection, "select count(*) from device_integrations") == seen


def test_the_platforms_admins_make_integrations(platform: Stack, connection: psycopg.Connection) -> None:
    user = platform.user("stranger").id
    organization = make_organization(connection, user, 2)

    act_as(connection, user)

    assert make_integration(connection, organization)


def test_nobody_below_makes_integrations(platform: Stack, connection: psycopg.Connection) -> None:
    user = platform.user("stranger").id
    organization = make_organization(connection, user, 1)

    act_as(connection, user)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        make_integration(connection, organization)


def test_messages_find_and_make_the_platforms_own_devices(
    platform: Stack, connection: psycopg.Connection
) -> None:
    integration = make_integration(connection, make_organization(connection, platform.user("owner").id, 3))
    message = {"event_id": str(uuid.uuid4()), "device": "a", "kind": "telemetry", "payload": {"n": 1}}
    connection.execute("set local role service_role")

    counts = ask(connection, "select ingest_messages(%s, %s)", integration, Jsonb([message]))

    assert (counts["stored"], counts["devices"]) == (1, 1)
    assert ask(connection, "select label from devices where external_id = 'a'") is None
    assert ask(connection, "select device_count from device_integrations") == 1


def test_what_admins_do_is_audited_with_the_platforms_role(
    platform: Stack, connection: psycopg.Connection
) -> None:
    user = platform.user("stranger").id
    organization = make_organization(connection, user, 3)
    act_as(connection, user)

    make_integration(connection, organization)

    assert ask(connection, "select actor_role from audit_log") == "owner"


@pytest.mark.parametrize("function", [FIRST, *PRUNES])
def test_maintenance_does_without_our_members(connection: psycopg.Connection, function: str) -> None:
    connection.execute("set local role service_role")

    assert isinstance(ask(connection, f"select {function}()"), dict)


def test_a_table_of_the_platform_s_with_the_name_of_ours_is_left_alone(
    platform: Stack, connection: psycopg.Connection
) -> None:
    organization = make_organization(connection, platform.user("owner").id, 3)
    for name in OURS:
        connection.execute(f"create table public.{name} as select 'theirs' as whose".encode())

    ask(connection, "select private.end_organization(%s)", organization)
    ask(connection, "select prune_invitations()")
    used = ask(connection, "select private.count_used(%s, 'members')", organization)

    assert used is None
    assert [ask(connection, f"select whose from public.{name}") for name in OURS] == ["theirs"] * 2


def test_members_read_what_their_organization_may_have(
    platform: Stack, connection: psycopg.Connection
) -> None:
    user = platform.user("stranger").id
    organization = make_organization(connection, user, 1)
    act_as(connection, user)

    used = ask(connection, "select used from read_quotas(%s) where bound = 'integrations'", organization)

    assert used == 0


def test_what_the_platform_ends_is_switched_off_at_once_and_then_erased(
    platform: Stack, connection: psycopg.Connection
) -> None:
    organization = make_organization(connection, platform.user("owner").id, 3)
    make_integration(connection, organization)

    connection.execute("select private.end_organization(%s)", (organization,))

    assert ask(connection, "select status from device_integrations") == "inactive"
    connection.execute("set local role service_role")
    ask(connection, "select erase_organizations()")
    connection.execute("reset role")
    assert ask(connection, "select count(*) from device_integrations") == 0
    assert ask(connection, "select count(*) from organizations where id = %s", organization) == 0


def test_an_organization_takes_along_what_it_has(platform: Stack, connection: psycopg.Connection) -> None:
    organization = make_organization(connection, platform.user("owner").id, 3)
    make_integration(connection, organization)

    connection.execute("delete from organizations where id = %s", (organization,))

    assert ask(connection, "select count(*) from device_integrations") == 0
