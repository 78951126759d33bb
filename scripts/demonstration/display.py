"""What the demo shows: the live table, messages in a line, and the commands to try, all within 80 columns."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ASIDE = ("device", "status", "timestamp", "seq")
"""Members of the fleet's payloads that every row of the table shows already, or nobody looks for."""

Row = dict[str, Any]


def draw_devices(title: str, devices: list[Row], messages: list[Row]) -> Table:
    """One row a device, with its latest reading."""
    table = Table(title=title)
    for column in ("device", "status", "last seen", "messages", "latest reading"):
        table.add_column(column, no_wrap=column != "latest reading")
    for device in sorted(devices, key=lambda each: str(each["external_id"])):
        own = [message for message in messages if message["device_id"] == device["id"]]
        seen = (device["last_seen_at"] or "")[11:19]
        table.add_row(device["external_id"], device["status"], seen, str(len(own)), _find_reading(own))
    return table


def _find_reading(messages: list[Row]) -> str:
    """The latest that says more than what the table shows already."""
    latest_first = sorted(messages, key=lambda message: str(message["observed_at"]), reverse=True)
    described = (describe_payload(message["payload"]) for message in latest_first if message["payload"])
    return next((text for text in described if text), "")


def describe_payload(payload: object) -> str:
    """`temperature 21.5, battery 92`."""
    if not isinstance(payload, dict):
        return str(payload)
    return ", ".join(f"{name} {value}" for name, value in payload.items() if name not in ASIDE)


def describe_message(what: str, topic: str, payload: object, error: str | None) -> str:
    """One line about a message that was stored or delivered."""
    kept = f"  (kept although malformed: {error})" if error else ""
    return f"{what:<9} {topic}  {describe_payload(payload)}{kept}"


def print_invitation(console: Console, stack: Row, data: Path) -> None:
    """Where the stack is and what to try; the long keys last."""
    admin = next(user for user in stack["users"] if user["role"] == "admin")
    lines = (
        "",
        f"The stack stays up at {stack['url']} until Ctrl-C, the fleet publishing.",
        "",
        f"Look at it:       {stack['console_url']}",
        f"Sign in:          {admin['email']} with {admin['password']}",
        "",
        "Try, in another terminal, in this folder:",
        "",
        f'  eval "$(scripts/env --data {shlex.quote(str(data))})"',
        "  scripts/publish devices/pump-12/telemetry '{\"temperature\": 42}'",
        '  curl "$FUNCTIONS_URL/integrations" -H "Authorization: Bearer $TOKEN"',
        '  curl "$SUPABASE_URL/rest/v1/devices?select=external_id,status,last_seen_at" \\',
        '    -H "apikey: $ANON_KEY" -H "Authorization: Bearer $TOKEN"',
        "",
        f"MQTT broker:      {stack['mqtt_url']}",
        f"database:         {stack['db_url']}",
        f"anon key:         {stack['anon_key']}",
        f"service role key: {stack['service_role_key']}",
        "",
        "What you publish from now on shows here:",
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
