"""docs/webhooks.md: its configs are valid, its fields all there are, and its example is what is sent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from shared.provider import Event, EventDevice, Identity, load_provider
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


def test_every_config_is_valid_and_every_field_explained() -> None:
    for block in read_blocks("json"):
        assert load(json.loads(block.replace("…", "token")))
    named = set(re.findall(r"^\| (`.+?) \|", TEXT, re.MULTILINE))
    assert {name for row in named for name in re.findall(r"`(\w+)`", row)} == {
        *Webhook.model_fields
    } - ONLY_READ_OR_MADE
