"""Particle: what its webhooks push, and its API for devices, functions, variables and firmware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    BaseUrl,
    BearerToken,
    Check,
    Checker,
    CodecFields,
    Command,
    Commander,
    Credential,
    Deadline,
    Destination,
    DeviceState,
    Directory,
    Firmware,
    FirmwareKeeper,
    Group,
    Message,
    NotSupported,
    Outcome,
    PushedRequest,
    Receiver,
    StateKeeper,
    StoredBody,
    Syncer,
    TextReply,
    check_path,
    locate_url,
    require_partner,
)
from shared.providers.particle.api import Account

BASE_URL = "https://api.particle.io"
NO_CREDENTIALS = "Set access_token, or client_id and client_secret: this goes through Particle's API."
_ACCOUNT = ("product_id", "access_token", "client_id", "client_secret", "base_url")
_SYNC = (
    *("sync_direction", "sync_interval_seconds", "sync_groups", "claim_user", "sync_conflicts"),
    *("sync_create_missing", "sync_update_existing", "sync_limit", "online_minutes"),
)


Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-]+$")]
"""A product's number or slug, or the name of a group."""


class Particle(Checker, Receiver, CodecFields, Commander, Syncer, StateKeeper, FirmwareKeeper):
    """A product at Particle, or an account's own devices: the credentials, how its webhooks prove who they are."""

    label: ClassVar[str] = "Particle"
    docs: ClassVar[str] = (
        "A product at Particle: receives its devices' events, calls functions, syncs devices, rolls firmware out."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Product", _ACCOUNT, open=True),
        Group("Events", ("event_id_path", "timestamp_path")),
        Group("Device sync", _SYNC),
        Group("Firmware", ("intelligent_releases",)),
    )

    product_id: Name | None = Field(None, examples=["30301"], title="Product")
    """The product's number or slug, from the console; left out for devices that are an account's own."""
    access_token: BearerToken | None = None
    """The token of an API user with the scopes that docs/particle.md lists; needed for all but receiving."""
    client_id: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")] | None = None
    """An OAuth client that gets itself tokens, in place of access_token."""
    client_secret: Credential | None = Field(
        None,
        validate_default=True,
        json_schema_extra={"x-when": {"properties": {"client_id": {"not": {"const": None}}}}},
    )
    """The secret of that client."""
    base_url: BaseUrl = BASE_URL
    """Where Particle's API is; the credentials are sent nowhere else."""

    event_id_path: str | None = Field(None, examples=["id"])
    """Where a payload has an id of its own: by nothing else is known what a device sends again."""
    timestamp_path: str | None = Field(None, examples=["time"])
    """Where a payload says when it was measured, as ISO 8601 or Unix time; left out, when it was published."""

    sync_groups: tuple[Name, ...] = Field((), max_length=20, title="Groups")
    """Only devices in one of these groups of the product."""
    claim_user: Annotated[str, Field(min_length=3, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")] | None = (
        Field(None, examples=["fleet@example.com"])
    )
    """The account that devices are claimed by which are made there."""
    intelligent_releases: bool = Field(default=True, title="Release at once")
    """Whether a rollout goes at once to devices that are online and ready, as an intelligent release; else
    each gets it with its next connection."""

    @field_validator("client_id")
    @classmethod
    def _check_client(cls, client_id: str | None, info: ValidationInfo) -> str | None:
        if client_id and info.data.get("access_token"):
            raise ValueError("access_token is set too; use one of them and set the other to null")
        return client_id

    @field_validator("client_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if secret is None and info.data.get("client_id"):
            raise ValueError("client_id needs the client_secret that goes with it")
        return require_partner(secret, "client_id", info)

    @field_validator("event_id_path", "timestamp_path")
    @classmethod
    def _check_place(cls, path: str | None) -> str | None:
        return path and check_path(path)

    @model_validator(mode="before")
    @classmethod
    def _state_sync(cls, data: Any) -> Any:
        # The database plans syncs by settings->'sync_direction', so the default has to be stored.
        if not isinstance(data, dict):
            return data
        can_call = any(data.get(name) is not None for name in ("access_token", "client_id"))
        return {"sync_direction": "import" if can_call else "off", **data}

    @model_validator(mode="after")
    def _check_ways(self) -> Particle:
        if not (self.webhook_secret or self.access_token or self.client_id):
            raise ValueError(
                "nothing could be done: set webhook_secret for what is pushed, or credentials for Particle's API"
            )
        if self.sync_direction != "off" and not (self.access_token or self.client_id):
            raise ValueError(
                "device sync needs access_token, or client_id and client_secret; or set sync_direction to off"
            )
        if self.sync_groups and not self.product_id:
            raise ValueError("sync_groups are of a product: set product_id")
        return self

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where the credentials are sent."""
        return locate_url(config.get("base_url", BASE_URL))

    @property
    def account(self) -> Account:
        """What calls to the API need; NotSupported without credentials."""
        secret = self.access_token or self.client_secret
        if secret is None:
            raise NotSupported(NO_CREDENTIALS)
        owner = self.identity.organization_id
        return Account(self.base_url, secret.get_secret_value(), self.client_id, self.product_id, owner)

    def parse(self, request: PushedRequest) -> list[Message]:
        """See shared/providers/particle/parse.py."""
        from shared.providers.particle.parse import parse_request

        return parse_request(self, request)

    def parse_undecoded(self, request: PushedRequest) -> list[Message]:
        """The same without a codec: Particle drops what it has tried three times."""
        from shared.providers.particle.parse import parse_request

        return parse_request(self, request, busy=True)

    def answer_push(self, request: PushedRequest) -> TextReply:  # noqa: ARG002 - the same to all
        """Nothing: what is answered is published to the device, and costs data."""
        return TextReply("", status=HTTPStatus.ACCEPTED)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """See shared/providers/particle/parse.py."""
        from shared.providers.particle.parse import decode_stored

        return decode_stored(self, stored)

    def send(self, command: Command) -> Outcome:
        """A function that is called on the device, or an event; see shared/providers/particle/send.py."""
        from shared.providers.particle.send import send_command

        return send_command(self.account, command)

    def state(self, device: str) -> DeviceState:
        """The variables of the device; see shared/providers/particle/state.py."""
        from shared.providers.particle.state import Variables

        return Variables(self.account, device)

    def firmware(self, deadline: Deadline) -> Firmware:
        """See shared/providers/particle/firmware.py."""
        from shared.providers.particle.firmware import ParticleFirmware

        return ParticleFirmware(self.account, deadline, intelligent=self.intelligent_releases)

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The product's devices, or the account's own; see shared/providers/particle/devices.py."""
        from shared.providers.particle.api import ParticleApi
        from shared.providers.particle.devices import ParticleDirectory

        with ParticleApi(self.account, deadline) as api:
            yield ParticleDirectory(api, self.sync_groups, self.claim_user)

    def check(self) -> Iterator[Check]:
        """See shared/providers/particle/check.py."""
        from shared.providers.particle.check import check_product

        yield from check_product(self)
