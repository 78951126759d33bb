"""`scripts/demo`: starts the local stack, connects a broker and a webhook, and shows what arrives."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live

from scripts.demonstration import kafka, lorawan
from scripts.demonstration.codec import DEVICE_PATH, FIXTURES, SOURCE, start_meters
from scripts.demonstration.display import describe_message, draw_devices, print_invitation
from scripts.demonstration.fleet import is_from_fleet, keep_fleet, start_fleet
from scripts.demonstration.golioth import make_config, start_pipeline
from scripts.demonstration.platform import Session, sign_in, wait_for_session
from scripts.demonstration.receiver import Receiver
from scripts.demonstration.stack import run_stack
from scripts.demonstration.tally import Result, Tally, settle_account
from scripts.demonstration.threads import Simulation
from scripts.local.stopping import Stopped, hear_stop, listen_for_stop

READINGS = 8
SETTLE_SECONDS = 40.0
INTERRUPTED = 130
NEWEST = "40"
console = Console()


def run() -> int:
    """0 when everything published was stored once, delivered, and seen by its organization only; 130 when stopped."""
    options = _read_options()
    listen_for_stop()
    code = INTERRUPTED
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f"demo-{options.port}-", ignore_cleanup_errors=True) as folder,
            run_stack(Path(folder), options.port) as stack,
            Receiver() as receiver,
        ):
            admin, result = _run_demo(stack, receiver, options.extra)
            console.print(str(result), highlight=False, soft_wrap=True)
            code = 0 if result.ok else 1
            if not options.once:
                keep_fleet(stack["mqtt_url"])
                print_invitation(console, stack, Path(folder) / "data")
                _follow(admin, receiver)
    except Stopped:
        hear_stop()
        console.print("Stopped; nothing is left behind.")
    return code


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself with a summary line")
    parser.add_argument("--port", type=int, default=54321, help="the port of the API (default 54321)")
    extra = (
        "let other devices take part: those of golioth post through its receiver, those of codec post bytes of "
        "their own protocol, which a JavaScript codec reads, those of lorawan are pushed by two network servers, "
        "those of kafka are read from a topic"
    )
    parser.add_argument("--with", dest="extra", choices=["golioth", "codec", "lorawan", "kafka"], help=extra)
    return parser.parse_args()


def _run_demo(stack: dict[str, Any], receiver: Receiver, extra: str | None) -> tuple[Session, Result]:
    admin, other = _sign_in_as(stack, "admin", 0), _sign_in_as(stack, "owner", 1)
    tally = Tally()
    _connect(stack, admin, receiver)
    simulations = [start_fleet(stack["mqtt_url"], READINGS, tally.add)]
    if extra == "golioth":
        simulations.append(start_pipeline(*_connect_golioth(stack, admin), READINGS, tally.add))
    if extra == "codec":
        simulations.append(start_meters(*_connect_meters(stack, admin), READINGS, tally.add))
    if extra == "lorawan":
        simulations += _start_networks(stack, admin, tally)
    if extra == "kafka":
        simulations.append(_start_machines(admin, tally))
    _show_arrival(admin, tally, receiver, simulations)
    _show_malformed(admin)
    rows = admin.rows("device_messages", "id,topic,payload,raw,raw_encoding,error")
    return admin, settle_account(tally, rows, receiver.received, _count_seen(other))


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
    created = admin.create_integration("mqtt", "Demo broker", config)
    admin.create_integration("webhook", "Demo webhook", {"url": receiver.url})
    console.print("Created an MQTT and a webhook integration; the worker subscribes …")
    # The broker keeps messages for us from the first subscription on, so that has to stand before devices publish.
    wait_for_session(stack, created["integration"]["id"])


def _connect_golioth(stack: dict[str, Any], admin: Session) -> tuple[str, str]:
    """The address that a pipeline posts to, and the secret it sends."""
    created = admin.create_integration("golioth", "Demo Golioth project", make_config())
    console.print("Created a Golioth integration, whose pipelines send the secret made for it.")
    url = f"{stack['functions_url']}/golioth-webhook/{created['integration']['id']}"
    return url, created["generated"]["webhook_secret"]


def _connect_meters(stack: dict[str, Any], admin: Session) -> tuple[str, str]:
    """The address that meters post below, and the secret they send."""
    codec = admin.create_codec("Demo meters", SOURCE, FIXTURES)
    config = {"codec": codec["id"], "device_path": DEVICE_PATH}
    created = admin.create_integration("http", "Demo gateway", config)
    console.print("Created a JavaScript codec and an HTTP integration that decodes with it.")
    url = f"{stack['functions_url']}/receive/{created['integration']['id']}"
    return url, created["generated"]["webhook_secret"]


def _start_networks(stack: dict[str, Any], admin: Session, tally: Tally) -> list[Simulation]:
    """Sensors of both LoRaWAN network servers, whose bytes one decoder reads."""
    codec = admin.create_codec("Demo sensors", lorawan.SOURCE, lorawan.FIXTURES)["id"]
    made = (
        ("The Things Stack", lorawan.make_tts_config(codec), lorawan.start_network),
        ("ChirpStack", lorawan.make_chirpstack_config(codec), lorawan.start_chirpstack),
    )
    started = []
    for name, config, start in made:
        created = admin.create_integration("lora", f"Demo {name}", config)
        url = f"{stack['functions_url']}/receive/{created['integration']['id']}"
        started.append(start(url, created["generated"]["webhook_secret"], READINGS, tally.add))
    console.print("Created a decoder and two LoRaWAN integrations, whose network servers push uplinks.")
    return started


def _start_machines(admin: Session, tally: Tally) -> Simulation:
    """Machines whose readings are in a topic that is read from its beginning."""
    servers = kafka.run_cluster()
    machines = kafka.start_machines(servers, READINGS, tally.add)
    admin.create_integration("kafka", "Demo Kafka cluster", kafka.make_config(servers))
    console.print("Started a Kafka cluster and created an integration that reads a topic of it.")
    return machines


def _show_arrival(admin: Session, tally: Tally, receiver: Receiver, simulations: list[Simulation]) -> None:
    """A live table until everything that was published is stored and delivered, or it takes too long."""

    def draw() -> bool:
        messages = admin.rows("device_messages", "id,device_id,payload,error,observed_at")
        title = f"{tally.total} published · {len(messages)} stored · {len(set(receiver.received))} delivered"
        live.update(
            draw_devices(title, admin.rows("devices", "id,external_id,status,last_seen_at"), messages)
        )
        good = sum(1 for message in messages if message["error"] is None)
        return len(messages) >= tally.total and len(set(receiver.received)) >= good

    with Live(console=console, refresh_per_second=4) as live:
        _repeat_until(lambda: draw() and not any(simulation.running for simulation in simulations))
        draw()
    if not console.is_terminal:
        console.print()  # in a file the table ends without a newline
    for simulation in simulations:
        simulation.finish()


def _repeat_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(0.25)


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


def _follow(admin: Session, receiver: Receiver) -> NoReturn:
    """Says what others than the fleet publish from now on, until Ctrl-C."""
    columns = "id,topic,payload,raw,error"
    known = {row["id"] for row in admin.newest("device_messages", columns, NEWEST)}
    receiver.forget()
    while True:
        rows = admin.newest("device_messages", columns, NEWEST)
        for row in reversed(rows):
            if row["id"] not in known and not is_from_fleet(row["payload"]):
                _say_now(describe_message("stored", row["topic"], row["payload"] or row["raw"], row["error"]))
        known = {row["id"] for row in rows}
        for body in receiver.forget():
            if not is_from_fleet(body["data"]["payload"]):
                _say_now(describe_message("delivered", body["data"]["topic"], body["data"]["payload"], None))
        time.sleep(0.2)


def _say_now(text: str) -> None:
    console.print(f"{time.strftime('%H:%M:%S')} {text}", markup=False, highlight=False)
    sys.stdout.flush()
