"""MQTT brokers: short sessions that lose nothing, commands published with QoS 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from shared.provider import (
    MQTT_3,
    MQTT_5,
    Batch,
    BrokerPlan,
    Check,
    Checker,
    CodecFields,
    CodedBody,
    Command,
    Commander,
    CommaSeparated,
    Deadline,
    Group,
    Message,
    Outcome,
    PayloadFields,
    Poller,
    StoredBody,
    TopicRules,
    check_filter,
    check_filters,
    check_topic_template,
    choose_topic,
    widen_topic_template,
)
from shared.providers.mqtt.broker import BrokerFields

TOPICS_LIMIT = 100

_PLACEHOLDERS = frozenset(("device", "name"))
_PROTOCOLS = {"auto": (MQTT_5, MQTT_3), "5": (MQTT_5,), "3.1.1": (MQTT_3,)}
_CONNECTION = (
    *("client_id", "protocol_version", "qos", "session_expiry_seconds", "keepalive"),
    *("session_seconds", "poll_interval_seconds"),
)
_QOS: dict[str, Any] = {"x-labels": {"0": "At most once (0)", "1": "At least once (1)"}}
_VERSIONS: dict[str, Any] = {
    "x-labels": {"auto": "What the broker speaks", "5": "MQTT 5", "3.1.1": "MQTT 3.1.1"}
}


class Mqtt(Checker, Poller, BrokerFields, CodecFields, PayloadFields, Commander):
    """One broker and the topics to listen to."""

    label: ClassVar[str] = "MQTT"
    docs: ClassVar[str] = "An MQTT broker: subscribes to topics, stores what devices publish, sends commands."

    groups: ClassVar[tuple[Group, ...]] = (
        *BrokerFields.groups,
        Group("Topics", ("topics",), open=True),
        Group("Status and commands", ("status_topic", "status_online", "status_offline", "command_topic")),
        Group("Connection", _CONNECTION),
    )

    client_id: Annotated[str, Field(max_length=256)] | None = None
    """The name of our session at the broker; left out, one that no other integration has."""
    topics: CommaSeparated = Field(examples=[["devices/+/telemetry", "devices/+/status"]])
    """Filters of the topics that are listened to; the level after `devices`, else the first `+`, names the device."""
    protocol_version: Literal["auto", "5", "3.1.1"] = Field("auto", json_schema_extra=_VERSIONS)
    """Which MQTT is spoken."""
    qos: Literal[0, 1] = Field(1, json_schema_extra=_QOS)
    """How surely messages come: at most once may lose some, at least once loses none."""
    session_expiry_seconds: Annotated[int, Field(ge=86_400, le=0xFFFF_FFFF)] = 604_800
    """How long the broker keeps messages while we are away."""
    command_topic: str | None = Field(None, examples=["devices/{device}/commands/{name}"])
    """Where commands are published, with `{device}` and `{name}`; what comes back on such topics is not stored."""
    status_topic: str | None = Field(None, examples=["devices/+/status"])
    """The topics that carry status and last wills; left out, those that end in status, availability, lwt or online.

    They are subscribed to beside `topics`; the first `+` names the device where no topic of `topics` does."""

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        if not 0 < len(topics) <= TOPICS_LIMIT:
            raise ValueError(f"list 1 to {TOPICS_LIMIT} topics, for example devices/+/telemetry")
        return check_filters(topics)

    @field_validator("command_topic")
    @classmethod
    def _check_command_topic(cls, topic: str | None) -> str | None:
        return topic and check_topic_template(topic, _PLACEHOLDERS)

    @field_validator("status_topic")
    @classmethod
    def _check_status_topic(cls, topic: str | None, info: ValidationInfo) -> str | None:
        topic = topic and check_filter(topic)
        if topic and topic == widen_topic_template(info.data.get("command_topic") or ""):
            raise ValueError("command_topic means the same topics; what comes there is not read")
        return topic

    @field_validator("command_topic")
    @classmethod
    def _check_no_echo(cls, topic: str | None, info: ValidationInfo) -> str | None:
        if topic and widen_topic_template(topic) in info.data.get("topics", ()):
            raise ValueError(
                "topics lists the same topics; what comes there would be taken for our own commands"
            )
        return topic

    def check(self) -> Iterator[Check]:
        """Resolve, connect, do TLS, log in, subscribe; with a client id of its own, beside a live session."""
        yield from self.test(self.plan)

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """See shared/providers/mqtt/session.py; ends after `session_seconds` at the latest."""
        yield from self.poll(self.plan, state, self.limit_session(deadline))

    @classmethod
    def check_command(cls, settings: Mapping[str, object], device: str, name: str) -> None:
        """CommandRefused without `command_topic`, and for a device or name that fits into no topic."""
        choose_topic(settings.get("command_topic"), device, name)

    def send(self, command: Command) -> Outcome:
        """Publish to `command_topic` with QoS 1; the reference is the topic. The broker has it, not yet the device."""
        topic = choose_topic(self.command_topic, command.device, command.name)
        self.publish_once(self.plan, topic, self.encode_command(command, topic))
        return Outcome(topic)

    def describe_stored(self, stored: StoredBody) -> CodedBody:
        """Its topic names the device, as when it came."""
        known = Message(
            stored.event_id,
            self.topic_rules.read(stored.topic or "").device or stored.device,
            topic=stored.topic,
        )
        return CodedBody(stored.body, known, received_at=stored.received_at)

    @property
    def topic_rules(self) -> TopicRules:
        """The subscriptions name devices; what comes on topics of commands is our own echo."""
        own = widen_topic_template(self.command_topic) if self.command_topic else ""
        return TopicRules(self.topics, own, self.status_topic or "")

    @staticmethod
    def poll(plan: BrokerPlan, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """See `BrokerClient`, and session.py."""
        from shared.providers.mqtt.session import run_session

        return run_session(plan, state, deadline)

    @staticmethod
    def test(plan: BrokerPlan, deadline: Deadline | None = None) -> Iterator[Check]:
        """See `BrokerClient`, and check.py."""
        from shared.providers.mqtt.check import check_broker

        return check_broker(plan, deadline)

    @staticmethod
    def publish_once(plan: BrokerPlan, topic: str, body: bytes) -> None:
        """See `BrokerClient`, and send.py."""
        from shared.providers.mqtt.send import publish_once

        publish_once(plan, topic, body)

    @property
    def plan(self) -> BrokerPlan:
        """What a connection needs to know."""
        return BrokerPlan(
            broker=self.broker,
            client_id=self.client_id or f"di-{self.identity.integration_id}",
            filters=tuple(dict.fromkeys(filter(None, (*self.topics, self.status_topic)))),
            decoder=self.make_decoder(),
            qos=self.qos,
            protocols=_PROTOCOLS[self.protocol_version],
            expiry_seconds=self.session_expiry_seconds,
            open_codec=partial(self.open_codec, "codec") if self.codec else None,
            warnings=tuple(f"{risk.field}: {risk.message}" for risk in self.list_risks()),
            owner=self.identity.organization_id,
        )
