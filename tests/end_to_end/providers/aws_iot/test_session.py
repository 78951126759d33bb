"""Sessions at a broker that, like AWS, knows clients by certificates or signed addresses, and no message again."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.provider import Check, CredentialsRefused, Deadline, OutsideError, Poller, TlsFailed
from shared.providers.aws_iot import AwsIot
from shared.providers.mqtt.session import TRIES
from tests.fakes.aws import FakeAws, Fault
from tests.fakes.aws.server import DATA_HOST, KEY_ID, SECRET
from tests.fakes.brokers import Broker, make_mosquitto, publish_all
from tests.fakes.certificates import Pair, PemAuthority
from tests.fakes.mqtt_driver import Ledger
from tests.fakes.scripted_broker import (
    CONNACK,
    CONNACK_WITH_SESSION,
    CONNECT,
    PINGREQ,
    PINGRESP,
    SUBACK_QOS_1,
    SUBSCRIBE,
    run_script,
)
from tests.ports import find_free_port
from tests.unit.providers.aws_iot.accounts import load_aws

AUTHORITY, STRANGER = PemAuthority(), PemAuthority("Another Authority")
TOPIC = "devices/pump-1/telemetry"
ALPN = "x-amzn-mqtt-ca"
ROLE = "arn:aws:iam::123456789012:role/device-integrations"

pytestmark = pytest.mark.usefixtures("allow_loopback")


@pytest.fixture(autouse=True)
def trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority of the tests is public, as Amazon's is."""
    path = tmp_path / "trusted.pem"
    path.write_text(AUTHORITY.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


@contextmanager
def run_broker(folder: Path) -> Iterator[tuple[Broker, int]]:
    """One that takes certificates alone, and a plain port for devices."""
    plain = find_free_port()
    listener = AUTHORITY.write_listener(
        folder, AUTHORITY.issue("broker"), "require_certificate true", "use_identity_as_username true"
    )
    settings = [f"listener {plain} 127.0.0.1", "allow_anonymous true"]
    with make_mosquitto(folder, settings, ["per_listener_settings false", *listener]) as broker:
        yield broker, plain


def certified(port: int, pair: Pair | None = None, **config: Any) -> AwsIot:
    pair = pair or AUTHORITY.issue("platform")
    return load_aws(
        {
            "region": "eu-west-1",
            "endpoint_url": "http://127.0.0.1:9",
            "ingest": "mqtt",
            "topics": "devices/+/telemetry",
            "client_certificate": pair.certificate,
            "client_key": pair.key,
            "mqtt_port": port,
        }
        | config
    )


def signed(aws: FakeAws, **config: Any) -> AwsIot:
    key = {"access_key_id": KEY_ID, "secret_access_key": SECRET}
    asked = {
        "region": "eu-west-1",
        "endpoint_url": aws.url,
        "ingest": "mqtt",
        "topics": "devices/+/telemetry",
    }
    return load_aws(asked | key | config)


@pytest.fixture
def sockets(tmp_path: Path, aws: FakeAws) -> Iterator[int]:
    """A mosquitto behind the WebSockets of `aws`; its plain port."""
    plain = find_free_port()
    settings = [f"listener {plain} 127.0.0.1", "allow_anonymous true"]
    with make_mosquitto(tmp_path, settings, ["protocol websockets", "allow_anonymous true"]) as broker:
        aws.broker_port = broker.port
        yield plain


def run_twice(provider: AwsIot, plain: int, bodies: list[bytes], count: int) -> Ledger:
    """Subscribe and end the session, publish, and go on with the next."""
    ledger = Ledger()
    ledger.run(provider)
    publish_all(plain, [(TOPIC, body) for body in bodies])
    ledger.run(provider, count)
    return ledger


def test_a_certificate_reads_what_came_while_nobody_was_connected(tmp_path: Path) -> None:
    with run_broker(tmp_path) as (broker, plain):
        ledger = run_twice(certified(broker.port), plain, [b'{"t": 1}', b'{"t": 2}'], 2)

    assert [(each.device, each.payload) for each in ledger.stored.values()] == [
        ("pump-1", {"t": 1}),
        ("pump-1", {"t": 2}),
    ]


def test_a_signed_address_reads_what_came_while_nobody_was_connected(aws: FakeAws, sockets: int) -> None:
    ledger = run_twice(signed(aws), sockets, [b'{"t": 1}'], 1)

    assert [each.payload for each in ledger.stored.values()] == [{"t": 1}]
    assert aws.sockets == ["iotdevicegateway"] * 2


def test_a_role_signs_with_its_session_each_connection_anew(aws: FakeAws, sockets: int) -> None:
    aws.roles[ROLE] = "00000000-0000-0000-0000-00000000000a"

    run_twice(signed(aws, role_arn=ROLE), sockets, [b'{"t": 1}'], 1)

    assert aws.sockets == ["iotdevicegateway"] * 2


@pytest.mark.parametrize(
    "change", [{"secret_access_key": "wrong"}, {"access_key_id": "AKIDUNKNOWN000000000"}]
)
def test_a_key_that_aws_does_not_know_is_refused_at_once_and_its_signature_told_to_nobody(
    aws: FakeAws, sockets: int, change: dict[str, str]
) -> None:
    del sockets

    with pytest.raises(CredentialsRefused) as refused:
        Ledger().run(signed(aws, data_endpoint=DATA_HOST, **change))

    assert "403" in refused.value.detail
    assert "iot:Connect" in refused.value.detail
    assert "X-Amz" not in refused.value.detail
    assert len(aws.sockets) == 1


def test_a_session_of_a_role_that_was_revoked_is_not_used_again(
    aws: FakeAws, sockets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.providers.aws_iot.memory.SETTLED_SECONDS", 0.0)
    aws.roles[ROLE] = "00000000-0000-0000-0000-00000000000a"
    provider = signed(aws, role_arn=ROLE, client_id="once-more")
    Ledger().run(provider)
    for name in [each for each in aws.keys if each != KEY_ID]:
        del aws.keys[name]
    with pytest.raises(CredentialsRefused):
        Ledger().run(provider)
    del sockets

    Ledger().run(provider)

    assert aws.sockets == ["iotdevicegateway", "UnrecognizedClientException", "iotdevicegateway"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET /mqtt", status=429),
        Fault("GET /mqtt", status=503),
        Fault("GET /mqtt", status=503, cut=5),
        Fault("GET /mqtt", close="before"),
        Fault("GET /mqtt", seconds=1.5),
    ],
)
def test_what_passes_is_tried_again_within_the_session(aws: FakeAws, sockets: int, fault: Fault) -> None:
    aws.faults.append(fault)

    ledger = run_twice(signed(aws), sockets, [b'{"t": 1}'], 1)

    assert [each.payload for each in ledger.stored.values()] == [{"t": 1}]
    assert len(aws.calls) <= 8


def test_an_outage_ends_the_session_after_a_few_tries(
    aws: FakeAws, sockets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    del sockets
    monkeypatch.setattr("shared.providers.mqtt.session.FIRST_PAUSE_SECONDS", 0.01)
    aws.faults.append(Fault("GET /mqtt", status=503, times=99))

    with pytest.raises(OutsideError, match="503"):
        Ledger().watch(signed(aws), 60)

    assert aws.calls.count("GET /mqtt") == TRIES


def serve_tls() -> ssl.SSLContext:
    pair = AUTHORITY.issue("broker")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols([ALPN])
    context.load_verify_locations(cadata=AUTHORITY.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return load_pair(context, pair)


def load_pair(context: ssl.SSLContext, pair: Pair) -> ssl.SSLContext:
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{pair.certificate}\n{pair.key}")
        file.flush()
        context.load_cert_chain(file.name)
    return context


def test_elsewhere_than_at_8883_the_protocol_is_told_by_alpn() -> None:
    answers = {CONNECT: CONNACK, SUBSCRIBE: SUBACK_QOS_1, PINGREQ: PINGRESP}
    with run_script(answers, serve_tls()) as broker:
        Ledger().run(certified(broker.port))

    assert broker.agreed == [ALPN]
    assert load_plan(certified(8883)).broker.tls.alpn == ()
    assert load_plan(certified(443)).broker.tls.alpn == (ALPN,)


def load_plan(provider: AwsIot) -> Any:
    from shared.providers.aws_iot.session import make_plan

    return make_plan(provider, Deadline(5))


def publish(packet_id: int, body: bytes, *, duplicate: bool = False) -> bytes:
    """A PUBLISH with QoS 1 as it is on the wire, of MQTT 5."""
    inner = len(TOPIC).to_bytes(2) + TOPIC.encode() + packet_id.to_bytes(2) + b"\0" + body
    return bytes([0x3A if duplicate else 0x32, len(inner)]) + inner


def send_again(first: list[bytes], then: list[bytes]) -> dict[int, Any]:
    """A broker whose second connection has the session of the first, and sends what it says."""
    connects = iter((CONNACK, CONNACK_WITH_SESSION + b"".join(then)))
    return {CONNECT: lambda _: next(connects), SUBSCRIBE: SUBACK_QOS_1 + b"".join(first), PINGREQ: PINGRESP}


def run_script_twice(first: list[bytes], then: list[bytes], counts: tuple[int, int], **config: Any) -> Ledger:
    ledger = Ledger()
    with run_script(send_again(first, then), serve_tls()) as broker:
        provider = certified(broker.port, **config)
        ledger.run_until(provider, counts[0])
        ledger.run_until(provider, counts[1])
    return ledger


def test_what_comes_again_under_another_packet_id_is_stored_once_by_the_devices_own_id() -> None:
    body = b'{"id": "m-1", "t": 1}'

    ledger = run_script_twice([publish(1, body)], [publish(9, body)], (1, 1), event_id_path="id")

    assert (ledger.received, len(ledger.stored)) == (2, 1)
    assert any("exactly once" in note.message for note in ledger.notes)


def test_what_comes_again_without_an_id_of_its_own_is_stored_at_least_once_and_that_is_told_once() -> None:
    ledger = run_script_twice([publish(1, b'{"t": 1}')], [publish(9, b'{"t": 1}')], (1, 1))

    assert len(ledger.stored) == 2
    assert len([note for note in ledger.notes if "at least once" in note.message]) == 1
    assert len([note for note in ledger.notes if "10 messages a second" in note.message]) == 1


def test_no_message_is_taken_for_another_that_had_its_packet_id_and_looked_the_same() -> None:
    body = b'{"t": 21.5}'

    ledger = run_script_twice(
        [publish(1, body), publish(2, body)], [publish(1, body, duplicate=True)], (2, 1)
    )

    assert len(ledger.stored) == 3


def test_a_broker_that_closes_without_a_word_does_not_know_the_certificate() -> None:
    with (
        run_script({CONNECT: b""}, serve_tls()) as broker,
        pytest.raises(CredentialsRefused, match="not active"),
    ):
        Ledger().run(certified(broker.port))


def test_a_certificate_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with run_broker(tmp_path) as (broker, _), pytest.raises((CredentialsRefused, TlsFailed)):
        Ledger().run(certified(broker.port, STRANGER.issue("platform")))


def test_comings_and_goings_are_told_once_and_our_own_are_none(tmp_path: Path) -> None:
    def tell(client: str, what: str, version: int) -> tuple[str, str]:
        body = {
            "clientId": client,
            "timestamp": 1_767_323_045_123,
            "eventType": what,
            "versionNumber": version,
        }
        return f"$aws/events/presence/{what}/{client}", json.dumps(body)

    with run_broker(tmp_path) as (broker, plain):
        provider = certified(broker.port, topics="$aws/events/presence/#", client_id="platform-of-plant")
        ledger = Ledger()
        ledger.run(provider)
        told = [tell("pump-1", "connected", 1), tell("pump-1", "connected", 1)]
        own = [tell("platform-of-plant", "connected", 1), tell("platform-of-pl-0a1b2c3d", "connected", 1)]
        publish_all(plain, [*own, *told, tell("pump-1", "disconnected", 1)])
        ledger.run(provider, 2)

    reports = [
        each.report.presence for each in ledger.stored.values() if each.report and each.report.presence
    ]
    assert [each.status for each in reports] == ["online", "offline"]
    assert {each.device for each in ledger.stored.values()} == {"pump-1"}


def list_checks(provider: AwsIot) -> dict[str, Check]:
    return {each.name: each for each in provider.check()}


def test_the_connection_test_goes_through_each_step_of_a_certificate(tmp_path: Path) -> None:
    with run_broker(tmp_path) as (broker, _):
        checks = list_checks(certified(broker.port))

    names = ["data endpoint", "broker address", "broker port", "broker tls", "mqtt", "topics"]
    assert [(name, checks[name].ok) for name in checks] == [(name, True) for name in names]


def test_the_connection_test_of_a_signature_then_tries_the_api(aws: FakeAws, sockets: int) -> None:
    del sockets

    checks = list_checks(signed(aws))

    assert all(each.ok for each in checks.values()), checks
    assert [*checks][:6] == ["data endpoint", "broker address", "broker port", "mqtt", "topics", "address"]


def test_the_connection_test_says_what_a_policy_has_to_allow(aws: FakeAws, sockets: int) -> None:
    del sockets
    aws.revoke()

    *_, last = list_checks(signed(aws, data_endpoint=DATA_HOST)).values()

    assert (last.name, last.ok) == ("mqtt", False)
    assert "iot:Subscribe" in last.detail


def test_commands_of_a_certificate_alone_are_published_by_mqtt(
    tmp_path: Path, make_command: Callable[[str], Any]
) -> None:
    with run_broker(tmp_path) as (broker, plain):
        listener = Ledger()
        listening = certified(broker.port, client_id="listener", topics="devices/+/commands/+")
        listener.run(listening)
        sender = certified(broker.port, command_topic="devices/{device}/commands/{name}")
        outcome = sender.send(make_command("reboot"))
        listener.run(listening, 1)
    del plain

    assert outcome.reference == "devices/pump-1/commands/reboot"
    assert not outcome.confirmed
    (heard,) = listener.stored.values()
    assert heard.payload == {"delay": 5}


@pytest.fixture
def make_command() -> Callable[[str], Any]:
    from datetime import UTC, datetime, timedelta

    from shared.provider import Command

    expires = datetime.now(UTC) + timedelta(hours=1)
    return lambda name: Command("c-1", "pump-1", name, {"delay": 5}, expires)


def test_a_session_is_a_pollers() -> None:
    assert isinstance(certified(8883), Poller)
    assert certified(8883).is_polled
    assert not load_aws({"region": "eu-west-1"}).is_polled
