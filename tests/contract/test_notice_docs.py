"""The documents of what tells people: configs are valid, every field has its row, shared ones in alerts.md."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.provider import Identity, Notifier, Publisher, Recipient, find_provider, load_provider
from tests.documents import read_blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
TYPES = ("slack", "twilio", "email")
ALERTS = (DOCS / "alerts.md").read_text("utf-8").partition("\n## People\n")[2].partition("\n## ")[0]


def read_configs(name: str) -> list[dict[str, Any]]:
    blocks = [
        json.loads(block.replace("…", "made-up-secret")) for block in read_blocks(DOCS / f"{name}.md", "json")
    ]
    return [block for block in blocks if set(block) != {"config"}]


@pytest.mark.parametrize("name", TYPES)
def test_each_config_is_valid_and_the_test_of_it_names_somebody_in_it(name: str) -> None:
    configs = read_configs(name)
    (test,) = [
        block["config"]
        for block in map(json.loads, read_blocks(DOCS / f"{name}.md", "json"))
        if "config" in block
    ]

    assert configs
    for config in configs:
        load_provider(config, Identity("o", "i", name))
    load_provider(configs[0] | test, Identity("o", "i", name))


@pytest.mark.parametrize("name", TYPES)
def test_each_field_has_its_row(name: str) -> None:
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / f"{name}.md").read_text("utf-8") + ALERTS, re.MULTILINE)
    told = {field for row in rows for field in re.findall(r"`(\w+)`", row)}
    later = {"previous_unsubscribe_secret", "previous_unsubscribe_secret_until"}
    inherited = Publisher.model_fields.keys() | {
        "auto_provision_devices",
        "silent_after_seconds",
        "offline_after_seconds",
    }

    assert set(find_provider(name).model_fields) - inherited - later <= told


def test_each_field_of_a_recipient_has_its_row() -> None:
    told = set(re.findall(r"`(\w+)`", ALERTS))

    assert {*Recipient.model_fields, *Notifier.model_fields} - Publisher.model_fields.keys() <= told
