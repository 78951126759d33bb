"""paho's client on a socket to a checked address, with our stream on top of it."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Timer
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from shared.provider import MQTT_5, Broker, connect_checked, make_tls_context
from shared.providers.mqtt.packets import Stream

STATUS_LINE = 16
STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


@dataclass(frozen=True, slots=True)
class Login:
    """Who connects: `clean` begins without a session, else the broker keeps it for `expiry_seconds`.

    What is read counts as memory of `owner`, the organization.
    """

    client_id: str
    expiry_seconds: int = 86_400
    receive_maximum: int = 1_000
    clean: bool = False
    owner: str = ""


class WireClient(paho.Client):
    """paho's client, connecting the way the outside may be connected to."""

    def __init__(self, broker: Broker, login: Login, protocol: int) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            login.client_id,
            clean_session=None if protocol == MQTT_5 else login.clean,
            protocol=MQTTProtocolVersion(protocol),
            transport="tcp" if broker.websocket_path is None else "websockets",
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.stream: Stream | None = None
        self._upgrade: _Upgrade | None = None
        self._bare: socket.socket | None = None
        self._server_name = broker.host
        self._owner = login.owner
        if broker.username is not None:
            self.username_pw_set(broker.username, broker.password)
        if broker.websocket_path is not None:
            self.ws_set_options(_find_address(broker, broker.websocket_path))
        if broker.tls:
            self._server_name = broker.tls.server_name or broker.host
            self.tls_set_context(make_tls_context(broker.tls))

    @property
    def peer_certificate(self) -> Mapping[str, object] | None:
        """The broker's verified certificate, as `SSLSocket.getpeercert` has it; None without TLS."""
        return self._bare.getpeercert() if isinstance(self._bare, ssl.SSLSocket) else None

    @property
    def upgrade_status(self) -> int | None:
        """The status that the broker answered the wish for a WebSocket with; None where it said none."""
        return self._upgrade.status if self._upgrade else None

    def _create_socket(self) -> Any:
        self._bare = connect_checked(self.host, self.port, self.connect_timeout)
        # Acknowledgements are small and the broker waits for them; what is sent is gathered by the stream already.
        self._bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with _bound_time(self._bare, self.connect_timeout):
                inner = super()._create_socket()
        except BaseException:
            self._bare.close()
            raise
        has_properties = self.protocol == MQTTProtocolVersion.MQTTv5
        self.stream = Stream(inner, has_properties=has_properties, owner=self._owner)
        return self.stream

    def _create_socket_connection(self) -> socket.socket:
        if self._bare is None:
            raise AssertionError("_create_socket connects before it calls paho's own")
        return self._bare if self._ssl_context else self._watch(self._bare)

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        if self._ssl_context is None:
            raise AssertionError("paho wraps only when it was given a context")
        tcp_sock.settimeout(self.connect_timeout)
        wrapped = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._server_name)
        self._bare = wrapped
        return cast("ssl.SSLSocket", self._watch(wrapped))

    def _watch(self, connection: socket.socket) -> socket.socket:
        """What paho is given to ask for a WebSocket on: `connection`, and what is answered is looked at."""
        if self._transport != "websockets":
            return connection
        self._upgrade = _Upgrade(connection)
        return cast("socket.socket", self._upgrade)


class _Upgrade:
    """A connection on which a WebSocket is asked for: paho does not say what status it was refused with."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner
        self._begin = bytearray()

    def recv(self, size: int) -> bytes:
        """As that of a socket."""
        piece = self._inner.recv(size)
        if len(self._begin) < STATUS_LINE:
            self._begin += piece[:STATUS_LINE]
        return piece

    @property
    def status(self) -> int | None:
        """That of the answer, as far as it was read."""
        found = STATUS.match(self._begin)
        return int(found[1]) if found else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _find_address(broker: Broker, path: str) -> str:
    return broker.sign_path(path) if broker.sign_path else path


@contextmanager
def _bound_time(connection: socket.socket, seconds: float) -> Iterator[None]:
    """End what happens on `connection` after `seconds`: a socket's own timeout is per call, and a slow drip resets it.

    Raises TimeoutError then.
    """
    handle = connection.dup()
    cut = Event()
    timer = Timer(seconds, _cut_connection, (handle, cut))
    timer.start()
    try:
        yield
    except OSError:
        if cut.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        timer.join()
        handle.close()


def _cut_connection(handle: socket.socket, cut: Event) -> None:
    cut.set()
    with suppress(OSError):
        handle.shutdown(socket.SHUT_RDWR)
