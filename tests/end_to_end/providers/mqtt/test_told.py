"""What goes wrong between a session and its broker: told in words, at a pace that harms nobody, and cleared again."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from shared.commands.sending import run_commands
from shared.messages import session_pool
from shared.messages.session import run_session
from shared.messages.session_pool import run_sessions
from shared.providers.mqtt.session import TRIES
from shared.runtime.database.client import as_service
from shared.runtime.deadline import Deadline
from shared.runtime.idle_watch import Pulse
from tests.fakes.brokers import Broker, count_connections, make_mosquitto, publish_all, write_passwords
from tests.fakes.certificates import PemAuthority
from tests.fakes.scripted_broker import CONNACK, CONNECT, SUBACK_QOS_1, SUBSCRIBE, Answer, run_script
from tests.platform import Platform
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.usefixtures("functions_environment")

AUTHORITY = PemAuthority()
SUBACK_QOS_0 = b"\x90\x04\x00\x01\x00\x00"
FIRST_PACE = "select extract(epoch from due_at - now())::float between 5 and 18 from integration_schedules"


def connect(admin: Platform, port: int, **config: Any) -> dict[str, Any]:
    address = {"broker_url": "mqtt://127.0.0.1", "port": port, "topics": "site/+/telemetry"}
    return admin.create("mqtt", address | config)


def run_due(admin: Platform, seconds: float = 0.5) -> None:
    """One session of the integration, which is made due."""
    ask(admin, "update integration_schedules set due_at = now() returning 1")
    database = as_service()
    (row,) = database.call("lease_sessions", p_limit=1, p_lease_seconds=30)
    run_session(row, database, Deadline(seconds), Pulse())


def run_until(admin: Platform, is_done: Callable[[], object]) -> None:
    """Sessions until something is so."""
    ends = time.monotonic() + 30
    while not is_done():
        assert time.monotonic() < ends
        run_due(admin)


def ask(admin: Platform, statement: str) -> Any:
    with admin.stack.connect() as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def show(admin: Platform, integration: dict[str, Any]) -> dict[str, Any]:
    return dict(admin.call("GET", f"/integrations/{integration['id']}").json()["integration"])


def list_rows(admin: Platform, table: str, integration: dict[str, Any], **query: str) -> list[dict[str, Any]]:
    return admin.rows(table, integration_id=f"eq.{integration['id']}", select="*", **query)


def list_entries(admin: Platform, integration: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = list_rows(admin, "integration_activity", integration, order="id")
    return [(row["kind"], row["level"], row["message"]) for row in rows]


def test_five_tries_end_in_an_error_with_its_reason_and_a_success_later_clears_it(
    admin: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.mqtt.session.FIRST_PAUSE_SECONDS", 0.01)
    answers: dict[int, Answer] = {CONNECT: b"", SUBSCRIBE: SUBACK_QOS_1}
    with run_script(answers) as broker:
        integration = connect(admin, broker.port, protocol_version="5")

        run_due(admin, seconds=20)
        failed, tries, is_slow = (
            show(admin, integration),
            broker.packets.count(CONNECT),
            ask(admin, FIRST_PACE),
        )
        run_due(admin, seconds=20)
        answers[CONNECT] = CONNACK
        run_due(admin, seconds=1.5)

    assert (tries, broker.packets.count(CONNECT)) == (TRIES, 2 * TRIES + 1) == (5, 11)
    assert (failed["status"], failed["sync_status"], is_slow) == ("error", "failed", True)
    assert "closed the connection without an answer" in failed["error_message"]
    recovered = show(admin, integration)
    assert (recovered["status"], recovered["error_message"], recovered["sync_status"]) == (
        "active",
        None,
        "ok",
    )
    assert list_entries(admin, integration) == [
        ("session.failed", "error", failed["error_message"]),
        ("session.recovered", "info", "The connection works again."),
    ]


def test_sessions_for_which_there_is_no_room_get_their_turn(
    admin: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_pool, "SESSIONS_AT_ONCE", 1)
    monkeypatch.setattr(session_pool, "TURN_SECONDS", 1.0)
    with make_mosquitto(tmp_path) as broker:
        integrations = [connect(admin, broker.port, client_id=f"turn-{number}") for number in range(2)]

        run_sessions_until(
            lambda: {"ok"} == {show(admin, each)["sync_status"] for each in integrations},
            "not each has had a turn",
        )


def run_sessions_until(is_done: Callable[[], object], complaint: str, seconds: float = 0.0) -> Counter[str]:
    """What sessions do until it is so, and so many seconds longer."""
    deadline = Deadline(2 * PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(run_sessions, as_service(), deadline, Pulse())
        try:
            wait_until(is_done, complaint)
        finally:
            deadline.shorten(seconds)
        return running.result()


@pytest.fixture(params=["wrong password", "unknown authority", "no client certificate"])
def refusing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Broker, dict[str, Any]]]:
    """A mosquitto that refuses an integration, and that one's config."""
    listener, config = {
        "wrong password": _refuse_password,
        "unknown authority": _show_unknown_authority,
        "no client certificate": _want_certificate,
    }[request.param](tmp_path)
    with make_mosquitto(tmp_path, listener=listener) as broker:
        yield broker, config


