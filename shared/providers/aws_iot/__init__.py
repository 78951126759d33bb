"""AWS IoT Core: what its rules push or its broker has, its things, shadows, messages and jobs through its API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from shared.provider import (
    Check,
    Checker,
    CodecFields,
    Command,
    Commander,
    Deadline,
    DeviceState,
    Directory,
    Firmware,
    FirmwareKeeper,
    Group,
    Message,
    Outcome,
    PayloadFields,
    PushedRequest,
    Receiver,
    StateKeeper,
    StoredBody,
    Syncer,
    TopicRules,
    check_filter,
    check_topic_template,
    choose_topic,
    widen_topic_template,
)
from shared.providers.aws_iot.account_fields import Role
from shared.providers.aws_iot.mqtt_fields import MqttFields

LONGEST_WAIT = timedelta(days=1)
NAME = r"^[A-Za-z0-9:_-]+$"
COMMAND_NAMES = frozenset(("device", "name"))

_ACCOUNT = ("region", "access_key_id", "secret_access_key", "role_arn", "data_endpoint", "endpoint_url")
_JOBS = (
    "firmware_bucket",
    "firmware_folder",
    "download_role_arn",
    "job_rate_per_minute",
    "job_timeout_minutes",
)
_WAYS: dict[str, Any] = {
    "auto": "To the device, else published",
    "direct": "To the device alone",
    "publish": "Published",
}

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=NAME)]
"""A name of a thing, its type or its group."""


class AwsIot(
    MqttFields,
    Checker,
    Receiver,
    CodecFields,
    PayloadFields,
    Commander,
    Syncer,
    StateKeeper,
    FirmwareKeeper,
):
    """One account of AWS in one region: how it is asked, and how its rules prove who they are."""

    label: ClassVar[str] = "AWS IoT Core"
    docs: ClassVar[str] = (
        "An account's AWS IoT Core: receives by rules or MQTT, syncs things, has shadows, sends commands and firmware."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Account", _ACCOUNT, open=True),
        Group("Rules", ("confirm_until", "device_topic")),
        Group("Commands", ("command_topic", "command_delivery", "command_timeout_seconds")),
        Group("Things", ("sync_thing_type", "sync_thing_group", "thing_type", "thing_policy")),
        Group("Firmware", _JOBS),
    )

    confirm_until: AwareDatetime | None = Field(None, title="Confirm destinations until")
    """Until then the rule destinations that AWS asks to confirm are confirmed; at most a day ahead."""
    device_topic: str | None = Field(None, examples=["plant/+/up"])
    """Where a topic names its thing, as in plant/+/up; without it the client id does."""

    command_topic: str | None = Field(None, examples=["devices/{device}/commands/{name}"])
    """Where commands go; {device} and {name} are filled in."""
    command_delivery: Literal["auto", "direct", "publish"] = Field(
        "auto", json_schema_extra={"x-labels": _WAYS}
    )
    """Whether commands go to the device itself, which confirms them, or are published for whoever subscribes."""
    command_timeout_seconds: int = Field(10, ge=1, le=30)
    """How long a device has to confirm a command that goes to itself."""

    sync_thing_type: Name | None = None
    """Only things of this type."""
    sync_thing_group: Name | None = None
    """Only things in this group or in those below it."""
    thing_type: Name | None = None
    """The type of the things that are made; without one AWS keeps three attributes of a thing."""
    thing_policy: (
        Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9+=,.@_-]+$")] | None
    ) = None
    """The IoT policy that the certificates of things get that are made."""

    firmware_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")] | None = Field(
        None, examples=["acme-firmware"]
    )
    """The S3 bucket, in the same region, that images are kept in."""
    firmware_folder: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = (
        "firmware"
    )
    """The folder in it."""
    download_role_arn: Role | None = Field(None, title="Download role ARN")
    """The role by which AWS signs the address of an image for a device; left out, devices get the bare address."""
    job_rate_per_minute: int = Field(1_000, ge=1, le=1_000)
    """How many devices a job is offered to in a minute."""
    job_timeout_minutes: int | None = Field(None, ge=1, le=10_080)
    """How long a device may take once it has begun; left out, as long as it likes."""

    @field_validator("confirm_until")
    @classmethod
    def _check_wait(cls, until: datetime | None) -> datetime | None:
        if until and until > datetime.now(UTC) + LONGEST_WAIT:
            raise ValueError(
                "at most a day ahead: meanwhile whoever knows the address may have one confirmed"
            )
        return until

    @field_validator("device_topic")
    @classmethod
    def _check_topic(cls, topic: str | None) -> str | None:
        if topic and "+" not in topic.split("/"):
            raise ValueError("write + for the level that names the thing, as in plant/+/up")
        return topic and check_filter(topic)

    @field_validator("command_topic")
    @classmethod
    def _check_template(cls, topic: str | None) -> str | None:
        return topic and check_topic_template(topic, COMMAND_NAMES)

    @model_validator(mode="before")
    @classmethod
    def _state_sync(cls, data: Any) -> Any:
        # The database plans syncs by settings->'sync_direction', so the default has to be stored.
        if not isinstance(data, dict):
            return data
        has_key = data.get("secret_access_key") is not None or data.get("role_arn") is not None
        return {"sync_direction": "import" if has_key else "off", **data}

    @property
    def topic_rules(self) -> TopicRules:
        """A topic names its thing where `device_topic` or `topics` say; what comes on those of commands is our echo."""
        own = widen_topic_template(self.command_topic) if self.command_topic else ""
        return TopicRules((*filter(None, (self.device_topic,)), *self.topics), own)

    def verify(self, request: PushedRequest) -> None:
        """As `webhook_authentication` says; a destination to be confirmed has no proof, but an admin who waits."""
        from shared.providers.aws_iot.confirm import is_confirmation, verify_confirmation

        if is_confirmation(request):
            verify_confirmation(self, request)
        else:
            super().verify(request)

    def keep_proven(self, request: PushedRequest) -> PushedRequest:
        """Of what asks to be confirmed everything was looked at."""
        return request if self.asks_back(request) else super().keep_proven(request)

    def asks_back(self, request: PushedRequest) -> bool:
        """Whether AWS is asked in turn: to confirm a destination."""
        from shared.providers.aws_iot.confirm import is_confirmation

        return is_confirmation(request)

    def parse(self, request: PushedRequest) -> list[Message]:
        """What a rule pushed, one message or several; see shared/providers/aws_iot/parse.py."""
        from shared.providers.aws_iot.confirm import confirm_destination, is_confirmation
        from shared.providers.aws_iot.parse import parse_request

        if is_confirmation(request):
            return [confirm_destination(self, request)]
        return parse_request(self, request)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """As it is decoded when it comes: its device is the one it had."""
        from shared.providers.aws_iot.parse import read_stored

        return super().decode(stored) if self.codec else [read_stored(self, each) for each in stored]

    @classmethod
    def check_command(cls, settings: Mapping[str, object], device: str, name: str) -> None:
        """CommandRefused without `command_topic`, and for a device or name that fits into no topic."""
        choose_topic(settings.get("command_topic"), device, name)

    def send(self, command: Command) -> Outcome:
        """To the thing itself, or published; see shared/providers/aws_iot/send.py."""
        from shared.providers.aws_iot.send import send_command

        return send_command(self, command, choose_topic(self.command_topic, command.device, command.name))

    def state(self, device: str) -> DeviceState:
        """A thing's shadows; see shared/providers/aws_iot/state.py."""
        from shared.providers.aws_iot.state import Shadows

        return Shadows(self.account, device)

    def firmware(self, deadline: Deadline) -> Firmware:
        """Jobs, groups and a bucket; see shared/providers/aws_iot/firmware.py."""
        from shared.providers.aws_iot.firmware import JobsFirmware
        from shared.providers.aws_iot.jobs import JobSettings

        how = JobSettings(
            self.firmware_bucket,
            self.firmware_folder,
            self.download_role_arn,
            self.job_rate_per_minute,
            self.job_timeout_minutes,
            self.identity.integration_id,
        )
        return JobsFirmware(self.account, how, deadline)

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The account's things; see shared/providers/aws_iot/devices.py."""
        from shared.providers.aws_iot.api import open_api
        from shared.providers.aws_iot.devices import Selection, ThingDirectory

        chosen = Selection(self.sync_thing_type, self.sync_thing_group, self.thing_type, self.thing_policy)
        with open_api(self.account, "iot", deadline) as api:
            yield ThingDirectory(api, chosen)

    def check(self) -> Iterator[Check]:
        """What comes in, then each thing that the API is asked for; see shared/providers/aws_iot/check.py."""
        from shared.providers.aws_iot.check import check_account

        yield from check_account(self)
