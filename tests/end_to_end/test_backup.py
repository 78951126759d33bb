"""docs/backup.md: a dump, a new stack, the restore; credentials open, members sign in, what was known is known."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg

from scripts.local.binaries import find_binaries
from scripts.local.data_folder import DataFolder, database_url
from scripts.local.stack import ROOT
from shared.provider.standard_webhooks import make_secret
from tests.documents import read_blocks
from tests.fakes.golioth.webhooks import Forms, Request
from tests.platform import Platform
from tests.stack import Serve, Stack

DUMP, RESTORE = read_blocks(ROOT / "docs" / "backup.md", "sh")


def run_block(code: str, folder: Path, **databases: str) -> None:
    """A block as it stands; passwords come from a file, as they would from ~/.pgpass."""
    urls = {name: urlsplit(url) for name, url in databases.items()}
    lines = [f"{url.hostname}:{url.port}:*:{url.username}:{url.password}" for url in urls.values()]
    (folder / "pgpass").write_text("\n".join(lines))
    (folder / "pgpass").chmod(0o600)
    places = {
        name: url._replace(netloc=f"{url.username}@{url.hostname}:{url.port}").geturl()
        for name, url in urls.items()
    }
    programs = find_binaries("system" if os.environ.get("TEST_POSTGRES") == "system" else "embedded")
    own = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PGPASSFILE": str(folder / "pgpass")}
    done = subprocess.run(
        ["bash", "-euc", code],
        cwd=folder,
        env=os.environ | own | places,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def push(stack: Stack, integration_id: str, secret: str, request: Request) -> dict[str, int]:
    url = f"{stack.url}/functions/v1/golioth-webhook/{integration_id}"
    reply = httpx.post(
        url, headers=request.headers | {"X-Webhook-Secret": secret}, content=request.body, timeout=30
    )
    assert reply.status_code == 202, reply.text
    return dict(reply.json())


def list_watched(stack: Stack) -> list[tuple[str, ...]]:
    with stack.connect() as connection:
        return connection.execute("select * from pg_publication_tables order by 1, 2, 3").fetchall()


def test_a_new_project_made_from_a_dump_and_the_key_ring_goes_on(
    stack: Stack, new_serve: Callable[..., Serve], tmp_path: Path
) -> None:
    admin, secret = Platform(stack, stack.user("admin")), make_secret()
    config = {"api_key": "canary-api-key", "project_id": "acme", "webhook_secret": secret}
    integration_id = admin.create("golioth", config)["id"]
    known, new = (Forms("acme").make_json("sensor-1", {"n": number}) for number in range(2))
    push(stack, integration_id, secret, known)
    ring = next(
        line for line in stack.functions_env.read_text().splitlines() if line.startswith("INTEGRATION_KEYS=")
    )
    (tmp_path / "none").mkdir()
    serve = new_serve(
        "--migrations", str(tmp_path / "none"), INTEGRATION_KEYS=ring.partition("=")[2].strip("'")
    )
    fresh = serve.start()
    credentials = DataFolder(fresh.data).load_credentials()
    superuser = database_url(credentials, urlsplit(fresh.db_url).port or 0, "supabase_admin")
    with psycopg.connect(superuser) as connection:
        connection.execute("delete from auth.users")
        connection.execute("drop schema supabase_migrations cascade")  # a new project has no history

    run_block(DUMP, tmp_path, OLD=stack.db_url)
    run_block(RESTORE, tmp_path, NEW=superuser)

    assert list_watched(fresh) == list_watched(stack) != []

    moved = Platform(fresh, stack.user("admin"))
    assert moved.call("GET", f"/integrations/{integration_id}").json()["integration"]["status"] == "active"
    assert push(fresh, integration_id, secret, known)["duplicates"] == 1
    assert push(fresh, integration_id, secret, new)["stored"] == 1
    payloads = moved.rows(
        "device_messages", integration_id=f"eq.{integration_id}", select="payload", order="id"
    )
    assert [row["payload"] for row in payloads] == [{"n": 0}, {"n": 1}]
    assert moved.call("PATCH", f"/integrations/{integration_id}", json={"name": "Moved"}).status_code == 200
