"""What the broker has answered to what paho asked it: kept until whoever asked takes it."""

from __future__ import annotations

from typing import Any

from shared.provider import MQTT_5, OutsideError, ProtocolFailed, ProtocolUnsupported
from shared.providers.mqtt.paho_client import Login, WireClient
from shared.providers.mqtt.reason_codes import (
    REFUSED_FROM,
    UNSUPPORTED_PROTOCOL,
    ConnectionLost,
    explain_disconnect,
    explain_refusal,
)


class Answers:
    """By packet id: `granted`, the codes of subscriptions, and `published`, the code of what was published."""

    def __init__(self, client: WireClient, login: Login, protocol: int) -> None:
        self.session_present = False
        self.expiry_seconds = login.expiry_seconds
        self.has_login = False
        self.granted: dict[int, list[int]] = {}
        self.published: dict[int, int] = {}
        self.lost_because: OutsideError | None = None
        self._protocol = protocol
        self._login = (UNSUPPORTED_PROTOCOL, "")
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_answer
        client.on_unsubscribe = self._on_answer
        client.on_publish = self._on_publish

    def check_login(self) -> None:
        """Raise what the broker refused the login with."""
        if self._login[0] >= REFUSED_FROM:
            raise explain_refusal(*self._login)

    def explain_end(self, lost: ConnectionLost) -> OutsideError:
        """Why there is no connection, when the broker closed it before or with its answer to the login."""
        if self.has_login and self._login[0] >= REFUSED_FROM:
            return explain_refusal(*self._login)
        if self.has_login:
            return self.lost_because or lost
        if self._protocol == MQTT_5:
            return ProtocolUnsupported(
                "The broker closed the connection without an answer; check that this port speaks MQTT."
            )
        if self.lost_because:
            return lost
        return ProtocolFailed(
            "The broker closed the connection without an answer; check the port, use_tls, username and client_id."
        )

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.has_login, self._login = True, (reason.value, reason.getName())
        self.session_present = flags.session_present
        self.expiry_seconds = getattr(properties, "SessionExpiryInterval", self.expiry_seconds)

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self.lost_because = explain_disconnect(reason.value, reason.getName())

    def _on_answer(self, _client: Any, _data: Any, request: int, reasons: Any, _properties: Any) -> None:
        self.granted[request] = [reason.value for reason in reasons]

    def _on_publish(self, _client: Any, _data: Any, packet_id: int, reason: Any, _properties: Any) -> None:
        self.published[packet_id] = reason.value
