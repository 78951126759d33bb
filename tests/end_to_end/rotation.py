"""A stack whose keys a test chooses, credentials in it, and scripts/rotate-keys against it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from scripts.local.stack import ROOT
from shared.integrations.sealing import USES, SealedIntegration, bind_row
from shared.runtime.vault.ring import SealContext, Vault
from tests.platform import Platform
from tests.stack import Serve, Stack

BROKER = {"broker_url": "mqtts://broker.example.com", "topics": ["#"], "username": "u"}

ADD = """
with added as (
  insert into device_integrations (id, organization_id, integration_type, name, status, settings, secret_names)
  values (%(id)s, %(organization_id)s, 'mqtt', %(name)s, 'inactive', %(settings)s, '{password}') returning 1
)
insert into private.integration_secrets (integration_id, organization_id, sealed_sent)
values (%(id)s, %(organization_id)s, %(sealed_sent)s)
"""
READ = """
select to_jsonb(s) from private.sealed_integrations s
 where coalesce(s.sealed_sent, s.sealed_kept) is not null order by s.name
"""


@dataclass
class Rotation:
    """One data folder, served with one key ring after another."""

    serve: Serve
    stacks: list[Stack] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        """The stack as it runs now."""
        return self.stacks[-1]

    @property
    def admin(self) -> Platform:
        """An admin of the first organization."""
        return Platform(self.stack, self.stack.user("admin", 0))

    def restart(self, keys: str) -> None:
        """Every function anew, with another INTEGRATION_KEYS; empty for Supabase Vault."""
        if self.serve.running:
            self.serve.stop()
        self.serve.environment["INTEGRATION_KEYS"] = keys
        self.stacks.append(self.serve.start())

    def run(self, *arguments: str, keys: str) -> subprocess.CompletedProcess[str]:
        """scripts/rotate-keys to its end."""
        with self.start(*arguments, keys=keys) as process:
            out, error = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    @contextmanager
    def start(self, *arguments: str, keys: str) -> Iterator[subprocess.Popen[str]]:
        """scripts/rotate-keys, which is killed at the end where it still runs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.rotation", *arguments],
            env={**os.environ, **self._environment(keys)},
            cwd=ROOT, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def add_sealed(self, count: int, seal: Callable[[SealContext, int], str]) -> None:
        """`count` inactive integrations with credentials that `seal` makes: nobody tries to connect them."""
        organization_id = str(self.admin.user.organization_id)
        rows = [_make_row(organization_id) for _ in range(count)]
        for number, row in enumerate(rows):
            row["sealed_sent"] = seal(bind_row(row, "sent"), number)
        with self.stack.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(ADD, [{**row, "settings": Jsonb(row["settings"])} for row in rows])

    def open_all(self, keys: str) -> list[dict[str, Any]]:
        """The secrets of every integration, opened with this ring; VaultError where one does not open."""
        vault = Vault.from_text(keys)
        with self.stack.connect() as connection:
            rows = [row for (row,) in connection.execute(READ.encode()).fetchall()]
        return [open_row(vault, row) for row in rows]

    def count(self) -> dict[str, int]:
        """How many integrations each key has sealed."""
        with self.stack.connect() as connection:
            return dict(connection.execute("select * from count_sealed()").fetchall())

    def _environment(self, keys: str) -> dict[str, str]:
        return {
            "SUPABASE_URL": self.stack.url,
            "SUPABASE_SERVICE_ROLE_KEY": self.stack.service_role_key,
            "INTEGRATION_KEYS": keys,
        }


def open_row(vault: Vault, row: SealedIntegration) -> dict[str, Any]:
    """All secrets of a row of private.sealed_integrations, opened with `vault`; VaultError where they don't open."""
    texts = {"sent": row["sealed_sent"], "kept": row["sealed_kept"]}
    opened = [vault.open(text, bind_row(row, use)) for use in USES if (text := texts[use])]
    return {name: value for secrets in opened for name, value in secrets.items()}


def _make_row(organization_id: str) -> SealedIntegration:
    integration_id = str(uuid.uuid4())
    return {
        "id": integration_id,
        "organization_id": organization_id,
        "integration_type": "mqtt",
        "name": f"Sealed {integration_id}",
        "settings": BROKER,
        "sealed_sent": None,
        "sealed_kept": None,
        "seal_count": 1,
    }


def seal_with(keys: str) -> Callable[[SealContext, int], str]:
    """Seals a numbered password with the primary key of `keys`."""
    vault = Vault.from_text(keys)
    return lambda context, number: vault.seal({"password": f"password-{number}"}, context)
