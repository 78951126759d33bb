"""TLS and SASL against a front that checks certificates, passwords and tokens; the connection test, step by step."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from shared.providers.kafka import Kafka
from shared.runtime.errors import (
    ConnectionRefused,
    CredentialsRefused,
    OutsideError,
    ProtocolFailed,
    TlsFailed,
)
from tests.fakes.background import InBackground
from tests.fakes.certificates import PemAuthority
from tests.fakes.kafka.front import Front, Users
from tests.fakes.kafka.site import TOPIC, make_kafka, make_readings, produce
from tests.fakes.mqtt_driver import Ledger

pytestmark = pytest.mark.usefixtures("allow_loopback")
AUTHORITY = PemAuthority()
SERVER = AUTHORITY.issue("broker")
PASSWORD = "canary of a password, ü"


def read_through(front: Front, **config: Any) -> int:
    """How many of three records come through the front."""
    ledger = Ledger()
    ledger.run(make_kafka(f"127.0.0.1:{front.port}", **config), 3)
    return len(ledger.stored)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_login_over_tls_reads_what_is_there(servers: str, mechanism: str) -> None:
    produce(servers, make_readings(range(3)))
    users = Users(mechanism, {"ada": PASSWORD})
    login = {"security_protocol": "SASL_SSL", "sasl_mechanism": mechanism, "username": "ada"}

    with Front(servers, SERVER, users) as front:
        count = read_through(front, **login, password=PASSWORD, ca_certificate=AUTHORITY.pem)

    assert (count, front.logins > 1) == (3, True)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_ends_the_session_at_once_and_stands_in_no_error(
    servers: str, mechanism: str
) -> None:
    users = Users(mechanism, {"ada": "another"})
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": mechanism, "username": "ada"}

    with Front(servers, users=users) as front, pytest.raises(CredentialsRefused) as refusal:
        read_through(front, **login, password=PASSWORD)

    assert "refused the login" in refusal.value.detail
    assert "canary" not in refusal.value.detail


@pytest.mark.parametrize("iterations", [1, 2_000_000_000])
def test_a_broker_that_has_passwords_stretched_for_minutes_or_hardly_at_all_is_refused(
    servers: str, iterations: int
) -> None:
    users = Users("SCRAM-SHA-256", {"ada": PASSWORD}, iterations=iterations)
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-256", "username": "ada"}

    with Front(servers, users=users) as front, pytest.raises(CredentialsRefused):
        read_through(front, **login, password=PASSWORD)


def test_another_mechanism_than_the_broker_s_is_told(servers: str) -> None:
    login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", "username": "ada"}

    with (
        Front(servers, users=Users("PLAIN", {"ada": PASSWORD})) as front,
        pytest.raises(CredentialsRefused, match="choose another sasl_mechanism"),
    ):
        read_through(front, **login, password=PASSWORD)


def test_a_certificate_of_somebody_else_is_refused(servers: str) -> None:
    with Front(servers, SERVER) as front, pytest.raises(TlsFailed, match="certificate was refused"):
        read_through(front, security_protocol="SSL", ca_certificate=PemAuthority("Other").pem)


def test_a_broker_that_wants_a_client_certificate_gets_it(servers: str) -> None:
    produce(servers, make_readings(range(3)))
    own = AUTHORITY.issue("device-platform")
    tls = {"security_protocol": "SSL", "ca_certificate": AUTHORITY.pem}

    with Front(servers, SERVER, client_authority=AUTHORITY.pem) as front:
        count = read_through(front, **tls, client_certificate=own.certificate, client_key=own.key)
        with pytest.raises(OutsideError, match=r"certificate|ended"):
            read_through(front, **tls)

    assert count == 3


def test_tls_at_a_port_without_it_is_told(servers: str) -> None:
    with pytest.raises(OutsideError, match=r"does not speak TLS|ended the"):
        Ledger().run(make_kafka(servers, security_protocol="SSL"))


class TokenEndpoint(BaseHTTPRequestHandler):
    """Gives tokens to whoever brings the secret."""

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked.append((str(self.headers["Authorization"]), parse_qs(form)))
        is_known = "Basic YWRhOmNhbmFyeQ==" in str(self.headers["Authorization"])
        said = (
            {"access_token": "token-1", "expires_in": seconds[0]} if is_known else {"error": "invalid_client"}
        )
        body = json.dumps(said).encode()
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


asked: list[tuple[str, dict[str, list[str]]]] = []
seconds = [3_600]
"""How long a token holds, as is said of it."""


@contextmanager
def serve_tokens() -> Iterator[dict[str, Any]]:
    """The config of who logs in by a token."""
    asked.clear()
    with InBackground(ThreadingHTTPServer(("127.0.0.1", 0), TokenEndpoint)) as server:
        login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER", "username": "ada"}
        yield login | {"oauth_token_url": f"http://127.0.0.1:{server.port}/token", "oauth_scope": "kafka"}


@pytest.mark.parametrize("said", [3_600, 0, -5])
def test_a_token_is_asked_for_once_and_logs_in_however_long_it_is_said_to_hold(
    servers: str, monkeypatch: pytest.MonkeyPatch, said: int
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "seconds", [said])
    produce(servers, make_readings(range(3)))

    with serve_tokens() as login, Front(servers, users=Users("OAUTHBEARER", tokens={"token-1"})) as front:
        count = read_through(front, **login, password="canary")

    assert (count, front.logins > 1) == (3, True)
    assert [form for _, form in asked] == [{"grant_type": ["client_credentials"], "scope": ["kafka"]}]


def test_a_client_secret_that_is_refused_is_told(servers: str) -> None:
    with (
        serve_tokens() as login,
        Front(servers, users=Users("OAUTHBEARER", tokens={"token-1"})) as front,
        pytest.raises(CredentialsRefused, match="The token endpoint answered 401: invalid_client"),
    ):
        read_through(front, **login, password="wrong")

    assert front.connections == 0


def list_steps(kafka: Kafka) -> list[tuple[str, bool]]:
    return [(check.name, check.ok) for check in kafka.check()]


def test_the_connection_test_passes_step_by_step(servers: str) -> None:
    produce(servers, make_readings(range(3)))
    with Front(servers, SERVER, Users("PLAIN", {"ada": PASSWORD})) as front:
        login = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "ada"}
        trust = {"password": PASSWORD, "ca_certificate": AUTHORITY.pem}
        steps = list(make_kafka(f"127.0.0.1:{front.port}", **login, **trust).check())

    assert [(step.name, step.ok) for step in steps] == [
        *(("address", True), ("login", True), ("cluster", True), ("brokers", True)),
        *(("topics", True), ("record", True)),
    ]
    assert steps[1].detail == f"127.0.0.1 answers on port {front.port} with TLS; logged in by PLAIN."
    assert steps[4].detail == f"1 topics: {TOPIC}."
    assert "has a key of 6 bytes" in steps[5].detail


@pytest.mark.parametrize(
    ("config", "failed"),
    [
        ({"password": "wrong"}, "login"),
        ({"ca_certificate": PemAuthority("Other").pem}, "login"),
        ({"topics": ["nowhere"]}, "topics"),
        ({"topics": ["no.*"]}, "topics"),
    ],
)
def test_the_first_step_that_fails_is_the_last(servers: str, config: dict[str, Any], failed: str) -> None:
    produce(servers, make_readings(range(3)))
    with Front(servers, SERVER, Users("PLAIN", {"ada": PASSWORD})) as front:
        login = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "ada"}
        trust = {"password": PASSWORD, "ca_certificate": AUTHORITY.pem}
        steps = list_steps(make_kafka(f"127.0.0.1:{front.port}", **login | trust | config))

    assert steps[-1] == (failed, False)
    assert all(ok for _, ok in steps[:-1])


@pytest.mark.parametrize(
    "answer",
    [
        b"\x7f\xff\xff\xff" + b"x" * 100,
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x0a0123456789",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_broker_is_told_and_takes_no_memory(answer: bytes) -> None:
    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            connection.recv(1_000)
            connection.sendall(answer)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises((ProtocolFailed, ConnectionRefused)):
            Ledger().run(make_kafka(f"127.0.0.1:{listener.getsockname()[1]}"))
