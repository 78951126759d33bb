"""`scripts/env`: what a shell needs to talk to a running local stack, as `export` lines for `eval "$(scripts/env)"`.

It signs in, and where the organization has no MQTT integration or no device yet it makes an example of each.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from scripts.local.data_folder import DataFolder
from scripts.local.processes import StackError
from scripts.local.seed import ROLES, User
from scripts.local.stack import Report

DEFAULT_DATA = Path(__file__).resolve().parents[2] / ".local"
SUBSCRIBE_SECONDS = 4.0
EXAMPLE_TOPICS = "devices/+/telemetry, devices/+/status"
Row = dict[str, Any]


def main() -> int:
    """Prints the variables; 1 with a sentence on standard error where no stack runs."""
    parser = argparse.ArgumentParser(prog="scripts/env", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="the folder scripts/serve was started with"
    )
    try:
        variables = read_environment(parser.parse_args().data.resolve())
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
    return 0


def read_environment(data: Path) -> dict[str, str]:
    """The variables by their names; StackError where no stack runs on that folder."""
    file = DataFolder(data).report
    if not file.exists():
        raise StackError(f"There is no stack in {data}: start scripts/serve, or name its folder with --data.")
    report = Report.model_validate_json(file.read_bytes())
    try:
        with httpx.Client(base_url=report.url, headers={"apikey": report.anon_key}, timeout=30) as http:
            return _describe_stack(report, Client(http, report.functions_url))
    except httpx.TransportError:
        raise StackError(
            f"The stack of {data} does not answer at {report.url}: start it with scripts/serve, "
            "or name the folder of one that runs with --data."
        ) from None


def _describe_stack(report: Report, stack: Client) -> dict[str, str]:
    users = {user.role: user for user in reversed(report.users)}
    tokens = {role: stack.sign_in(users[role]) for role in ROLES}
    admin = users["admin"]
    integration = stack.find_integration(tokens["admin"], admin)
    if integration is None:
        integration = stack.make_integration(tokens["admin"], admin, report.mqtt_url)
        stack.wait_for_session(report.service_role_key, integration)
    return {
        "SUPABASE_URL": report.url,
        "ANON_KEY": report.anon_key,
        "SERVICE_ROLE_KEY": report.service_role_key,
        "FUNCTIONS_URL": report.functions_url,
        "SCHEDULER_SECRET": report.scheduler_secret,
        "METRICS_SECRET": report.metrics_secret,
        "BROKER_URL": report.mqtt_url,
        "EMAIL": admin.email,
        "PASSWORD": admin.password,
        "TOKEN": tokens["admin"],
        **{f"TOKEN_{role.upper()}": token for role, token in tokens.items()},
        "ORGANIZATION_ID": str(admin.organization_id),
        "INTEGRATION_ID": str(integration["id"]),
        "DEVICE_ID": str(stack.find_device(tokens["admin"], integration)["id"]),
    }


class Client:
    """The calls this takes, over HTTP as any client makes them."""

    def __init__(self, http: httpx.Client, functions_url: str) -> None:
        self._http = http
        self._functions_url = functions_url

    def sign_in(self, user: User) -> str:
        """A session token."""
        body = {"email": user.email, "password": user.password}
        reply = self._http.post("/auth/v1/token?grant_type=password", json=body)
        if reply.is_error:
            raise StackError(f"{user.email} can't sign in ({reply.text}); was the password changed?")
        return str(reply.json()["access_token"])

    def find_integration(self, token: str, admin: User) -> Row | None:
        """The organization's first MQTT integration."""
        mine = {"organization_id": f"eq.{admin.organization_id}", "integration_type": "eq.mqtt"}
        return next(iter(self._read(token, "device_integrations", **mine)), None)

    def make_integration(self, token: str, admin: User, broker_url: str) -> Row:
        """An example, to the stack's broker."""
        body = {
            "organization_id": admin.organization_id,
            "integration_type": "mqtt",
            "name": "Example broker",
            "config": {
                "broker_url": broker_url,
                "topics": EXAMPLE_TOPICS,
                "command_topic": "devices/{device}/commands/{name}",
            },
        }
        made = self._post(token, f"{self._functions_url}/integrations", body)
        print("Made the integration “Example broker”, to the stack's own broker.", file=sys.stderr)
        return dict(made["integration"])

    def wait_for_session(self, service_key: str, integration: Row) -> None:
        """Until a worker has subscribed, so that what is published next arrives; not for long, as none may run."""
        deadline = time.monotonic() + SUBSCRIBE_SECONDS
        query = {"select": "state->subscribed", "integration_id": f"eq.{integration['id']}"}
        while time.monotonic() < deadline:
            (schedule,) = self._read(service_key, "integration_schedules", **query, order="due_at")
            if schedule["subscribed"]:
                return
            time.sleep(0.1)

    def find_device(self, token: str, integration: Row) -> Row:
        """The integration's first device; an example where there is none."""
        found = self._read(token, "devices", integration_id=f"eq.{integration['id']}")
        if found:
            return found[0]
        body = {
            "organization_id": integration["organization_id"],
            "integration_id": integration["id"],
            "external_id": "example-1",
            "name": "Example device",
        }
        return dict(self._post(token, "/rest/v1/devices?select=id", body)[0])

    def _read(self, token: str, table: str, **filters: str) -> list[Row]:
        query = {"select": "id,organization_id", "order": "created_at,id", "limit": "1"} | filters
        reply = self._http.get(f"/rest/v1/{table}", params=query, headers=_authorize(token))
        if reply.is_error:
            raise StackError(f"{table} could not be read: {reply.text}")
        return list(reply.json())

    def _post(self, token: str, url: str, body: Row) -> Any:
        headers = _authorize(token) | {"Prefer": "return=representation"}
        reply = self._http.post(url, json=body, headers=headers)
        if reply.is_error:
            raise StackError(f"An example could not be made at {url}: {reply.text}")
        return reply.json()


def _authorize(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


if __name__ == "__main__":
    sys.exit(main())
