"""A project of each release, brought to today's migrations: everything is there, opens, and goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from scripts.local.data_folder import DataFolder, database_url
from scripts.local.migrations import apply_migrations, list_migrations
from scripts.local.stack import ROOT
from scripts.releases.migrations import read_releases
from shared import __version__
from shared.devices.provisioning_steps import open_key
from shared.integrations.sealing import open_provider
from shared.provider import split_config
from shared.runtime.settings import load_settings
from shared.runtime.vault.ring import forget_vault
from tests.platform import Platform
from tests.ports import find_free_port
from tests.stack import Serve, Stack
from tests.upgrades.filled import CONFIGS, FOLDER, KEY, RING, count_rows, read_dump

MIGRATIONS = ROOT / "supabase" / "migrations"
DUMPS = sorted(FOLDER.glob("*.sql.gz"))


Counts = dict[str, int]
Service = psycopg.Connection[dict[str, Any]]


@dataclass(frozen=True)
class Upgraded:
    """A new stack with what a dump brought and all migrations since; how many rows each table had before and after."""

    stack: Stack
    before: Counts
    after: Counts


@pytest.fixture(scope="module", params=DUMPS, ids=lambda file: file.name)
def upgraded(request: pytest.FixtureRequest) -> Iterator[Upgraded]:
    with tempfile.TemporaryDirectory(prefix="upgrade-") as folder:
        nothing = Path(folder) / "none"
        nothing.mkdir()
        arguments = ["--migrations", str(nothing)]
        serve = Serve(Path(folder), find_free_port(), arguments, {"INTEGRATION_KEYS": RING})
        try:
            yield upgrade(serve.start(), request.param)
        finally:
            serve.stop()


def upgrade(stack: Stack, dump: Path) -> Upgraded:
    credentials = DataFolder(stack.data).load_credentials()
    superuser = database_url(credentials, urlsplit(stack.db_url).port or 0, "supabase_admin")
    with psycopg.connect(superuser) as connection:
        connection.execute("drop schema supabase_migrations cascade")
        connection.execute(read_dump(dump).encode())
        before = count_rows(connection)
    apply_migrations(stack.db_url, MIGRATIONS)
    with psycopg.connect(superuser) as connection:
        return Upgraded(stack, before, count_rows(connection))


@pytest.fixture
def service(upgraded: Upgraded, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The database as the functions have it, and the ring of the dump."""
    monkeypatch.setenv("INTEGRATION_KEYS", RING)
    load_settings.cache_clear()
    forget_vault()
    with psycopg.connect(upgraded.stack.db_url, row_factory=dict_row, autocommit=True) as connection:
        connection.execute("set role service_role")
        yield connection
    load_settings.cache_clear()
    forget_vault()


def test_the_version_that_is_here_and_every_release_have_a_dump() -> None:
    assert {file.name.removesuffix(".sql.gz") for file in DUMPS} == {*read_releases(ROOT)} >= {__version__}


def test_every_table_of_a_dump_has_a_row_which_an_upgrade_keeps(upgraded: Upgraded) -> None:
    assert [table for table, rows in upgraded.before.items() if not rows] == []
    # What the operator sets may get rows of its own by a migration.
    settings = {"private.retention"}
    kept = {table: rows for table, rows in upgraded.before.items() if table not in settings}
    assert upgraded.after.items() >= kept.items()
    assert all(upgraded.after[table] >= upgraded.before[table] for table in settings)


def test_after_an_upgrade_every_migration_is_applied(upgraded: Upgraded) -> None:
    with upgraded.stack.connect() as connection:
        applied = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()

    assert {version for (version,) in applied} == {each.version for each in list_migrations(MIGRATIONS)}


def test_credentials_open_after_an_upgrade(service: Service) -> None:
    rows = service.execute(
        "select to_jsonb(s) as row from private.sealed_integrations s where s.name like 'Upgraded %'"
    ).fetchall()
    secrets = {row["row"]["integration_type"]: split_config(open_provider(row["row"]))[1] for row in rows}
    key = service.execute(
        "select p.*, s.sealed from private.provisioning_secrets s"
        " join device_provisionings p on p.id = s.provisioning_id"
    ).fetchone()

    for kind, config in CONFIGS.items():
        made_up = {name: value for name, value in config.items() if value.startswith("upgrades-")}
        assert secrets[kind].items() >= made_up.items() != set()
    assert key is not None
    assert open_key({**key, "id": str(key["id"]), "organization_id": str(key["organization_id"])}) == KEY  # type: ignore[typeddict-item]


def test_work_goes_on_after_an_upgrade(upgraded: Upgraded, service: Service) -> None:
    with upgraded.stack.connect() as connection:
        connection.execute(
            "insert into device_commands (device_id, name) select id, 'later' from devices where external_id = 'pump-1'"
        )
    sessions = service.execute("select * from lease_sessions(10, 30)").fetchall()
    commands, deliveries = (
        (service.execute(f"select {name}(10, 30) as answer").fetchone() or {})["answer"][place]
        for name, place in (("lease_commands", "commands"), ("lease_deliveries", "deliveries"))
    )
    source = next(row for row in sessions if row["name"] == "Upgraded mqtt")
    messages = [{"event_id": each, "device": "pump-1", "payload": {"n": 2}} for each in ("known", "new")]
    ingest = "select ingest_messages(%s, %s) as counts"
    counts = (service.execute(ingest, (source["id"], Jsonb(messages))).fetchone() or {})["counts"]

    assert (counts["stored"], counts["duplicates"]) == (1, 1)
    assert {command["name"] for command in commands} & {"reboot", "later"}
    assert {"n": 1} in [delivery["payload"] for delivery in deliveries]


def test_members_see_after_an_upgrade_what_they_saw(upgraded: Upgraded) -> None:
    admin = Platform(upgraded.stack, upgraded.stack.user("admin"))

    listed = admin.call("GET", "/integrations").json()["integrations"]

    assert {row["name"] for row in listed} >= {f"Upgraded {kind}" for kind in CONFIGS}
    assert [row["payload"] for row in admin.rows("device_messages", event_id="eq.known")] == [{"n": 1}]
