"""What a broker answers is told to the admin in words: refusals, certificates, lower promises than asked for."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from shared.provider import Command
from shared.provider.broker import MQTT_3
from shared.runtime.deadline import Deadline
from shared.runtime.errors import CommandRefused, CredentialsRefused, ProtocolFailed, TlsFailed
from tests.fakes.brokers import make_mosquitto, publish_all, write_passwords
from tests.fakes.certificates import PemAuthority, lock_key
from tests.fakes.mqtt_driver import Ledger, count_messages, make_provider, take_batches
from tests.fakes.scripted_broker import (
    CONNACK,
    CONNACK_WITH_SESSION,
    CONNECT,
    SUBACK_QOS_1,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Answer,
    run_script,
    take_eight,
)
from tests.ports import find_free_port

AUTHORITY = PemAuthority()
MESSAGE = ("devices/d1/telemetry", '{"temperature": 1}')
CANARY = "canary-password"

pytestmark = pytest.mark.usefixtures("allow_loopback")


def make_command(payload: object) -> Command:
    return Command("c1", "d1", "reboot", payload, datetime.now(UTC) + timedelta(minutes=1))


@pytest.mark.parametrize("protocol_version", ["5", "3.1.1"])
def test_a_wrong_password_is_told_and_not_repeated(tmp_path: Path, protocol_version: str) -> None:
    passwords = write_passwords(tmp_path, {"user": "right"})
    with make_mosquitto(tmp_path, listener=["allow_anonymous false", f"password_file {passwords}"]) as broker:
        login = {"username": "user", "password": CANARY, "protocol_version": protocol_version}
        provider = make_provider(broker.port, **login)

        with pytest.raises(CredentialsRefused) as refusal, Ledger().open_session(provider) as session:
            next(session)
        *passed, failed = provider.check()

    assert [check.ok for check in passed] == [True, True]
    assert (failed.name, failed.ok, failed.detail) == ("mqtt", False, refusal.value.detail)
    assert CANARY not in refusal.value.detail


def test_the_right_password_is_let_in(tmp_path: Path) -> None:
    passwords = write_passwords(tmp_path, {"user": "right"})
    with make_mosquitto(tmp_path, listener=["allow_anonymous false", f"password_file {passwords}"]) as broker:
        checks = list(make_provider(broker.port, username="user", password="right").check())

    assert [(check.name, check.ok) for check in checks] == [
        (n, True) for n in ("address", "tcp", "mqtt", "subscribe")
    ]


def test_a_broker_with_its_own_authority_is_used_over_tls(tmp_path: Path) -> None:
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"))
    with make_mosquitto(tmp_path, listener=listener) as broker:
        tls = {"use_tls": True, "ca_certificate": AUTHORITY.pem}
        provider = make_provider(broker.port, **tls)
        ledger = Ledger()
        ledger.run(provider)

        checks = list(provider.check())
        make_provider(broker.port, topics="x", command_topic="devices/{device}/telemetry", **tls).send(
            make_command({"temperature": 1})
        )
        ledger.run(provider, count=1)

    assert [check.name for check in checks if check.ok] == ["address", "tcp", "tls", "mqtt", "subscribe"]
    assert [message.payload for message in ledger.stored.values()] == [{"temperature": 1}]


@pytest.mark.parametrize(
    ("days", "trusted", "server_name", "words"),
    [
        (1, False, None, "self.signed|unable to get local issuer"),
        (-1, True, None, "expired"),
        (1, True, "other.example.com", "not valid for 'other.example.com'|[Hh]ostname mismatch"),
    ],
    ids=["unknown authority", "expired", "another name"],
)
def test_a_certificate_that_does_not_hold_is_refused_with_the_reason(
    tmp_path: Path, days: int, *, trusted: bool, server_name: str | None, words: str
) -> None:
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker", days=days))
    trust = AUTHORITY.pem if trusted else PemAuthority("Another Authority").pem
    with make_mosquitto(tmp_path, listener=listener) as broker:
        provider = make_provider(broker.port, use_tls=True, ca_certificate=trust, server_name=server_name)

        with pytest.raises(TlsFailed, match=words), Ledger().open_session(provider) as session:
            next(session)
        failed = list(provider.check())[-1]

    assert (failed.name, failed.ok) == ("tls", False)


def test_a_client_certificate_opens_a_broker_that_asks_for_one(tmp_path: Path) -> None:
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"), "require_certificate true")
    client = AUTHORITY.issue("integration")
    with make_mosquitto(tmp_path, listener=[*listener, "use_identity_as_username true"]) as broker:
        tls = {"use_tls": True, "ca_certificate": AUTHORITY.pem}
        known = make_provider(
            broker.port, **tls, client_certificate=client.certificate, client_key=client.key
        )
        unknown = make_provider(broker.port, **tls)

        checks = list(known.check())
        with pytest.raises(TlsFailed, match="client certificate"), Ledger().open_session(unknown) as session:
            next(session)

    assert all(check.ok for check in checks)


def test_a_key_with_a_passphrase_opens_the_connection(tmp_path: Path) -> None:
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"), "require_certificate true")
    client = AUTHORITY.issue("integration")
    own = {
        "client_certificate": client.certificate.replace("\n", "\\n"),
        "client_key": lock_key(client.key, "a passphrase"),
        "client_key_passphrase": "a passphrase",
    }
    with make_mosquitto(tmp_path, listener=listener) as broker:
        checks = list(make_provider(broker.port, use_tls=True, ca_certificate=AUTHORITY.pem, **own).check())

    assert [check.ok for check in checks] == [True] * 5


def test_a_client_certificate_that_has_ended_is_told_by_the_connection_test(tmp_path: Path) -> None:
    listener = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker"))
    ended = AUTHORITY.issue("integration", days=-2)
    own = {"client_certificate": ended.certificate, "client_key": ended.key}
    with make_mosquitto(tmp_path, listener=listener) as broker:
        provider = make_provider(broker.port, use_tls=True, ca_certificate=AUTHORITY.pem, **own)
        (tls,) = (check for check in provider.check() if check.name == "tls")

    assert tls.ok
    assert "The client certificate ended on " in tls.detail


def test_certificates_that_end_soon_are_told_once_and_so_is_their_replacement(tmp_path: Path) -> None:
    listener = AUTHORITY.write_listener(
        tmp_path, AUTHORITY.issue("broker", days=9), "require_certificate true"
    )
    old, new = AUTHORITY.issue("integration", days=5), AUTHORITY.issue("integration")
    with make_mosquitto(tmp_path, listener=listener) as broker:
        ledger, told = Ledger(), []
        for client in (old, old, new):
            own = {"client_certificate": client.certificate, "client_key": client.key}
            ledger.run(make_provider(broker.port, use_tls=True, ca_certificate=AUTHORITY.pem, **own))
            told.append([(note.level, note.alert) for note in ledger.notes])
            ledger.notes.clear()

    assert told == [
        [("warning", "certificate.broker"), ("warning", "certificate.client")],
        [],
        [("info", "certificate.client")],
    ]


def test_tls_on_a_plain_port_is_told(tmp_path: Path) -> None:
    with make_mosquitto(tmp_path) as broker:
        *_, failed = make_provider(broker.port, use_tls=True).check()

    assert (failed.name, failed.ok) == ("tls", False)


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websockets_carry_a_session(tmp_path: Path, scheme: str) -> None:
    plain = find_free_port()
    tls = AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker")) if scheme == "wss" else []
    trust = {"ca_certificate": AUTHORITY.pem} if scheme == "wss" else {}
    extra = ["protocol websockets", *tls, f"listener {plain} 127.0.0.1", "allow_anonymous true"]
    with make_mosquitto(tmp_path, listener=extra) as broker:
        provider = make_provider(broker.port, broker_url=f"{scheme}://127.0.0.1/mqtt", **trust)
        ledger = Ledger()
        ledger.run(provider)
        publish_all(plain, [MESSAGE, (MESSAGE[0], '{"text": "%s"}' % ("x" * 30_000)), MESSAGE])

        ledger.run(provider, count=3)

    assert [message.error for message in ledger.stored.values()] == [None] * 3


def test_the_servers_name_and_the_alpn_protocols_are_offered_to_the_broker(tmp_path: Path) -> None:
    AUTHORITY.write_listener(tmp_path, AUTHORITY.issue("broker", address="broker.example.com"))
    context, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "key.pem")
    context.set_alpn_protocols(["x-amzn-mqtt-ca"])
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    tls = {"use_tls": True, "ca_certificate": AUTHORITY.pem, "server_name": "broker.example.com"}
    with run_script({CONNECT: CONNACK, SUBSCRIBE: SUBACK_QOS_1}, context) as broker:
        Ledger().run(make_provider(broker.port, **tls, alpn="mqtt, x-amzn-mqtt-ca"))

    assert (asked, broker.agreed) == (["broker.example.com"], ["x-amzn-mqtt-ca"])


def test_a_broker_that_refuses_mqtt_5_is_spoken_to_in_3_1_1_from_then_on() -> None:
    def answer_connect(packet: bytes) -> bytes:
        return b"\x20\x02\x00\x00" if packet[8] == MQTT_3 else b"\x20\x03\x00\x84\x00"

    answers: dict[int, Answer] = {CONNECT: answer_connect, SUBSCRIBE: b"\x90\x03\x00\x01\x01"}
    with run_script(answers) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        tries = broker.packets.count(CONNECT)
        ledger.run(make_provider(broker.port))

    assert ledger.state["protocol"] == MQTT_3
    assert (tries, broker.packets.count(CONNECT)) == (2, 3)


def test_a_port_that_is_no_websocket_is_told() -> None:
    with run_script({0x40: b"HTTP/1.1 404 Not Found\r\n\r\n"}) as broker:
        provider = make_provider(broker.port, broker_url="ws://127.0.0.1/elsewhere")

        *_, failed = provider.check()

    assert "WebSocket at /elsewhere" in failed.detail


def test_a_handshake_that_drips_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.providers.mqtt.check.CHECK_SECONDS", 1.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        dripping = threading.Thread(target=drip_bytes, args=(server,))
        dripping.start()
        begun = time.monotonic()

        *_, failed = make_provider(server.getsockname()[1], broker_url="ws://127.0.0.1/mqtt").check()
        took = time.monotonic() - begun
        server.shutdown(socket.SHUT_RDWR)
        dripping.join()

    assert "in time" in failed.detail
    assert took < 4


def drip_bytes(server: socket.socket) -> None:
    """On each connection a byte every tenth of a second, so that no single wait is long."""
    while True:
        try:
            connection, _ = server.accept()
            with connection:
                for _ in range(100):
                    time.sleep(0.1)
                    connection.sendall(b"x")
        except ConnectionError:
            continue
        except OSError:
            return


def test_a_taken_over_session_ends_at_once_with_the_reason() -> None:
    answers = {CONNECT: CONNACK, SUBSCRIBE: SUBACK_QOS_1 + b"\xe0\x02\x8e\x00"}
    with run_script(answers) as broker, Ledger().open_session(make_provider(broker.port)) as session:
        with pytest.raises(ProtocolFailed, match="same client id"):
            take_batches(session, lambda _: False)

        assert broker.packets.count(CONNECT) == 1


def test_a_refused_topic_is_named_and_the_others_go_on() -> None:
    answers = {CONNECT: CONNACK, SUBSCRIBE: b"\x90\x05\x00\x01\x00\x01\x87"}
    provider_topics = "devices/+/telemetry, secret/#"
    with run_script(answers) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port, topics=provider_topics))

    assert [(note.level, "'secret/#'" in note.message) for note in ledger.notes] == [("error", True)]
    assert ledger.state["subscribed"] == {"devices/+/telemetry": 1}


def test_no_topic_granted_at_all_ends_the_session() -> None:
    answers = {CONNECT: CONNACK, SUBSCRIBE: b"\x90\x04\x00\x01\x00\x87"}
    with run_script(answers) as broker:
        provider = make_provider(broker.port)

        with (
            pytest.raises(CredentialsRefused, match="devices/\\+/telemetry"),
            Ledger().open_session(provider) as session,
        ):
            next(session)


def test_many_topics_are_subscribed_and_unsubscribed_in_parts_that_aws_iot_takes() -> None:
    topics = [f"site/{number:02}/#" for number in range(20)]
    answers: dict[int, Answer] = {CONNECT: CONNACK, SUBSCRIBE: take_eight, UNSUBSCRIBE: take_eight}
    with run_script(answers) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port, topics=topics))
        subscribed = dict(ledger.state["subscribed"])
        answers[CONNECT] = CONNACK_WITH_SESSION
        ledger.run(make_provider(broker.port, topics=topics[-1:]))

    assert subscribed == dict.fromkeys(topics, 1)
    assert ledger.state["subscribed"] == {topics[-1]: 1}
    assert (broker.packets.count(SUBSCRIBE), broker.packets.count(UNSUBSCRIBE)) == (3, 3)
    assert ledger.notes == []


def test_a_lower_quality_of_service_is_told() -> None:
    answers = {CONNECT: CONNACK, SUBSCRIBE: b"\x90\x04\x00\x01\x00\x00"}
    with run_script(answers) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))

    assert ["grants only QoS 0" in note.message for note in ledger.notes] == [True]


def test_a_shorter_session_expiry_is_told_once() -> None:
    connack = b"\x20\x08\x00\x00\x05\x11\x00\x00\x0e\x10"
    with run_script({CONNECT: connack, SUBSCRIBE: SUBACK_QOS_1}) as broker:
        ledger = Ledger()
        ledger.run(make_provider(broker.port))
        ledger.run(make_provider(broker.port))

    assert [note.message for note in ledger.notes if "3600 s only" in note.message] == [
        ledger.notes[0].message
    ]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b""])
def test_what_is_no_mqtt_broker_is_told(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr("shared.providers.mqtt.check.CHECK_SECONDS", 1.5)
    with run_script({CONNECT: answer}) as broker:
        *_, failed = make_provider(broker.port).check()

    assert (failed.name, failed.ok) == ("mqtt", False)


def test_a_connection_test_leaves_the_live_session_alone(tmp_path: Path) -> None:
    with make_mosquitto(tmp_path) as broker:
        provider = make_provider(broker.port)
        ledger = Ledger()

        with ledger.open_session(provider, Deadline(5)) as session:
            next(session)
            checks = list(provider.check())
            publish_all(broker.port, [MESSAGE])
            batches = take_batches(session, lambda taken: count_messages(taken) > 0)

    assert all(check.ok for check in checks)
    assert [note for batch in batches for note in batch.notes] == []


def test_a_command_reaches_its_device_and_its_echo_is_not_stored(tmp_path: Path) -> None:
    commands: list[tuple[str, bytes]] = []
    with make_mosquitto(tmp_path) as broker:
        provider = make_provider(
            broker.port, topics="devices/#", command_topic="devices/{device}/commands/{name}"
        )
        ledger = Ledger()
        ledger.run(provider)
        device = paho.Client(CallbackAPIVersion.VERSION2, "device")
        device.on_message = lambda _client, _data, message: commands.append(
            (message.topic, bytes(message.payload))
        )
        device.connect("127.0.0.1", broker.port)
        device.subscribe("devices/d1/commands/+", 1)
        device.loop_start()
        time.sleep(0.2)

        outcome = provider.send(make_command({"delay": 5}))
        publish_all(broker.port, [MESSAGE])
        ledger.run(provider, count=1)
        device.disconnect()
        device.loop_stop()

    assert commands == [("devices/d1/commands/reboot", b'{"delay":5}')]
    assert (outcome.reference, outcome.confirmed) == ("devices/d1/commands/reboot", False)
    assert [message.topic for message in ledger.stored.values()] == [MESSAGE[0]]


def test_a_command_without_a_command_topic_says_what_to_set() -> None:
    with pytest.raises(CommandRefused, match="Set command_topic"):
        make_provider(1).send(make_command({}))


def test_a_command_whose_name_is_no_level_of_a_topic_is_refused_for_good() -> None:
    command = Command("c1", "d1", "a/b", {}, datetime.now(UTC) + timedelta(minutes=1))

    with pytest.raises(CommandRefused, match="name 'a/b' can't be part of a topic"):
        make_provider(1, command_topic="devices/{device}/{name}").send(command)


def test_a_goodbye_right_after_the_welcome_is_told_by_its_own_reason() -> None:
    server_is_shutting_down = b"\xe0\x02\x8b\x00"
    with run_script({CONNECT: CONNACK + server_is_shutting_down}) as broker:
        *_, failed = make_provider(broker.port).check()

    assert (failed.ok, failed.detail) == (False, "The broker is shutting down.")


def test_an_end_right_after_the_welcome_is_no_refusal_of_the_name_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.providers.mqtt.check.CHECK_SECONDS", 1.5)
    with run_script({CONNECT: CONNACK}) as broker:
        *_, failed = make_provider(broker.port).check()

    assert not failed.ok
    assert "Success" not in failed.detail
