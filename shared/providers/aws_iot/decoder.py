"""Decoding what is read by MQTT: devices' words as everywhere, and what AWS says itself on topics of its own."""

from __future__ import annotations

from shared.provider import CodedBody, Dialect, Message, PayloadDecoder, TopicRules
from shared.providers.aws_iot.reserved import Reserved, find_reserved, name_told, read_reserved

ASIDE = 14
"""So many characters of the client id begin that of a short connection beside the session."""


class AwsDecoder(PayloadDecoder):
    """As PayloadDecoder; our own comings and goings, under `client_id`, are nothing that a device says."""

    def __init__(self, dialect: Dialect, rules: TopicRules, client_id: str) -> None:
        super().__init__(dialect, rules)
        self._client_id = client_id

    def decode(self, topic: str, body: bytes, event_id: str) -> Message | None:
        """See PayloadDecoder."""
        if (reserved := find_reserved(topic)) is None:
            return super().decode(topic, body, event_id)
        return self._read_reserved(reserved, topic, body, event_id)

    def prepare(self, topic: str, body: bytes, event_id: str) -> Message | CodedBody | None:
        """See PayloadDecoder; a codec has no say in what AWS says itself."""
        if (reserved := find_reserved(topic)) is None:
            return super().prepare(topic, body, event_id)
        return self._read_reserved(reserved, topic, body, event_id)

    def _read_reserved(self, reserved: Reserved, topic: str, body: bytes, event_id: str) -> Message | None:
        aside = f"{self._client_id[:ASIDE]}-"
        if reserved.status != "unheard" and (
            reserved.device == self._client_id or reserved.device.startswith(aside)
        ):
            return None
        return read_reserved(reserved, topic, body, name_told(topic, body) or event_id)
