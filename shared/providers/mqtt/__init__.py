"""MQTT brokers: short sessions that lose nothing (see shared/providers/mqtt), commands published with QoS 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

import orjson
from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    Batch,
    Check,
    Checker,
    Command,
    Commander,
    CommandRefused,
    Deadline,
    Outcome,
    PayloadFields,
    Poller,
    ProtocolFailed,
    TopicRules,
    check_filter,
    check_filters,
    find_vmark_reply,
)
from shared.providers.mqtt.topics import (
    check_template,
    fill_template,
    widen_template,
)

if TYPE_CHECKING:
    from shared.providers.mqtt.paho_client import Broker
    from shared.providers.mqtt.plan import Plan
    from shared.providers.mqtt.tls import Tls

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
TOPICS_LIMIT = 100

_SECURED = {"mqtt": "mqtts", "mqtts": "mqtts", "ws": "wss", "wss": "wss"}
_PLACEHOLDERS = frozenset(("device", "name"))
_PROTOCOLS = {"auto": (5, 4), "5": (5,), "3.1.1": (4,)}


def _split_list(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


CommaSeparated = Annotated[
    tuple[str, ...], BeforeValidator(_split_list, json_schema_input_type=tuple[str, ...] | str)
]
Port = Annotated[int, Field(ge=1, le=65_535)]


class Mqtt(Checker, Poller, PayloadFields, Commander):
    """One broker and the topics to listen to."""

    # Fields left out are validated too: half a pair is found at the half that is missing.
    model_config = ConfigDict(validate_default=True)

    label: ClassVar[str] = "MQTT"
    docs: ClassVar[str] = "An MQTT broker: subscribes to topics, stores what devices publish, sends commands."

    broker_url: str
    """`mqtt://`, `mqtts://`, `ws://` or `wss://`, host, and for WebSockets the path (`/mqtt` where absent)."""
    port: Port | None = None
    username: str | None = None
    password: SecretStr | None = None
    client_id: Annotated[str, Field(max_length=256)] | None = None
    topics: CommaSeparated
    use_tls: bool | None = None
    ca_certificate: str | None = None
    client_certificate: str | None = None
    client_key: SecretStr | None = None
    server_name: str | None = None
    alpn: CommaSeparated = ()
    protocol_version: Literal["auto", "5", "3.1.1"] = "auto"
    qos: Literal[0, 1] = 1
    keepalive: Annotated[int, Field(ge=5, le=3_600)] = 60
    session_expiry_seconds: Annotated[int, Field(ge=86_400, le=0xFFFF_FFFF)] = 604_800
    command_topic: str | None = None
    """Where commands are published, with `{device}` and `{name}`; what comes back on such topics is not stored."""
    status_topic: str | None = None
    """The filter of the topics that carry status and last wills; None: those ending in status, availability or lwt.

    Its first `+` names the device where no topic of `topics` does."""

    # Validation

    @field_validator("broker_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = _split_url(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("write it as mqtt://host, mqtts://host, ws://host/path or wss://host/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                "leave user name and password out of the URL; they go into username and password"
            )
        if parts.query or parts.fragment or (parts.path.strip("/") and parts.scheme in {"mqtt", "mqtts"}):
            raise ValueError("nothing may follow the host and port; topics go into topics")
        return url

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        if not 0 < len(topics) <= TOPICS_LIMIT:
            raise ValueError(f"list 1 to {TOPICS_LIMIT} topics, for example devices/+/telemetry")
        return check_filters(topics)

    @field_validator("status_topic")
    @classmethod
    def _check_status_topic(cls, topic: str | None) -> str | None:
        return topic and check_filter(topic)

    @field_validator("command_topic")
    @classmethod
    def _check_command_topic(cls, topic: str | None) -> str | None:
        return topic and check_template(topic, _PLACEHOLDERS)

    @field_validator("ca_certificate", "client_certificate")
    @classmethod
    def _check_certificate(cls, pem: str | None) -> str | None:
        if pem and "-----BEGIN CERTIFICATE-----" not in pem:
            raise ValueError("paste the certificate as PEM text, beginning with -----BEGIN CERTIFICATE-----")
        return pem

    @field_validator("client_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        text = key.get_secret_value() if key else ""
        if text and "PRIVATE KEY-----" not in text:
            raise ValueError("paste the key as PEM text, beginning with -----BEGIN PRIVATE KEY-----")
        if "ENCRYPTED" in text:
            raise ValueError("the key is encrypted; give it without a passphrase, it is stored sealed")
        return key

    @field_validator("port")
    @classmethod
    def _check_port(cls, port: int | None, info: ValidationInfo) -> int | None:
        in_url = _split_url(info.data.get("broker_url", "")).port
        if port is not None and in_url is not None and in_url != port:
            raise ValueError("broker_url names another port; write it in one of the two only")
        return port

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if password is not None and info.data.get("username") is None:
            raise ValueError("set username too: MQTT has no password without a user name")
        return password

    @field_validator("use_tls")
    @classmethod
    def _check_tls(cls, use_tls: bool | None, info: ValidationInfo) -> bool | None:  # noqa: FBT001 - a field's value
        scheme = _split_url(info.data.get("broker_url", "")).scheme
        if use_tls is False and scheme in {"mqtts", "wss"}:
            raise ValueError(
                f"broker_url says {scheme}://, which is TLS; leave use_tls out or write mqtt:// or ws://"
            )
        return use_tls

    @field_validator("ca_certificate", "client_certificate", "client_key", "server_name", "alpn")
    @classmethod
    def _check_tls_is_used(cls, value: Any, info: ValidationInfo) -> Any:
        scheme = _split_url(info.data.get("broker_url", "mqtts://")).scheme
        if value and not (info.data.get("use_tls") or scheme in {"mqtts", "wss"}):
            raise ValueError("this is for TLS only: write broker_url with mqtts:// or wss://, or set use_tls")
        return value

    @field_validator("client_key")
    @classmethod
    def _check_pair(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "client_certificate" in info.data and bool(key) != bool(info.data["client_certificate"]):
            raise ValueError("client_certificate and client_key belong together: set both or none")
        return key

    @field_validator("command_topic")
    @classmethod
    def _check_no_echo(cls, topic: str | None, info: ValidationInfo) -> str | None:
        if topic and widen_template(topic) in info.data.get("topics", ()):
            raise ValueError(
                "topics lists the same topics; what comes there would be taken for our own commands"
            )
        return topic

    # Capabilities

    def check(self) -> Iterator[Check]:
        """Resolve, connect, do TLS, log in, subscribe; with a client id of its own, beside a live session."""
        from shared.providers.mqtt.aside import check_broker

        yield from check_broker(self._make_plan())

    def session(self, state: dict[str, Any], deadline: Deadline) -> Iterator[Batch]:
        """See shared/providers/mqtt/session.py; ends after `session_seconds` at the latest."""
        from shared.providers.mqtt.session import run_session

        yield from run_session(self._make_plan(), state, self.limit_session(deadline))

    def send(self, command: Command) -> Outcome:
        """Publish to `command_topic` with QoS 1; the reference is the topic. The broker has it, not yet the device."""
        from shared.providers.mqtt.aside import publish_once

        if not self.command_topic:
            raise ProtocolFailed(
                "Set command_topic to send commands, for example devices/{device}/commands/{name}."
            )
        try:
            topic = fill_template(self.command_topic, {"device": command.device, "name": command.name})
        except ValueError as error:
            raise CommandRefused(str(error)) from None
        publish_once(self._make_plan(), topic, orjson.dumps(command.payload))
        return Outcome(topic)

    @property
    def topic_rules(self) -> TopicRules:
        """The subscriptions name devices; what comes on our own topics is our echo."""
        own = widen_template(self.command_topic) if self.command_topic else ""
        return TopicRules(self.topics, own, self.status_topic or "")

    def _make_plan(self) -> Plan:
        from shared.providers.mqtt.plan import Plan

        return Plan(
            broker=self._make_broker(),
            client_id=self.client_id or f"di-{self.identity.integration_id}",
            filters=self.topics,
            decoder=self.make_decoder(),
            qos=self.qos,
            protocols=_PROTOCOLS[self.protocol_version],
            expiry_seconds=self.session_expiry_seconds,
            find_reply=find_vmark_reply if self.payload_format == "vmark" else None,
        )

    def _make_broker(self) -> Broker:
        from shared.providers.mqtt.paho_client import Broker

        url = _split_url(self.broker_url)
        scheme = _SECURED[url.scheme] if self.use_tls else url.scheme
        return Broker(
            host=url.hostname or "",
            port=self.port or url.port or PORTS[scheme],
            websocket_path=(url.path or "/mqtt") if scheme in {"ws", "wss"} else None,
            tls=self._make_tls() if scheme in {"mqtts", "wss"} else None,
            username=self.username,
            password=self.password.get_secret_value() if self.password else None,
            keepalive=self.keepalive,
        )

    def _make_tls(self) -> Tls:
        from shared.providers.mqtt.tls import Tls

        return Tls(
            ca_certificate=self.ca_certificate,
            client_certificate=self.client_certificate,
            client_key=self.client_key.get_secret_value() if self.client_key else None,
            server_name=self.server_name,
            alpn=self.alpn,
        )


def _split_url(url: str) -> SplitResult:
    """The parts of `url`; ValueError, in words, where its host or port is no such thing."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the host or port in it is not valid; a port is a number from 1 to 65535") from None
    return parts
