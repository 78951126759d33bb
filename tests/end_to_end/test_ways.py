"""docs/architecture.md says which files a message goes through, in and out; traced ones say whether that is so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from shared.deliveries.judgement import judge_attempt
from shared.deliveries.recorder import Recorder
from shared.messages.committer import Committer
from shared.providers.mqtt.acknowledgements import Outbox
from shared.providers.mqtt.connection import Connection
from shared.providers.webhook import Webhook
from shared.runtime.database.client import Database, as_service
from shared.runtime.deadline import Deadline
from shared.runtime.outbound import wire
from shared.scheduler.tick import run_tick
from tests.fakes.brokers import make_mosquitto, publish_all
from tests.fakes.http_receiver import HttpReceiver
from tests.platform import Platform, enqueue
from tests.tracing import Mark, Way, read_steps, write_folders

pytestmark = pytest.mark.usefixtures("functions_environment")


def calls(function: str) -> Mark:
    """The moment that a SQL function is called."""
    methods: dict[str, Callable[..., Any]] = {"lease": Database.lease, "ingest": Database.call_whole}
    method = methods.get(function.partition("_")[0], Database.call)
    return Mark(method, lambda frame: frame.f_locals.get("function") == function)


def run_once() -> None:
    """What the worker does, for some seconds."""
    run_tick(as_service(), Deadline(4.0), None)


def takes_messages(frame: FrameType) -> bool:
    return bool(frame.f_locals["batch"].messages)


IN = [
    calls("lease_sessions"),
    Mark(Outbox.collect),
    Mark(Committer.take, takes_messages),
    calls("ingest_batch"),
    Mark(Connection.acknowledge),
]
OUT = [
    calls("lease_deliveries"),
    Mark(Webhook.deliver),
    Mark(wire.exchange),
    Mark(judge_attempt),
    Mark(Recorder._record),
    calls("finish_deliveries"),
]


def test_a_batch_of_mqtt_messages_goes_through_the_files_that_the_page_says(
    admin: Platform, tmp_path: Path
) -> None:
    told, way = read_steps("The way of a message in"), Way(IN)
    with make_mosquitto(tmp_path) as broker:
        address = {"broker_url": "mqtt://127.0.0.1", "port": broker.port, "topics": "site/+/telemetry"}
        made = admin.create("mqtt", address)
        run_once()
        publish_all(broker.port, [("site/a/telemetry", '{"t": 1}'), ("site/b/telemetry", '{"t": 2}')])
        way.run(run_once)

    assert [row["payload"] for row in admin.rows("device_messages", integration_id=f"eq.{made['id']}")]
    assert write_folders(way.list_steps(), told) == told


def test_an_event_goes_out_through_the_files_that_the_page_says(admin: Platform) -> None:
    told, way = read_steps("The way of a message out"), Way(OUT)
    with HttpReceiver() as receiver:
        admin.create("webhook", {"url": receiver.url})
        enqueue(admin, 1)
        run_once()
        enqueue(admin, 1)
        way.run(run_once)

    assert len(receiver.requests) == 2
    assert write_folders(way.list_steps(), told) == told
