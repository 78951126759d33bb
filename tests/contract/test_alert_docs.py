"""What the documents say of alerts is so: each kind has its runbook, and bodies for others are as these want them."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from shared.provider import Event, Identity, Subscriber, load_provider, require
from tests.documents import read_blocks
from tests.stack import Stack

DOCS = Path(__file__).resolve().parents[2] / "docs"
IDENTITY = Identity(
    "78b8a16b-28bb-5997-ae7d-6c4049128e7b", "ac29c7d2-fdd8-4be3-b901-6f4001b1f784", "webhook", "x"
)
EXAMPLE, SLACK, ALERTMANAGER, PAGERDUTY = map(json.loads, read_blocks(DOCS / "alerts.md", "json"))
QUERIES = read_blocks(DOCS / "operations.md", "sql", "Look with SQL")


def make_event(**changed: Any) -> Event:
    data = EXAMPLE["data"] | changed
    return Event(
        "id", "alert.raised", "alert", EXAMPLE["timestamp"], IDENTITY.organization_id, IDENTITY, payload=data
    )


def render(config: dict[str, Any], **changed: Any) -> Any:
    provider = require(load_provider(config, IDENTITY), Subscriber)
    return json.loads(provider.deliver(make_event(**changed)).body or b"")


def test_each_kind_of_alert_has_a_section_in_the_runbook(stack: Stack) -> None:
    text = (DOCS / "operations.md").read_text("utf-8").partition("\n## Alerts\n")[2]
    sections = re.findall(r"^### (\S+)$\n\n(.+?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    with stack.connect() as connection:
        kinds = {kind for (kind,) in connection.execute("select kind from private.alert_kinds").fetchall()}

    assert {kind for kind, _ in sections} == kinds
    assert all(len(words.split()) > 12 for _, words in sections)


@pytest.mark.parametrize("query", QUERIES)
def test_each_query_of_the_runbook_runs(stack: Stack, query: str) -> None:
    with stack.connect() as connection:
        assert connection.execute(query.encode()).description


def test_the_body_without_a_template_is_that_of_standard_webhooks() -> None:
    config = {"url": "https://hooks.example.com/alerts", "events": ["alert.*"]}

    assert render(config) == EXAMPLE


def test_slack_gets_a_text_and_blocks() -> None:
    body = render(SLACK)

    assert set(body) == {"text", "blocks"}
    assert body["text"].startswith("firing: Deliveries ended")
    assert body["blocks"][0]["text"]["type"] == "mrkdwn"


@pytest.mark.parametrize("resolved_at", [None, "2026-11-29T14:00:00+00:00"])
def test_alertmanager_gets_a_list_with_labels_of_text_and_times(resolved_at: str | None) -> None:
    (alert,) = render(
        ALERTMANAGER, resolved_at=resolved_at, ends_at=resolved_at or EXAMPLE["data"]["ends_at"]
    )

    assert set(alert) == {"labels", "annotations", "startsAt", "endsAt"}
    assert all(isinstance(value, str) for value in alert["labels"].values())
    assert alert["labels"]["alertname"] == "delivery.dead"
    assert datetime.fromisoformat(alert["endsAt"]) > datetime.fromisoformat(alert["startsAt"])


@pytest.mark.parametrize("action", ["trigger", "resolve"])
@pytest.mark.parametrize("level", ["warning", "error"])
def test_pagerduty_gets_an_event_of_version_2(action: str, level: str) -> None:
    body = render(PAGERDUTY, action=action, level=level)

    assert body["event_action"] == action
    assert body["dedup_key"] == EXAMPLE["data"]["key"]
    assert len(body["dedup_key"]) <= 255
    assert body["payload"]["severity"] in {"critical", "error", "warning", "info"}
    assert set(body["payload"]) >= {"summary", "source", "severity"}
    assert body["payload"]["custom_details"] == {"dead": 3}
