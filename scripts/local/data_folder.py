"""What a stack keeps on disk: the names in its data folder, its credentials and the ports it likes to reuse.

Everything secret is readable by its owner alone, because the folder outlives the process.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, Field, ValidationError

from scripts.local.ports import find_free_port, is_free
from scripts.local.processes import StackError

DATABASE_ROLES = ("supabase_admin", "postgres", "authenticator", "supabase_auth_admin")
LONGEST_SOCKET_FOLDER = 80  # the kernel's limit is 104 to 108 bytes with the socket's own name behind it


def _random_text() -> str:
    return secrets.token_urlsafe(32)


def _database_passwords() -> dict[str, str]:
    return {role: _random_text() for role in DATABASE_ROLES}


def make_integration_keys() -> str:
    """A vault's keys, of which there is one."""
    return "local1:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def _signing_key() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )


class Credentials(BaseModel):
    """All secrets of one data folder; made at random on the first start and kept."""

    jwt_secret: str = Field(default_factory=_random_text)
    signing_key: str = Field(default_factory=_signing_key)
    integration_keys: str = Field(default_factory=make_integration_keys)
    scheduler_secret: str = Field(default_factory=_random_text)
    metrics_secret: str = Field(default_factory=_random_text)
    database_passwords: dict[str, str] = Field(default_factory=_database_passwords)
    user_passwords: dict[str, str] = Field(default_factory=dict)

    def user_password(self, email: str) -> str:
        """The password of a seeded user, made on first use."""
        return self.user_passwords.setdefault(email, secrets.token_urlsafe(12))


class Ports(BaseModel):
    """The loopback ports of the database and the broker."""

    postgres: int = 0
    mqtt: int = 0


@dataclass(frozen=True, slots=True)
class DataFolder:
    """One stack's folder: `--data`, made where it is missing."""

    path: Path

    def prepare(self) -> None:
        """Makes the folder and the one for logs."""
        self.logs.mkdir(parents=True, exist_ok=True)

    @property
    def postgres(self) -> Path:
        """Postgres' own data folder."""
        return self.path / "postgres"

    @property
    def logs(self) -> Path:
        """Where the parts of the stack write what went wrong."""
        return self.path / "logs"

    @property
    def functions_env(self) -> Path:
        """The functions' environment, one `NAME=value` a line, for running one by hand."""
        return self.path / "functions.env"

    @property
    def report(self) -> Path:
        """The last start's ready file, for scripts/env."""
        return self.path / "report.json"

    @property
    def socket_folder(self) -> Path:
        """The folder of Postgres' unix socket: ours, or where that is too long a short one elsewhere."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) <= LONGEST_SOCKET_FOLDER:
            return inside
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"local-stack-{name}"

    def load_credentials(self) -> Credentials:
        """The folder's credentials, new ones where there are none yet; StackError where they can't be read."""
        file = self.path / "credentials.json"
        try:
            return Credentials.model_validate_json(file.read_bytes()) if file.exists() else Credentials()
        except ValidationError:
            raise StackError(f"{file} is damaged; restore it, or choose another --data folder.") from None

    def save_credentials(self, credentials: Credentials) -> None:
        """Keeps the credentials for the next start."""
        write_private(self.path / "credentials.json", credentials.model_dump_json(indent=2))

    def load_ports(self) -> Ports:
        """The ports of the last start; zeros where there was none."""
        file = self.path / "ports.json"
        return Ports.model_validate_json(file.read_bytes()) if file.exists() else Ports()

    def choose_ports(self) -> Ports:
        """The ports of the last start where they are still free, others where not; remembered."""
        known = self.load_ports()
        ports = Ports(postgres=_choose_port(known.postgres), mqtt=_choose_port(known.mqtt))
        write_private(self.path / "ports.json", ports.model_dump_json())
        return ports

    def lock(self) -> TextIO:
        """Keeps others off the folder while the returned file is open; BlockingIOError when it is taken."""
        stream = (self.path / "lock").open("w")
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return stream


def database_url(credentials: Credentials, port: int, role: str) -> str:
    """A connection string for a role over loopback TCP, for any client."""
    return f"postgresql://{role}:{credentials.database_passwords[role]}@127.0.0.1:{port}/postgres"


def write_private(file: Path, text: str) -> None:
    """Replaces a file, readable by its owner alone: a reader sees the old text or the new, never half."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    Path(name).replace(file)


def _choose_port(wanted: int) -> int:
    return wanted if wanted and is_free(wanted) else find_free_port()
