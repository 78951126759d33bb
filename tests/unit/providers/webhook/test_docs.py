"""docs/webhooks.md: its configs are valid, its fields all there are, and its example is what is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.provider import Event, EventDevice, Identity, OutboundRequest, load_provider
from shared.providers.webhook import Webhook

TEXT = (Path(__file__).parents[4] / "docs" / "webhooks.md").read_text(encoding="utf-8")
ONLY_READ_OR_MADE = {"signing_public_key", "previous_signing_secret", "previous_signing_secret_until"}


def read_blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.+?)```", TEXT, re.DOTALL)


def load(config: dict[str, Any]) -> Webhook:
    provider = load_provider(config, Identity("o", "i", "webhook", "Plant"))
    assert isinstance(provider, Webhook)
    return provider


def test_the_example_is_what_is_sent_of_such_an_event() -> None:
    (example,) = read_blocks("http")
    head, _, body = example.partition("\n\n")
    shown = json.loads(body)
    data = shown["data"]
    source = Identity(
        data["organization_id"], *(data["integration"][name] for name in ("id", "type", "name"))
    )
    event = Event(
        re.findall(r"webhook-id: (\S+)", head)[0],
        shown["type"],
        data["kind"],
        shown["timestamp"],
        data["organization_id"],
        source,
        EventDevice(**data["device"]),
        data["topic"],
        data["payload"],
    )
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    webhook = load({"url": "https://hooks.example.com/devices", "signing_secret": secret})

    request = webhook.deliver(event)

    assert json.loads(request.body or b"") == shown
    names = set(re.findall(r"^(\S+): ", head, re.MULTILINE)) - {"Host"}
    assert names == set(request.headers)


def send_to(address: str, event: Event) -> OutboundRequest:
    """The request that the documented config for this address makes of an event."""
    (config,) = [json.loads(block) for block in read_blocks("json") if address in block]
    config["secret_url"] = config["secret_url"].replace("…", "an-id")
    return load(config).deliver(event)


@pytest.mark.parametrize(
    "device", [EventDevice("d-1", "pump-1", "Pump 1"), EventDevice(None, "new", None), None]
)
@pytest.mark.parametrize("payload", [{"temperature": 21.5, "humidity": 40}, {}, [1, 2], "off", None])
def test_the_templates_send_what_zapier_and_ifttt_take(device: EventDevice | None, payload: Any) -> None:
    event = Event(
        *("e-1", "device.telemetry", "telemetry", "2026-11-29T08:00:00+00:00", "o"),
        *(Identity("o", "i", "mqtt", "Plant"), device, "devices/pump-1", payload),
    )

    zap, applet, whole = (
        send_to(address, event)
        for address in (
            "hooks.zapier.com/hooks/catch",
            "/device_reading/with/key/",
            "/device_state/json/with/key/",
        )
    )

    fields = json.loads(zap.body or b"")
    assert fields["event_id"] == "e-1"
    assert not [value for value in fields.values() if isinstance(value, dict | list)]
    values = json.loads(applet.body or b"")
    assert [*values] == ["value1", "value2", "value3"]
    assert {type(value) for value in values.values()} == {str}
    assert json.loads(whole.body or b"")["data"]["payload"] == payload
    for request in (zap, applet, whole):
        assert (request.method, request.headers["Content-Type"]) == ("POST", "application/json")
    assert not [name for name in applet.headers if name == "webhook-signature"]


def test_every_config_is_valid_and_every_field_explained() -> None:
    for block in read_blocks("json"):
        assert load(json.loads(block.replace("…", "token")))
    named = set(re.findall(r"^\| (`.+?) \|", TEXT, re.MULTILINE))
    assert {name for row in named for name in re.findall(r"`(\w+)`", row)} == {
        *Webhook.model_fields
    } - ONLY_READ_OR_MADE
