"""Migrations are applied in order, once, and recorded so that the Supabase CLI agrees."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from scripts.local.migrations import apply_migrations
from scripts.local.processes import StackError
from scripts.local.stack import ROOT
from scripts.local.statements import split_statements
from tests.stack import Serve, Stack

MIGRATIONS = ROOT / "supabase" / "migrations"

History = list[tuple[str, str, list[str]]]


def read_history(stack: Stack) -> History:
    with stack.connect() as connection:
        return connection.execute(
            "select version, name, statements from supabase_migrations.schema_migrations order by version"
        ).fetchall()


def push(cli: Path, stack: Stack, project: Path) -> str:
    """`supabase db push` of a copy of the project's supabase folder: the CLI leaves files beside it."""
    shutil.copytree(ROOT / "supabase", project / "supabase", dirs_exist_ok=True)
    argv = [str(cli), "db", "push", f"--remote={stack.db_url}", "--yes", "--workdir", str(project)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_supabase_cli_finds_nothing_to_do_on_a_running_stack(
    stack: Stack, node_modules: Path, tmp_path: Path
) -> None:
    before = read_history(stack)

    output = push(node_modules / ".bin" / "supabase", stack, tmp_path)

    assert "up to date" in output
    assert read_history(stack) == before


def test_the_supabase_cli_migrates_a_fresh_database_and_records_what_we_record(
    stack: Stack, new_serve: Callable[..., Serve], node_modules: Path, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    fresh = new_serve("--migrations", str(tmp_path / "none")).start()

    push(node_modules / ".bin" / "supabase", fresh, tmp_path)

    assert read_history(fresh) == read_history(stack)
    assert apply_migrations(fresh.db_url, MIGRATIONS) == []


def test_every_migration_of_the_project_is_recorded(stack: Stack) -> None:
    files = sorted(file.stem for file in MIGRATIONS.glob("*.sql"))

    assert [f"{version}_{name}" for version, name, _ in read_history(stack)] == files


def test_a_migration_that_fails_changes_nothing_and_names_its_line(stack: Stack, tmp_path: Path) -> None:
    script = (
        "create table public.half_done (id int);\n\n-- wrong:\nselect no_such_column\nfrom public.half_done;"
    )
    (tmp_path / "99990101000000_broken.sql").write_text(script)

    with pytest.raises(StackError, match=r"99990101000000_broken.sql, line 4: .*no_such_column"):
        apply_migrations(stack.db_url, tmp_path)

    with stack.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select from public.half_done")
    assert "99990101000000" not in [version for version, _, _ in read_history(stack)]


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ("select 1;\nselect 2", ["select 1", "select 2"]),
        ("-- a;b\nselect 1;", ["-- a;b\nselect 1"]),
        ("/* a; /* b; */ c; */ select 1;", ["/* a; /* b; */ c; */ select 1"]),
        ("select 'it''s; ok';select 2;", ["select 'it''s; ok'", "select 2"]),
        ('select 1 as "a;b";', ['select 1 as "a;b"']),
        ("do $$ begin; end $$;select 1", ["do $$ begin; end $$", "select 1"]),
        ("do $a$ $$;$$ ; $a$;", ["do $a$ $$;$$ ; $a$"]),
        (
            "create function f() returns int begin atomic select case when true then 1 end; end;select 2;",
            [
                "create function f() returns int begin atomic select case when true then 1 end; end",
                "select 2",
            ],
        ),
        ("create rule r as on insert to t do (select 1; select 2);", None),
        (";;\n;", []),
    ],
)
def test_a_script_is_split_at_semicolons_that_end_a_statement(
    script: str, statements: list[str] | None
) -> None:
    assert split_statements(script) == (statements if statements is not None else [script.removesuffix(";")])
