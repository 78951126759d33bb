"""ChirpStack: what its HTTP integration pushes, and downlinks through its API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator

from shared.provider import (
    BearerToken,
    Check,
    Checker,
    Command,
    Commander,
    Destination,
    EndpointUrl,
    Group,
    LorawanEvent,
    LorawanReceiver,
    NotSupported,
    Outcome,
    PushedRequest,
    locate_url,
    read_downlink,
    require_partner,
)
from shared.providers.lorawan_chirpstack.api import Account

EVENT_LIMIT = 40


def _check_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError(
            "expected the id that ChirpStack shows below the application's name, a UUID"
        ) from None


def _trim_slash(url: str) -> str:
    return url.rstrip("/")


NO_API = "Set base_url and api_key: this goes through ChirpStack's API."


class LorawanChirpstack(Checker, LorawanReceiver, Commander):
    """One application of a ChirpStack: how its HTTP integration proves who it is, and the key to its API, if any."""

    label: ClassVar[str] = "ChirpStack"
    docs: ClassVar[str] = (
        "A LoRaWAN application of ChirpStack: receives what its devices send, queues downlinks for them."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Application", ("application_id", "base_url", "api_key"), open=True),
    )

    application_id: Annotated[str, AfterValidator(_check_id)] = Field(
        examples=["17c82e96-be03-4f38-aef3-f83d48582d97"]
    )
    """The id of the application, which ChirpStack shows below its name."""
    base_url: Annotated[EndpointUrl, AfterValidator(_trim_slash)] | None = Field(
        None, examples=["https://chirpstack.example.com:8080"], title="Address"
    )
    """The address of ChirpStack's pages, without a path, where its API is too; needed for all but receiving."""
    api_key: BearerToken | None = Field(None, validate_default=True)
    """An API key of the tenant that the application is in."""

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("base_url") is not None:
            raise ValueError("give a key to the API at base_url")
        return require_partner(key, "base_url", info)

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

    def check(self) -> Iterator[Check]:
        """Where its HTTP integration posts to, and whether the API takes the key."""
        from shared.providers.lorawan_chirpstack.check import check_application

        yield from check_application(self)
