"""amqtt 0.12.1, made to keep what MQTT 3.1.1 says a broker keeps. Each change names what it does without it:

- It forgets a QoS 1 message that is not acknowledged within five seconds or before the client goes away, so a reader
  that dies between receiving and committing loses it. Here it stays in flight until it is acknowledged, and is sent
  again, marked DUP, when the client returns (section 4.4).
- It sends everything stored for a client at once. Here at most MAX_IN_FLIGHT wait for an acknowledgement.
- It keeps no session of a client without a password. Here everybody is let in and a session is kept (3.1.2.4).
- It marks messages that waited for a client as retained. Here only retained ones are (3.3.1.3).
- It sends a returning client all retained messages of everybody's subscriptions. Here they come with a subscription.
- It never answers an MQTT 5 client. Here that is refused at once, see broker_version.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from amqtt.adapters import StreamWriterAdapter
from amqtt.broker import Broker
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import ApplicationMessage, OutgoingApplicationMessage, Session

from scripts.local.broker_version import check_version

MAX_IN_FLIGHT = 1000
HIGHEST_QOS = 1


class OpenDoor(BaseAuthPlugin):  # type: ignore[misc] # amqtt is not typed
    """Lets everybody in; the broker listens on loopback only."""

    async def authenticate(self, *, session: Session) -> bool:  # noqa: ARG002 - amqtt passes it by name
        """Always yes."""
        return True


class KeepingHandler(BrokerProtocolHandler):  # type: ignore[misc] # amqtt is not typed
    """One client's connection; what is not acknowledged stays in its session."""

    connected = False
    serving = False

    async def start(self) -> None:
        """Called once the client is welcomed."""
        self.connected = True
        await super().start()

    async def stop(self) -> None:
        """Called when the connection ends, however it does."""
        self.connected = False
        await super().stop()

    async def get_next_pending_subscription(self) -> Any:
        """The first call comes when the connection is set up and the client's own requests are next."""
        self.serving = True
        return await super().get_next_pending_subscription()

    async def mqtt_publish(self, topic: str, data: bytes, qos: int, retain: bool, **options: Any) -> Any:  # noqa: FBT001
        """Sends a message, or queues it behind those in flight."""
        if not qos:
            return await super().mqtt_publish(topic, data, qos, retain, **options)
        self.session.retained_messages.put_nowait(ApplicationMessage(None, topic, HIGHEST_QOS, data, retain))
        await self.send_stored()
        return None

    async def send_stored(self) -> None:
        """Sends what is queued as far as the window of messages in flight allows."""
        session = self.session
        while (
            self.connected and session.retained_messages.qsize() and len(session.inflight_out) < MAX_IN_FLIGHT
        ):
            stored = session.retained_messages.get_nowait()
            message = OutgoingApplicationMessage(
                session.next_packet_id, stored.topic, HIGHEST_QOS, stored.data, stored.retain
            )
            session.inflight_out[message.packet_id] = message
            await self._send_packet(message.build_publish_packet())

    async def handle_puback(self, puback: Any) -> None:
        """The client has it: forget it, and send the next."""
        self.session.inflight_out.pop(puback.packet_id, None)
        await self.send_stored()

    async def _retry_deliveries(self) -> None:
        for message in list(self.session.inflight_out.values()):
            await self._send_packet(message.build_publish_packet(dup=True))
        await self.send_stored()


class KeepingBroker(Broker):  # type: ignore[misc] # amqtt is not typed
    """The broker around those handlers."""

    async def add_subscription(self, subscription: tuple[str, int], session: Session) -> int:
        """Grants QoS 1 at most, and says so to the client."""
        topic_filter, qos = subscription
        return int(await super().add_subscription((topic_filter, min(qos, HIGHEST_QOS)), session))

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """One client, from connecting to leaving."""
        if checked := await check_version(reader, writer):
            await self.external_connected(checked, StreamWriterAdapter(writer), listener_name)

    async def _retain_broadcast_message(self, broadcast: Any, qos: int, target_session: Session) -> None:
        await self._get_handler(target_session).mqtt_publish(
            broadcast["topic"], broadcast["data"], qos, retain=False
        )

    async def _publish_session_retained_messages(self, session: Session) -> None:
        if handler := self._get_handler(session):
            await handler.send_stored()

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        if self._get_handler(session).serving:
            await super()._publish_retained_messages_for_subscription(subscription, session)