def _refuse_password(folder: Path) -> tuple[list[str], dict[str, Any]]:
    passwords = write_passwords(folder, {"user": "right"})
    return [f"password_file {passwords}"], {"username": "user", "password": "wrong"}


def _show_unknown_authority(folder: Path) -> tuple[list[str], dict[str, Any]]:
    return PemAuthority("Another").write_listener(folder, PemAuthority("Another").issue("broker")), {
        "use_tls": True,
        "ca_certificate": AUTHORITY.pem,
    }


def _want_certificate(folder: Path) -> tuple[list[str], dict[str, Any]]:
    listener = AUTHORITY.write_listener(folder, AUTHORITY.issue("broker"), "require_certificate true")
    return listener, {"use_tls": True, "ca_certificate": AUTHORITY.pem}


def test_a_broker_that_refuses_us_is_asked_once_and_not_soon_again(
    admin: Platform, tmp_path: Path, refusing: tuple[Broker, dict[str, Any]]
) -> None:
    broker, config = refusing
    before = count_connections(tmp_path)
    integration = connect(admin, broker.port, **config)

    counts = run_sessions_until(lambda: list_entries(admin, integration), "no session has failed", 1.0)

    shown = show(admin, integration)
    wait_until(lambda: count_connections(tmp_path) > before, "the broker has not written that it was asked")
    assert (counts["failed_sessions"], count_connections(tmp_path) - before) == (1, 1)
    assert (shown["status"], ask(admin, FIRST_PACE)) == ("error", True)
    assert list_entries(admin, integration) == [("session.failed", "error", shown["error_message"])]


def lose_session(broker: Broker, folder: Path) -> None:
    broker.stop()
    (folder / "mosquitto.db").unlink()
    broker.start()


def overfill_queue(broker: Broker, _: Path) -> None:
    publish_all(broker.port, [("site/a/telemetry", "1")] * 150)


@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (lose_session, "Messages sent since the last session may be lost."),
        (overfill_queue, "its queue may have overflowed"),
    ],
)
def test_a_gap_is_an_entry_that_warns(
    admin: Platform, tmp_path: Path, happen: Callable[[Broker, Path], None], words: str
) -> None:
    with make_mosquitto(tmp_path, ["max_queued_messages 100"]) as broker:
        integration = connect(admin, broker.port)
        run_due(admin)
        happen(broker, tmp_path)

        run_due(admin, seconds=2)

    ((kind, level, message),) = list_entries(admin, integration)
    assert (kind, level) == ("session", "warning")
    assert words in message
    assert show(admin, integration)["status"] == "active"
    assert ask(admin, "select last_session ->> 'warnings' from device_integrations") == "1"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"qos": 0}, "The topics are subscribed with QoS 0: what is sent between sessions is lost."),
        ({}, "The broker grants only QoS 0 for 'site/+/telemetry': what is sent between sessions is lost."),
    ],
)
def test_a_subscription_that_loses_messages_is_an_entry_that_warns(
    admin: Platform, config: dict[str, Any], words: str
) -> None:
    with run_script({CONNECT: CONNACK, SUBSCRIBE: SUBACK_QOS_0}) as broker:
        integration = connect(admin, broker.port, **config)

        run_due(admin)

    assert list_entries(admin, integration) == [("session", "warning", words)]


def test_a_device_that_claims_to_be_another_than_its_topic_is_an_entry_that_warns(
    admin: Platform, tmp_path: Path
) -> None:
    with make_mosquitto(tmp_path) as broker:
        integration = connect(admin, broker.port)
        run_due(admin)
        publish_all(broker.port, [("site/a/telemetry", '{"device": "b", "temperature": 1}')])

        run_until(admin, lambda: list_entries(admin, integration))

    ((kind, level, message),) = list_entries(admin, integration)
    assert (kind, level) == ("session", "warning")
    assert "topic of device 'a' says it is from 'b'" in message


@pytest.mark.parametrize("topics", ["site/#", "site/t"])
def test_a_device_whose_connection_breaks_is_offline_by_its_last_will(
    admin: Platform, tmp_path: Path, topics: str
) -> None:
    with make_mosquitto(tmp_path) as broker:
        integration = connect(
            admin, broker.port, topics=topics, status_topic="site/+/link", status_offline="gone"
        )
        run_due(admin)
        device = paho.Client(CallbackAPIVersion.VERSION2, "device")
        device.will_set("site/lamp/link", "gone", qos=1)
        device.connect("127.0.0.1", broker.port)
        publish_all(broker.port, [("site/t", '{"device": "lamp", "temperature": 1}')])
        device.loop(1)
        break_connection(device)
        run_until(admin, lambda: list_rows(admin, "device_messages", integration, kind="eq.state"))

    (shown,) = list_rows(admin, "devices", integration)
    assert (shown["external_id"], shown["status"]) == ("lamp", "offline")


