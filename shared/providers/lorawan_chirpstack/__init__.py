"""ChirpStack: what its HTTP integration pushes, downlinks and devices through its API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    BaseUrl,
    BearerToken,
    Check,
    Checker,
    Command,
    Commander,
    Deadline,
    Destination,
    Directory,
    Group,
    LorawanEvent,
    LorawanReceiver,
    NotSupported,
    Outcome,
    PushedRequest,
    Syncer,
    check_application,
    locate_url,
    read_downlink,
    require_partner,
)
from shared.providers.lorawan_chirpstack.api import Account, ChirpstackApi, find_eui

EVENT_LIMIT = 40


def _check_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("expected the id that ChirpStack shows below the name, a UUID") from None


def _check_eui(text: str) -> str:
    if find_eui([text]) is None:
        raise ValueError("expected an EUI: 16 hex digits")
    return text.upper()


NO_API = "Set base_url and api_key: this goes through ChirpStack's API."


class LorawanChirpstack(Checker, LorawanReceiver, Commander, Syncer):
    """One application of a ChirpStack: how its HTTP integration proves who it is, and the key to its API, if any."""

    label: ClassVar[str] = "ChirpStack"
    docs: ClassVar[str] = (
        "A LoRaWAN application of ChirpStack: receives what its devices send, queues downlinks, syncs devices."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Application", ("application_id", "base_url", "api_key"), open=True),
        Group("Devices made there", ("device_profile_id", "join_eui")),
    )

    application_id: Annotated[str, AfterValidator(_check_id)] = Field(
        examples=["17c82e96-be03-4f38-aef3-f83d48582d97"]
    )
    """The id of the application, which ChirpStack shows below its name."""
    base_url: BaseUrl | None = Field(None, examples=["https://chirpstack.example.com:8080"], title="Address")
    """The address of ChirpStack's pages, without a path, where its API is too; needed for all but receiving."""
    api_key: BearerToken | None = Field(None, validate_default=True)
    """An API key of the tenant that the application is in."""
    device_profile_id: Annotated[str, AfterValidator(_check_id)] | None = Field(
        None, examples=["14855bf7-d10d-4aee-b618-ebfcb64dc7ad"], title="Device profile"
    )
    """The id of the device profile of devices that are made there; without it none are made."""
    join_eui: Annotated[str, AfterValidator(_check_eui)] = Field("0000000000000000", title="JoinEUI")
    """The JoinEUI of devices that are made there: 16 hex digits, as their vendor says."""

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("base_url") is not None:
            raise ValueError("give a key to the API at base_url")
        if key is None and info.data.get("sync_direction", "off") != "off":
            raise ValueError("device sync needs base_url and this key; or set sync_direction to off")
        return require_partner(key, "base_url", info)

    @model_validator(mode="before")
    @classmethod
    def _state_sync(cls, data: Any) -> Any:
        # The database plans syncs by settings->'sync_direction', so the default has to be stored.
        is_synced = isinstance(data, dict) and data.get("base_url") is not None
        return (
            {"sync_direction": "import" if is_synced else "off", **data} if isinstance(data, dict) else data
        )

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where the API key is sent."""
        return locate_url(config.get("base_url"))

    @property
    def account(self) -> Account:
        """What calls to the API need; NotSupported where they are not configured."""
        if self.base_url is None or self.api_key is None:
            raise NotSupported(NO_API)
        key, owner = self.api_key.get_secret_value(), self.identity.organization_id
        return Account(self.base_url, key, self.application_id, owner)

    def name_topic(self, request: PushedRequest) -> str | None:
        """`up`, `join`, `ack` …, which the address says."""
        named = next(iter(request.query.get("event", [])), "")
        return named if named.isidentifier() and len(named) <= EVENT_LIMIT else None

    def read_event(self, topic: str | None, body: bytes) -> LorawanEvent:
        """See shared/providers/lorawan_chirpstack/parse.py."""
        from shared.providers.lorawan_chirpstack.parse import read_event

        return read_event(topic, body, self.application_id)

    def send(self, command: Command) -> Outcome:
        """A downlink; see shared/providers/lorawan_chirpstack/send.py."""
        from shared.providers.lorawan_chirpstack.send import queue_downlink

        return queue_downlink(self.account, command, read_downlink(self, command))

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The application's devices; see shared/providers/lorawan_chirpstack/devices.py."""
        from shared.providers.lorawan_chirpstack.devices import Activation, ChirpstackDirectory

        with ChirpstackApi(self.account, deadline) as api:
            yield ChirpstackDirectory(api, Activation(self.join_eui, self.device_profile_id))

    def check(self) -> Iterator[Check]:
        """Where its HTTP integration posts to, and whether the API takes the key."""
        from shared.providers.lorawan_chirpstack.check import read_devices

        return check_application(self, self.base_url, lambda deadline: read_devices(self.account, deadline))
