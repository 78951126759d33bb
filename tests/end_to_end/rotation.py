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

from scripts.local.stack import ROOT
from shared.runtime.vault.ring import SealContext, Vault
from tests.platform import Platform
from tests.stack import Serve, Stack

Row = tuple[str, str, str, str]


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
        rows: list[Row] = []
        for number in range(count):
            integration_id = str(uuid.uuid4())
            sealed = seal(SealContext(organization_id, integration_id, "mqtt"), number)
            rows.append((integration_id, organization_id, f"Sealed {integration_id}", sealed))
        with self.stack.connect() as connection, connection.cursor() as cursor:
            cursor.executemany(
                "insert into device_integrations"
                " (id, organization_id, integration_type, name, status, api_key_encrypted)"
                " values (%s, %s, 'mqtt', %s, 'inactive', %s)",
                rows,
            )

    def open_all(self, keys: str) -> list[dict[str, Any]]:
        """The secrets of every integration, opened with this ring; VaultError where one does not open."""
        vault = Vault.from_text(keys)
        return [
            vault.open(sealed, SealContext(str(organization_id), str(integration_id), integration_type))
            for organization_id, integration_id, integration_type, sealed in self._read_sealed()
        ]

    def count(self) -> dict[str, int]:
        """How many integrations each key has sealed."""
        with self.stack.connect() as connection:
            return dict(connection.execute("select * from count_sealed()").fetchall())

    def _read_sealed(self) -> list[Any]:
        with self.stack.connect() as connection:
            return connection.execute(
                "select organization_id, id, integration_type, api_key_encrypted from device_integrations"
                " where api_key_encrypted is not null order by name"
            ).fetchall()

    def _environment(self, keys: str) -> dict[str, str]:
        return {
            "SUPABASE_URL": self.stack.url,
            "SUPABASE_SERVICE_ROLE_KEY": self.stack.service_role_key,
            "INTEGRATION_KEYS": keys,
        }


def seal_with(keys: str) -> Callable[[SealContext, int], str]:
    """Seals a numbered password with the primary key of `keys`."""
    vault = Vault.from_text(keys)
    return lambda context, number: vault.seal({"password": f"password-{number}"}, context)
