"""One connection to a broker: paho for the protocol, our own loop and our own socket underneath."""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paho.mqtt.client import WebsocketConnectionError
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from shared.provider import MQTT_5, Broker, ConnectionRefused, OutsideError, TimedOut, explain_tls_failure
from shared.providers.mqtt.answers import Answers
from shared.providers.mqtt.packets import Stream
from shared.providers.mqtt.paho_client import Login, WireClient
from shared.providers.mqtt.publish import Publish
from shared.providers.mqtt.reason_codes import ConnectionLost, explain_upgrade

LINGER_SECONDS = 1.0
RETAIN_IF_NEW = 1
FILTERS_AT_ONCE = 8
"""AWS IoT takes no more in one request, and closes the connection over a larger one."""

_PINGREQ = b"\xc0\x00"
_PUBACK = struct.Struct("!BBH").pack


class Connection:
    """A connection that is driven by calling it. Any call may raise ConnectionLost."""

    def __init__(self, broker: Broker, login: Login, protocol: int) -> None:
        self.protocol = protocol
        self._broker = broker
        self._login = login
        self._client = WireClient(broker, login, protocol)
        self._answers = Answers(self._client, login, protocol)
        self._received: list[Publish] = []
        self._next_upkeep = 0.0
        self._asked = 0

    @property
    def version(self) -> str:
        """The version of MQTT, as people write it."""
        return "5" if self.protocol == MQTT_5 else "3.1.1"

    @property
    def session_present(self) -> bool:
        """Whether the broker has kept our session."""
        return self._answers.session_present

    @property
    def expiry_seconds(self) -> int:
        """For how long the broker keeps it."""
        return self._answers.expiry_seconds

    @property
    def peer_certificate(self) -> Mapping[str, object] | None:
        """The broker's verified certificate, as `SSLSocket.getpeercert` has it; None without TLS."""
        return self._client.peer_certificate

    def open(self, timeout: float) -> None:
        """Connect and log in within `timeout` seconds. OutsideError says what failed, and at which step."""
        ends = time.monotonic() + timeout
        self._client.connect_timeout = max(0.1, timeout)
        try:
            self._connect()
        except ssl.SSLError as error:
            raise explain_tls_failure(error, self._broker.host) from None
        except TimeoutError:
            raise TimedOut("The broker did not finish the handshake in time.") from None
        except WebsocketConnectionError:
            raise explain_upgrade(self._broker.websocket_path or "", self._client.upgrade_status) from None
        except OSError as error:
            raise ConnectionRefused(
                f"The connection to the broker failed: {error.strerror or error}."
            ) from None
        try:
            self._wait_for(lambda: self._answers.has_login, ends - time.monotonic())
        except ConnectionLost as lost:
            raise self._explain_end(lost) from None
        self._answers.check_login()

    def receive(self, timeout: float) -> list[Publish]:
        """What was published to us, waiting up to `timeout` seconds for something to happen."""
        if not self._received:
            self._pump(timeout)
        received, self._received = self._received, []
        return received

    def attend(self, timeout: float) -> None:
        """Keep the connection alive and send what is to be sent, without reading, for `timeout` seconds."""
        self._stream.flush()
        time.sleep(timeout)
        self._keep_up()

    def subscribe(self, filters: Mapping[str, int], timeout: float) -> dict[str, int]:
        """Subscribe to filters with the wanted quality of service; the granted one, or a code from 128 on, of each."""
        granted: dict[str, int] = {}
        ends = time.monotonic() + timeout
        for names in _split_filters(filters):
            _, request = self._client.subscribe([self._describe(name, filters[name]) for name in names])
            answers = self._take_answer(request, ends - time.monotonic())
            granted |= dict(zip(names, answers, strict=False))
        return granted

    def unsubscribe(self, filters: Iterable[str], timeout: float) -> None:
        """End subscriptions; what the broker has already queued for them still comes."""
        ends = time.monotonic() + timeout
        for names in _split_filters(filters):
            _, request = self._client.unsubscribe(names)
            self._take_answer(request, ends - time.monotonic())

    def publish(self, topic: str, body: bytes) -> int:
        """Publish with QoS 1; the packet id, for `wait_published`."""
        return self._client.publish(topic, body, qos=1).mid

    def wait_published(self, packet_id: int, timeout: float) -> int:
        """Wait for the broker to take what was published; its reason code, from 128 on a refusal."""
        self._wait_for(lambda: packet_id in self._answers.published, timeout)
        return self._answers.published.pop(packet_id)

    def acknowledge(self, packet_ids: Iterable[int]) -> None:
        """Acknowledge QoS 1 messages in this order; they go out at once as far as the network takes them."""
        # paho's ack() does the same with a system call each. The stream takes whole packets only, so these
        # can't land inside one of paho's.
        self._stream.send(b"".join([_PUBACK(0x40, 2, packet_id) for packet_id in packet_ids]))
        self._stream.flush()

    def ask_settled(self) -> int:
        """Ask the broker whether it has heard everything up to now; `settled` reaches the number when it has.

        It answers packets in order, so the answer to a ping says that the acknowledgements before it are known.
        """
        self._asked = max(self._asked, self._stream.pongs) + 1
        self._stream.send(_PINGREQ)
        self._stream.flush()
        return self._asked

    @property
    def settled(self) -> int:
        """How far the broker has answered; see `ask_settled`."""
        return self._client.stream.pongs if self._client.stream else 0

    def close(self, patience: float = LINGER_SECONDS) -> bool:
        """Send what is to be sent, say goodbye, keep the session, and close; whether the broker has heard it all."""
        stream = self._stream
        if not stream.ended:
            stream.lingering = patience
            self._client.disconnect()
        self.abort()
        return stream.heard

    def abort(self) -> None:
        """Close at once, acknowledging nothing more. Allowed at any time."""
        if self._client.stream is not None:
            self._client.stream.close()

    @property
    def _stream(self) -> Stream:
        stream = self._client.stream
        if stream is None:
            raise ConnectionLost
        return stream

    def _connect(self) -> None:
        address = (self._broker.host, self._broker.port, self._broker.keepalive)
        if self.protocol != MQTT_5:
            self._client.connect(*address)
            return
        properties = None
        if not self._login.clean:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call] # paho leaves it untyped
            properties.SessionExpiryInterval = self._login.expiry_seconds
            properties.ReceiveMaximum = self._login.receive_maximum
        self._client.connect(*address, clean_start=self._login.clean, properties=properties)

    def _explain_end(self, lost: ConnectionLost) -> OutsideError:
        failure = self._client.stream.failure if self._client.stream else None
        if isinstance(failure, ssl.SSLError) and not self._answers.has_login:
            return explain_tls_failure(failure, self._broker.host)
        return self._answers.explain_end(lost)

    def _describe(self, name: str, qos: int) -> tuple[str, Any]:
        """One subscription as paho wants it."""
        if self.protocol != MQTT_5:
            return name, qos
        if not self._broker.has_options:
            return name, SubscribeOptions(qos=qos)
        return name, SubscribeOptions(qos=qos, noLocal=True, retainHandling=RETAIN_IF_NEW)

    def _take_answer(self, request: int | None, timeout: float) -> list[int]:
        if request is None:
            raise ConnectionLost
        self._wait_for(lambda: request in self._answers.granted, timeout)
        return self._answers.granted.pop(request)

    def _wait_for(self, is_done: Callable[[], bool], timeout: float) -> None:
        ends = time.monotonic() + timeout
        while not is_done():
            left = ends - time.monotonic()
            if left <= 0:
                raise TimedOut("The broker did not answer in time.")
            self._pump(min(left, 0.5), held=len(self._received))

    def _pump(self, timeout: float, held: int = 0) -> None:
        """Send, wait for the network, read once. Raises ConnectionLost only once nothing received is left."""
        stream = self._stream
        stream.flush()
        if not stream.has_control:
            stream.wait(0.0 if stream.has_more else timeout)
            stream.fill()
        if stream.publishes:
            self._received += stream.publishes
            stream.publishes = []
        while stream.has_control and self._client.socket() is not None:
            self._client.loop_read()
        stream.flush()
        if stream.ended and len(self._received) == held:
            raise self._answers.lost_because or ConnectionLost(_describe_loss(stream))
        self._keep_up()

    def _keep_up(self) -> None:
        now = time.monotonic()
        if now >= self._next_upkeep:
            self._next_upkeep = now + 1
            self._client.loop_misc()
            self._stream.flush()


def _split_filters(filters: Iterable[str]) -> list[list[str]]:
    names = list(filters)
    return [names[start : start + FILTERS_AT_ONCE] for start in range(0, len(names), FILTERS_AT_ONCE)]


def _describe_loss(stream: Stream) -> str:
    if stream.failure:
        return f"The connection to the broker was lost: {stream.failure.strerror or stream.failure}."
    return (
        "The broker closed the connection without a reason. If this goes on, look whether another client uses the "
        "same client id."
    )