def break_connection(device: paho.Client) -> None:
    broken = device.socket()
    assert isinstance(broken, socket.socket)
    broken.close()


def test_retained_messages_are_stored_once_over_lost_sessions_and_their_status_counts(
    admin: Platform, tmp_path: Path
) -> None:
    readings = [(f"site/{name}/telemetry", '{"temperature": 1}') for name in "abc"]
    with make_mosquitto(tmp_path) as broker:
        publish_all(broker.port, [*readings, ("site/a/status", "offline")], retain=True)
        integration = connect(admin, broker.port, topics=["site/+/telemetry", "site/+/status"])
        run_until(admin, lambda: len(list_rows(admin, "device_messages", integration)) == 4)
        before = {row["external_id"]: row["status"] for row in list_rows(admin, "devices", integration)}
        begin_session_as(admin, integration, "second")
        publish_all(broker.port, [("site/a/status", "online")], retain=True)
        run_until(admin, lambda: len(list_rows(admin, "device_messages", integration)) == 5)
        begin_session_as(admin, integration, "third")
        run_due(admin, 2)

    assert len(list_rows(admin, "device_messages", integration)) == 5
    after = {row["external_id"]: row["status"] for row in list_rows(admin, "devices", integration)}
    assert before == {"a": "offline", "b": "unknown", "c": "unknown"}
    # It was never heard of, so that nobody could tell when it goes.
    assert after == before | {"a": "unknown"}
    assert {row["last_seen_at"] for row in list_rows(admin, "devices", integration)} == {None}


def begin_session_as(admin: Platform, integration: dict[str, Any], client_id: str) -> None:
    """With another client id the broker knows of no session."""
    change = {"config": {"client_id": client_id}}
    assert admin.call("PATCH", f"/integrations/{integration['id']}", json=change).status_code == 200


def test_where_devices_are_not_made_their_messages_are_kept(admin: Platform, tmp_path: Path) -> None:
    with make_mosquitto(tmp_path) as broker:
        integration = connect(admin, broker.port, auto_provision_devices=False)
        run_due(admin)
        publish_all(broker.port, [("site/a/telemetry", '{"temperature": 1}')])

        run_until(admin, lambda: list_rows(admin, "device_messages", integration))

    (message,) = list_rows(admin, "device_messages", integration)
    assert (message["payload"], message["device_id"]) == ({"temperature": 1}, None)
    assert list_rows(admin, "devices", integration) == []


def test_a_command_waits_for_a_broker_that_is_away_and_is_sent_once_it_is_back(
    admin: Platform, tmp_path: Path
) -> None:
    with make_mosquitto(tmp_path) as broker:
        integration = connect(admin, broker.port, command_topic="site/{device}/commands/{name}")
        run_due(admin)
        publish_all(broker.port, [("site/a/telemetry", "1")])
        run_until(admin, lambda: list_rows(admin, "devices", integration))
        (device,) = list_rows(admin, "devices", integration)
        broker.stop()

        created = admin.call("POST", "/commands", json={"device_id": device["id"], "name": "stop"}).json()
        waiting = run_commands_once(admin, created["command"]["id"])
        broker.start()
        sent = run_commands_once(admin, created["command"]["id"])

    assert (waiting["status"], waiting["attempts"]) == ("pending", 1)
    assert "refused" in waiting["error"]
    assert (sent["status"], sent["attempts"], sent["reference"]) == ("sent", 2, "site/a/commands/stop")


def run_commands_once(admin: Platform, command_id: str) -> dict[str, Any]:
    """What became of a command that is made due and tried."""
    ask(admin, "update device_commands set due_at = now() where status = 'pending' returning 1")
    run_commands(as_service(), Deadline(2), Pulse())
    return dict(admin.call("GET", f"/commands/{command_id}").json()["command"])


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_session_keeps_its_lease_however_long_it_lasts(
    admin: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_busy: bool
) -> None:
    monkeypatch.setattr("shared.messages.committer.RENEW_SECONDS", 60 if is_busy else 0.2)
    for module in ("committer", "session_pool"):
        monkeypatch.setattr(f"shared.messages.{module}.LEASE_SECONDS", 2)
    with make_mosquitto(tmp_path) as broker:
        connect(admin, broker.port, poll_interval_seconds=600)
        counts: list[Any] = []
        running = threading.Thread(
            target=lambda: counts.append(run_sessions(as_service(), Deadline(3), Pulse()))
        )
        running.start()
        wait_for_lease(admin)

        taken = []
        while running.is_alive():
            if is_busy:
                publish_all(broker.port, [("site/a/telemetry", "1")])
            taken += as_service().call("lease_sessions", p_limit=1, p_lease_seconds=30)
            running.join(0.05)

    assert taken == []
    assert (counts[0]["sessions"], counts[0]["lost_leases"]) == (1, 0)


def wait_for_lease(admin: Platform) -> None:
    leased = "select lease_token is not null and state <> '{}' from integration_schedules"
    wait_until(lambda: ask(admin, leased), "no session has begun")
