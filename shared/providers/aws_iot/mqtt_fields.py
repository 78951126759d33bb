"""The fields that say whether rules push messages or we subscribe to them, and with what we connect then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    PEM,
    Batch,
    CommaSeparated,
    Deadline,
    Group,
    Poller,
    check_filters,
    only_with,
    read_certificate_field,
    read_key_field,
)
from shared.providers.aws_iot.account_fields import AccountFields

TOPICS_LIMIT = 50
TOPIC_BYTES, TOPIC_SLASHES = 256, 7
MQTT_PORT, HTTPS_PORT = 8883, 443
ONLY_MQTT = "this is for ingest mqtt only"

_FIELDS = ("topics", "client_id", "client_certificate", "client_key", "client_key_passphrase", "mqtt_port")
_LABELS: dict[str, Any] = {"rule": "Rules push them", "mqtt": "We subscribe to them by MQTT"}
_WITH_CERTIFICATE: dict[str, Any] = {
    "x-when": {"properties": {"client_certificate": {"not": {"const": None}}}}
}


class MqttFields(AccountFields, Poller, defer_build=True):
    """For messages that are read by MQTT: topics, and a certificate; without one the account's key, or role, signs."""

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Messages", ("ingest",), open=True),
        Group("MQTT", _FIELDS, when=only_with(ingest="mqtt")),
    )

    ingest: Literal["rule", "mqtt"] = Field("rule", json_schema_extra={"x-labels": _LABELS})
    """How messages come in: rules push them, for fleets; or we subscribe to them, for a few messages a second."""
    topics: CommaSeparated = Field(
        (), validate_default=True, examples=[["devices/+/telemetry", "$aws/events/presence/#"]]
    )
    """Filters of the topics that are listened to; the level after `devices`, else the first `+`, names the device."""
    client_id: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(None, examples=["platform"])
    """The client id of our session; left out, one that no other integration has."""
    client_certificate: str | None = Field(None, json_schema_extra=PEM)
    """A certificate of this account that we connect with; left out, the key or role signs, over WebSockets."""
    client_key_passphrase: Annotated[SecretStr, Field(max_length=256)] | None = None
    """What opens its private key, where that is encrypted."""
    client_key: SecretStr | None = Field(None, validate_default=True, json_schema_extra=PEM)
    """The private key of the client certificate."""
    mqtt_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        MQTT_PORT, title="MQTT port", json_schema_extra=_WITH_CERTIFICATE
    )
    """8883, or 443 where a firewall lets nothing else through."""

    @field_validator(*_FIELDS)
    @classmethod
    def _check_use(cls, value: object, info: ValidationInfo) -> object:
        is_left_out = value is None or value == ()
        if not is_left_out and info.data.get("ingest") == "rule":
            raise ValueError(ONLY_MQTT)
        return value

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, topics: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("ingest") == "mqtt" and not 0 < len(topics) <= TOPICS_LIMIT:
            raise ValueError(
                f"list 1 to {TOPICS_LIMIT} topics, which is what AWS takes, as in devices/+/telemetry"
            )
        for number, each in enumerate(topics, start=1):
            if len(each.encode(errors="replace")) > TOPIC_BYTES or each.count("/") > TOPIC_SLASHES:
                raise ValueError(
                    f"number {number}: AWS takes topics of {TOPIC_BYTES} bytes and {TOPIC_SLASHES} slashes at most"
                )
        return check_filters(topics)

    _read_certificate = field_validator("client_certificate")(read_certificate_field)
    _read_key = field_validator("client_key")(read_key_field)

    @field_validator("mqtt_port")
    @classmethod
    def _check_port(cls, port: int, info: ValidationInfo) -> int:
        if not info.data.get("client_certificate"):
            raise ValueError("it goes with client_certificate; signatures go to 443 alone")
        if port not in {MQTT_PORT, HTTPS_PORT} and not info.data.get("endpoint_url"):
            raise ValueError(f"AWS listens at {MQTT_PORT} and {HTTPS_PORT}")
        return port

    @model_validator(mode="after")
    def _check_login(self) -> MqttFields:
        if self.ingest == "mqtt" and not (self.has_account or self.client_certificate):
            raise ValueError(
                "with ingest mqtt set client_certificate and client_key, or a key or role that signs"
            )
        if self.client_certificate and not (self.has_account or self.data_endpoint or self.endpoint_url):
            raise ValueError("set data_endpoint: without a key or a role AWS can't be asked for it")
        return self

    @property
    def is_polled(self) -> bool:
        """Whether messages are read by MQTT."""
        return self.ingest == "mqtt"

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """See shared/providers/aws_iot/session.py; ends after `session_seconds` at the latest."""
        from shared.providers.aws_iot.session import poll_account

        yield from poll_account(self, state, self.limit_session(deadline))  # type: ignore[arg-type] # it is no other's
