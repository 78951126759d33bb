"""Kafka, both ways: topics read into messages, each record once; events produced to a topic, keyed by their device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    Access,
    BaseUrl,
    Batch,
    Check,
    Checker,
    CodecFields,
    CommaSeparated,
    Deadline,
    Destination,
    Event,
    Group,
    Message,
    Part,
    PayloadFields,
    Publisher,
    PublishOutcome,
    SharedPoller,
    StoredBody,
    encode_basic,
    join_basic,
    locate_url,
    only_with,
    require_partner,
)
from shared.providers.kafka.cluster_fields import ClusterFields
from shared.providers.kafka.plan import ReadPlan
from shared.providers.kafka.topics import check_name, check_patterns

TOPICS_LIMIT = 100
AT_ONCE, A_MINUTE = 100, 1_000_000

_STATED = {"events": ["*"], "max_concurrent": AT_ONCE, "rate_limit_per_minute": A_MINUTE}
"""What the database reads of one that events go out to, and so has to be stored."""

_STARTS: dict[str, Any] = {
    "x-labels": {"end": "What comes from now on", "beginning": "All that is kept there"}
}
_DEVICES: dict[str, Any] = {
    "x-labels": {
        "key": "The record's key",
        "header": "A header",
        "topic": "The first * of the topic",
        "body": "The body alone",
    }
}
_WITH_REGISTRY: dict[str, Any] = {"x-when": {"properties": {"schema_registry_url": {"not": {"const": None}}}}}
_WITH_USER: dict[str, Any] = {
    "x-when": {
        "properties": {
            "schema_registry_url": {"not": {"const": None}},
            "schema_registry_username": {"not": {"const": None}},
        }
    }
}


class Kafka(Checker, SharedPoller, Publisher, ClusterFields, CodecFields, PayloadFields):
    """A cluster, and the topics that are read, or the one that events go to."""

    label: ClassVar[str] = "Kafka"
    docs: ClassVar[str] = "A Kafka cluster: reads topics into messages, or gets your devices' events."

    groups: ClassVar[tuple[Group, ...]] = (
        *ClusterFields.groups,
        Group("What is read", ("topics", "start", "device_from", "device_header"), open=True),
        Group("Where events go", ("events_topic",), open=True),
        Group(
            "Schema registry", ("schema_registry_url", "schema_registry_username", "schema_registry_password")
        ),
    )

    topics: CommaSeparated | None = Field(None, examples=[["plant.telemetry", "site.*.events"]])
    """The topics that are read, in which * stands for any characters; without them, events go out."""
    start: Literal["end", "beginning"] = Field("end", json_schema_extra=_STARTS)
    """Where topics are begun with; what appears later, a partition or a topic that * finds, is read whole."""
    device_from: Literal["key", "header", "topic", "body"] = Field("key", json_schema_extra=_DEVICES)
    """What names the device of a record; where it names none, the body does."""
    device_header: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        None, examples=["device-id"], json_schema_extra={"x-when": only_with(device_from="header")}
    )
    """The header that names the device."""
    events_topic: str | None = None
    """The topic that events go to, in place of reading any, with the device as their key; it has to be there."""
    max_concurrent: int = Field(AT_ONCE, ge=1, le=100)
    """How many events may be on their way at once."""
    rate_limit_per_minute: int = Field(A_MINUTE, ge=1, le=1_000_000)
    """How many events may be produced within any minute."""
    schema_registry_url: BaseUrl | None = Field(None, examples=["https://registry.example.com"])
    """The schema registry by which bodies are written: Avro and JSON Schema are read."""
    schema_registry_username: (
        Annotated[str, Field(min_length=1, max_length=1_024, pattern=r"^[^:\x00-\x1f]+$")] | None
    ) = Field(None, json_schema_extra=_WITH_REGISTRY)
    """Who asks the registry; left out, nobody logs in there."""
    schema_registry_password: Annotated[SecretStr, Field(max_length=8_192)] | None = Field(
        None, json_schema_extra=_WITH_USER
    )
    """The password that goes with it."""

    @model_validator(mode="before")
    @classmethod
    def _state_events(cls, data: Any) -> Any:
        # What reads topics is no subscriber, so nothing of one is stored for it.
        is_out = isinstance(data, dict) and data.get("events_topic") is not None
        return {**_STATED, **data} if is_out else data

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, topics: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if topics is not None and not 0 < len(topics) <= TOPICS_LIMIT:
            raise ValueError(f"list 1 to {TOPICS_LIMIT} topics, for example plant.telemetry")
        return topics and check_patterns(topics)

    @field_validator("device_header")
    @classmethod
    def _check_header(cls, name: str | None, info: ValidationInfo) -> str | None:
        if (name is not None) != (info.data.get("device_from") == "header"):
            raise ValueError("device_from header and device_header belong together: set both or none")
        return name

    @field_validator("events_topic")
    @classmethod
    def _check_events_topic(cls, topic: str | None, info: ValidationInfo) -> str | None:
        if topic is not None and info.data.get("topics"):
            raise ValueError(
                "topics is set too: an integration reads or gets events; make another for the other way"
            )
        if topic is None and "topics" in info.data and not info.data["topics"]:
            raise ValueError("nothing would come or go: set topics to read, or events_topic to get events")
        return topic and check_name(topic)

    @field_validator("schema_registry_username", "schema_registry_password")
    @classmethod
    def _check_registry(cls, value: Any, info: ValidationInfo) -> Any:
        is_name = info.field_name == "schema_registry_username"
        return require_partner(value, "schema_registry_url" if is_name else "schema_registry_username", info)

    @classmethod
    def locate(cls, config: Mapping[str, Any]) -> Destination:
        """Where passwords are sent: to the cluster, and to the registry."""
        url = config.get("schema_registry_url")
        return (*super().locate(config), " ".join(locate_url(url)) if url else "")

    @property
    def is_polled(self) -> bool:
        """Whether there are topics to read."""
        return self.topics is not None

    def session_part(self, part: Part, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """See session.py; ends after `session_seconds` at the latest."""
        from shared.providers.kafka.session import run_session

        plan = replace(self.read_plan, part=part, sessions=self.parallel_sessions)
        yield from run_session(plan, state, self.limit_session(deadline))

    def publish(self, events: Sequence[Event], deadline: Deadline) -> Iterator[PublishOutcome]:
        """Produce `events` to `events_topic`, idempotently; see publish.py."""
        from shared.providers.kafka.publish import produce_events

        yield from produce_events(self.cluster_plan, self.events_topic or "", self.echo, events, deadline)

    def check(self) -> Iterator[Check]:
        """Resolve, connect and log in at each server; what the cluster says; the topics; a first record."""
        from shared.providers.kafka.check import check_cluster

        yield from check_cluster(self)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """As it is decoded when it comes, by today's fields. Its device and time are those that it had."""
        from shared.providers.kafka.replay import decode_stored

        return decode_stored(self, stored, super().decode)

    @property
    def echo(self) -> str:
        """How the source of what this platform sends for the organization begins."""
        return f"/device-integrations/{self.identity.organization_id}/"

    @property
    def registry_access(self) -> Access | None:
        """What asking the registry takes; None without one."""
        if self.schema_registry_url is None:
            return None
        pair = join_basic(self.schema_registry_username, self.schema_registry_password)
        headers = {"Authorization": encode_basic(pair)} if self.schema_registry_username else {}
        secrets = [self.schema_registry_password.get_secret_value()] if self.schema_registry_password else []
        return Access(
            "The schema registry", self.schema_registry_url, headers, secrets, self.identity.organization_id
        )

    @property
    def read_plan(self) -> ReadPlan:
        """What a session needs to know."""
        from shared.providers.kafka.registry import Registry

        access = self.registry_access
        return ReadPlan(
            self.cluster_plan,
            self.topics or (),
            from_beginning=self.start == "beginning",
            device_from=self.device_from,
            device_header=self.device_header or "",
            is_path_first=self.device_id_path is not None,
            decoder=self.make_decoder(),
            echo=self.echo,
            open_codec=partial(self.open_codec, "codec") if self.codec else None,
            registry=Registry(access) if access else None,
        )
