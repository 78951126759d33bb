"""What docs/grpc.md shows works: each config with the service it is of, and the gateway's call."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.local.stack import ROOT
from shared.provider import Command, Identity, load_provider, require
from shared.providers.grpc import Grpc
from tests.fakes.grpc.proto_files import PROTOS
from tests.fakes.grpc.server import FakeService
from tests.fakes.mqtt_driver import Ledger
from tests.platform import Platform

PAGE = (Path(ROOT) / "docs" / "grpc.md").read_text()


def find_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


STREAM, PAGES, COMMANDS, ACK = (json.loads(block) for block in find_blocks("json"))


def load(service: FakeService, config: dict[str, Any]) -> Grpc:
    """The documented config, of a service that is here."""
    here = {"target": f"127.0.0.1:{service.port}", "use_tls": False}
    return require(load_provider(config | here, Identity("o", "i", "grpc")), Grpc)


@pytest.mark.usefixtures("allow_loopback")
@pytest.mark.parametrize("config", [STREAM, PAGES], ids=["stream", "pages"])
def test_the_first_messages_come(config: dict[str, Any]) -> None:
    with FakeService(token=config["bearer_token"]) as service:
        service.add(3)
        ledger = Ledger()

        ledger.run(load(service, config), 3)

    assert {each.device for each in ledger.stored.values()} == {"pump-0", "pump-1", "pump-2"}


def test_the_service_of_the_page_is_the_one_that_is_tried() -> None:
    (shown,) = find_blocks("proto")
    tried = (PROTOS / "demo.proto").read_text()

    for field in re.findall(r"[\w.]+ \w+ = \d+;", shown):
        assert field in tried
    for method in re.findall(r"rpc [^;]*;", shown):
        assert method in tried


@pytest.mark.usefixtures("allow_loopback")
def test_the_documented_command_is_confirmed() -> None:
    with FakeService() as service:
        sent = Command("c", "pump-1", "start", {}, datetime.now(UTC) + timedelta(hours=1))

        assert load(service, COMMANDS).send(sent).confirmed


def test_every_field_of_a_service_is_in_the_table() -> None:
    fields = {*Grpc.groups[0].fields, *Grpc.groups[1].fields, *Grpc.groups[2].fields, *Grpc.groups[3].fields}

    assert not [name for name in fields - {"session_seconds"} if f"`{name}`" not in PAGE]


def test_the_call_of_a_gateway_is_answered_as_shown(admin: Platform) -> None:
    wanted = {"organization_id": admin.user.organization_id, "integration_type": "grpc", "name": "Gateways"}
    created = admin.call("POST", "/integrations", json=wanted | {"config": {}}).json()
    place = f"{admin.stack.url}/functions/v1/receive/{created['integration']['id']}"
    (shown,) = find_blocks("sh")
    body, path = re.search(r"-d '(.*)'", shown), re.search(r"GRPC_ID(/\S+)\"", shown)
    assert body
    assert path

    reply = httpx.post(
        f"{place}{path[1]}",
        content=body[1],
        headers={
            "Content-Type": "application/json",
            "X-Webhook-Secret": created["generated"]["webhook_secret"],
        },
        timeout=60,
    )

    assert (reply.status_code, reply.json()) == (200, ACK)
