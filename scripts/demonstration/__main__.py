"""`scripts/demo`: starts the local stack, connects a broker and a webhook, and shows what arrives."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table

from scripts.demonstration.fleet import run_fleet
from scripts.demonstration.golioth import make_config, run_pipeline
from scripts.demonstration.platform import Session, run_tick, sign_in
from scripts.demonstration.receiver import Receiver
from scripts.demonstration.tally import Result, Tally, settle_account

READINGS = 8
TICK_SECONDS = 40.0
IDLE_SECONDS = 2.0
START_SECONDS = 90.0
JSON_HEADER = "-H 'Content-Type: application/json'"
TICK_BODY = '{"seconds": 10, "idle_seconds": 1}'
console = Console()


def main() -> int:
    """Run the demo; 0 when everything published was stored once, delivered, and seen by its organization only."""
    options = _parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="demo-") as folder,
            _run_stack(Path(folder), options.port) as stack,
        ):
            result = _run_demo(stack, with_golioth=options.extra == "golioth")
            console.print(str(result), highlight=False, soft_wrap=True)
            if not options.once:
                _invite(stack)
            return 0 if result.ok else 1
    except KeyboardInterrupt:
        return 130 if options.once else 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself with a summary line")
    parser.add_argument("--port", type=int, default=54321, help="the port of the API (default 54321)")
    extra = "let devices of another platform take part: golioth posts through its receiver"
    parser.add_argument("--with", dest="extra", choices=["golioth"], help=extra)
    return parser.parse_args()


@contextmanager
def _run_stack(folder: Path, port: int) -> Iterator[dict[str, Any]]:
    ready = folder / "ready.json"
    argv = ["--port", str(port), "--data", str(folder / "data"), "--ready-file", str(ready)]
    process = subprocess.Popen([sys.executable, "-m", "scripts.local", *argv], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The local stack did not start; see the messages above.")
            time.sleep(0.05)
        yield orjson.loads(ready.read_bytes())
    finally:
        process.terminate()
        process.wait(60)


def _run_demo(stack: dict[str, Any], *, with_golioth: bool) -> Result:
    admin, other = _sign_in_as(stack, "admin", 0), _sign_in_as(stack, "owner", 1)
    tally = Tally()
    with Receiver() as receiver:
        _connect(stack, admin, receiver)
        tick = threading.Thread(target=run_tick, args=(*_tick_of(stack), TICK_SECONDS, IDLE_SECONDS))
        fleets = [threading.Thread(target=run_fleet, args=(stack["mqtt_url"], READINGS, tally.add))]
        if with_golioth:
            address = _connect_golioth(stack, admin)
            fleets.append(threading.Thread(target=run_pipeline, args=(*address, READINGS, tally.add)))
        for thread in (tick, *fleets):
            thread.start()
        with Live(_draw(admin, tally, receiver), console=console, refresh_per_second=4) as live:
            while tick.is_alive():
                live.update(_draw(admin, tally, receiver))
                tick.join(0.25)
            live.update(_draw(admin, tally, receiver))
        for fleet in fleets:
            fleet.join()
        _show_malformed(admin)
        rows = admin.rows("device_messages", "id,topic,raw,raw_encoding,error")
        return settle_account(tally, rows, receiver.received, _count_seen(other))


def _sign_in_as(stack: dict[str, Any], role: str, organization: int) -> Session:
    organizations = list(dict.fromkeys(user["organization_id"] for user in stack["users"]))
    wanted = (role, organizations[organization])
    user = next(user for user in stack["users"] if (user["role"], user["organization_id"]) == wanted)
    console.print(f"Signing in as {user['email']}")
    return sign_in(stack["url"], stack["anon_key"], user["email"], user["password"])


def _connect(stack: dict[str, Any], admin: Session, receiver: Receiver) -> None:
    broker = urlsplit(stack["mqtt_url"])
    config = {
        "broker_url": f"{broker.scheme}://{broker.hostname}",
        "port": broker.port,
        "topics": "devices/+/telemetry, devices/+/status",
    }
    admin.create_integration("mqtt", "Demo broker", config)
    admin.create_integration("webhook", "Demo webhook", {"url": receiver.url})
    console.print("Created an MQTT and a webhook integration over HTTP; subscribing with a first tick …")
    # The broker keeps messages for us from the first subscription on, so that has to stand before devices publish.
    run_tick(*_tick_of(stack), 20.0, 0.5)


def _connect_golioth(stack: dict[str, Any], admin: Session) -> tuple[str, str]:
    """The address that a pipeline posts to, and the secret it sends."""
    created = admin.create_integration("golioth", "Demo Golioth project", make_config())
    console.print("Created a Golioth integration, whose pipelines send the secret that was made for it.")
    url = f"{stack['url']}/functions/v1/golioth-webhook/{created['integration']['id']}"
    return url, created["generated"]["webhook_secret"]


def _tick_of(stack: dict[str, Any]) -> tuple[str, str]:
    return stack["url"], stack["scheduler_secret"]


def _draw(admin: Session, tally: Tally, receiver: Receiver) -> Table:
    messages = admin.rows("device_messages", "id,device_id,payload,error")
    table = Table(
        title=f"{tally.total} published · {len(messages)} stored · {len(set(receiver.received))} delivered"
    )
    for title in ("device", "status", "last seen", "messages", "latest reading"):
        table.add_column(title)
    for device in admin.rows("devices", "id,external_id,status,last_seen_at"):
        own = [message for message in messages if message["device_id"] == device["id"]]
        readings = [message["payload"] for message in own if isinstance(message["payload"], dict)]
        latest = orjson.dumps(readings[-1]).decode() if readings else ""
        seen = (device["last_seen_at"] or "")[11:19]
        table.add_row(device["external_id"], device["status"], seen, str(len(own)), latest)
    return table


def _show_malformed(admin: Session) -> None:
    for row in admin.rows("device_messages", "id,topic,raw,error", error="not.is.null"):
        console.print(
            f"Kept although malformed: {row['raw']!r} on {row['topic']}: {row['error']}", markup=False
        )


def _count_seen(other: Session) -> int:
    tables = ("device_integrations", "devices", "device_messages", "webhook_deliveries")
    seen = sum(len(other.rows(table, "id")) for table in tables)
    console.print(f"The owner of the other organization sees {seen} of all this.")
    return seen


def _invite(stack: dict[str, Any]) -> None:
    admin = next(user for user in stack["users"] if user["role"] == "admin")
    url, key = stack["url"], stack["anon_key"]
    secret = f"-H 'X-Scheduler-Secret: {stack['scheduler_secret']}'"
    lines = (
        f"\nThe stack stays up at {url} until Ctrl-C.",
        f"anon key:         {key}",
        f"service role key: {stack['service_role_key']}",
        f"database:         {stack['db_url']}",
        f"MQTT broker:      {stack['mqtt_url']}",
        "\nTry, in another terminal:",
        _sign_in_command(url, key, admin),
        f"  curl -s '{url}/functions/v1/integrations' -H \"Authorization: Bearer $TOKEN\"",
        f"  curl -s -X POST '{url}/functions/v1/scheduler' {secret} {JSON_HEADER} -d '{TICK_BODY}'",
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    while True:
        time.sleep(3600)


def _sign_in_command(url: str, key: str, user: dict[str, Any]) -> str:
    body = orjson.dumps({"email": user["email"], "password": user["password"]}).decode()
    return (
        f"  TOKEN=$(curl -s '{url}/auth/v1/token?grant_type=password' -H 'apikey: {key}'"
        f" {JSON_HEADER} -d '{body}'"
        """ | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')"""
    )


if __name__ == "__main__":
    sys.exit(main())
