"""Real Postgres on a data folder: initdb on the first start, loopback TCP and unix socket, passwords on both.

The superuser is `supabase_admin`, as on Supabase; `postgres` is an ordinary owner made by the bootstrap.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.local.account import find_account, give_folder, open_programs, open_way_to
from scripts.local.binaries import read_version
from scripts.local.data_folder import Credentials, DataFolder, database_url
from scripts.local.processes import Account, Children, Program, StackError, run_program

SUPERUSER = "supabase_admin"
STOP_SECONDS = 30.0
BUILTIN_LOCALE_SINCE = 17

# For a box shared with a browser and an editor, yet honest: what was committed is on disk.
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "wal_level": "logical",  # as on Supabase: publications warn without it
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "listen_addresses": "127.0.0.1",
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: which programs, which folder, which port."""

    binaries: Path
    folder: DataFolder
    port: int
    credentials: Credentials

    def url(self, role: str) -> str:
        """A connection string for a role over loopback TCP."""
        return database_url(self.credentials, self.port, role)

    def start(self, children: Children) -> None:
        """Makes the cluster where there is none, starts the server and waits until it answers."""
        account = find_account(os.geteuid())
        if account:
            open_way_to(self.folder.postgres)
            open_way_to(self.binaries / "postgres")
            open_programs(self.binaries)
        give_folder(self.folder.socket_folder, account)
        self.folder.socket_folder.chmod(0o755)
        self._prepare_cluster(account)
        self._end_leftover()
        children.start(self._program(account))
        children.wait_until(self._is_ready, 60, "Postgres")

    def _prepare_cluster(self, account: Account | None) -> None:
        version_file = self.folder.postgres / "PG_VERSION"
        wanted = read_version(self.binaries)
        if not version_file.exists():
            self._make_cluster(account, wanted)
        elif (found := int(version_file.read_text())) != wanted:
            raise StackError(
                f"{self.folder.path} was made with PostgreSQL {found}, this is {wanted}. "
                "Start with another --data folder or the --postgres it was made with."
            )

    def _make_cluster(self, account: Account | None, version: int) -> None:
        """Made beside its place and renamed when complete: a start cut short leaves no half cluster."""
        unfinished = self.folder.postgres.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        give_folder(unfinished, account)
        self._run_initdb(unfinished, account, version)
        _write_vault_key(unfinished / "vault.key", account)
        unfinished.rename(self.folder.postgres)

    def _run_initdb(self, target: Path, account: Account | None, version: int) -> None:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        with _password_file(self.credentials.database_passwords[SUPERUSER], account) as password_file:
            arguments = [
                f"--pgdata={target}",
                f"--username={SUPERUSER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                *(locale if version >= BUILTIN_LOCALE_SINCE else ["--locale=C.UTF-8"]),
            ]
            run_program([self.binaries / "initdb", *arguments], account)

    def _program(self, account: Account | None) -> Program:
        settings = {
            **SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": f'"{self.folder.socket_folder}"',  # quoted: it is a list, split at commas
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name="Postgres",
            argv=[self.binaries / "postgres", "-D", self.folder.postgres, *options],
            log=self.folder.logs / "postgres.log",
            stop_signal=signal.SIGINT,  # "fast": ends connections, keeps the data clean
            account=account,
            comes_back=True,
        )

    @property
    def _pid_file(self) -> Path:
        return self.folder.postgres / "postmaster.pid"

    def _is_ready(self) -> bool:
        try:
            return self._pid_file.read_text().rstrip().endswith("ready")
        except FileNotFoundError:
            return False

    def _end_leftover(self) -> None:
        """Ends the server of a run that was killed. We hold the folder's lock, so nobody else uses it."""
        with contextlib.suppress(FileNotFoundError):
            pid = int(self._pid_file.read_text().split("\n", 1)[0])
            if _is_server_of(pid, self.folder.postgres):
                os.kill(pid, signal.SIGINT)
                _wait_for_end(pid, self.folder.postgres)
        # Both locks name a process. Its number may belong to another program by now (in a container it often does), or
        # to a zombie that whoever inherited it has not waited for: Postgres would take either for itself and refuse.
        for lock in (self._pid_file, *self.folder.socket_folder.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)


def _is_server_of(pid: int, folder: Path) -> bool:
    return str(folder) in _read_command(pid)


def _read_command(pid: int) -> str:
    if Path("/proc/self").exists():
        file = Path(f"/proc/{pid}/cmdline")
        return file.read_text(errors="replace").replace("\0", " ") if file.exists() else ""
    try:
        return run_program(["ps", "-ww", "-o", "command=", "-p", str(pid)])
    except StackError:
        return ""


def _wait_for_end(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while _is_server_of(pid, folder):
        if time.monotonic() > deadline:
            raise StackError(
                f"An earlier Postgres (process {pid}) still uses {folder} and does not stop; end it."
            )
        time.sleep(0.05)


def _write_vault_key(file: Path, account: Account | None) -> None:
    """Random bytes for vault.sql: beside the tables and not in them, so that a dump holds ciphertext only."""
    file.write_bytes(secrets.token_bytes(128))
    file.chmod(0o600)
    if account:
        os.chown(file, account.uid, account.gid)


@contextlib.contextmanager
def _password_file(password: str, account: Account | None) -> Iterator[str]:
    with tempfile.NamedTemporaryFile("w") as stream:
        stream.write(password)
        stream.flush()
        if account:
            os.chown(stream.name, account.uid, account.gid)
        yield stream.name
