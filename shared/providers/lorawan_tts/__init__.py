"""The Things Stack: what its webhooks push, and downlinks through its API."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

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
    Outcome,
    locate_url,
    read_downlink,
)
from shared.providers.lorawan_tts.api import Account

BASE_URL = "https://eu1.cloud.thethings.network"
ID = re.compile(r"[a-z0-9](?:-?[a-z0-9]){1,35}")


def _check_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError("expected the id that the console shows: small letters, digits and single dashes")
    return text


def _trim_slash(url: str) -> str:
    return url.rstrip("/")


Host = Annotated[EndpointUrl, AfterValidator(_trim_slash)]


class LorawanTts(Checker, LorawanReceiver, Commander):
    """One application of The Things Stack: the key to its API, and how its webhooks prove who they are."""

    label: ClassVar[str] = "The Things Stack"
    docs: ClassVar[str] = (
        "A LoRaWAN application of The Things Stack: receives what its devices send, queues downlinks for them."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Application", ("application_id", "api_key", "base_url", "identity_url"), open=True),
    )

    application_id: Annotated[str, AfterValidator(_check_id)] = Field(examples=["acme-sensors"])
    """The id of the application, from the console."""
    api_key: BearerToken
    """An API key of the application, with the rights that docs/lorawan.md lists."""
    base_url: Host = BASE_URL
    """The address of the cluster, without a path."""
    identity_url: Host | None = Field(None, examples=["https://eu1.cloud.thethings.network"])
    """The address of the Identity Server, where that is another than the cluster's."""

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where the API key is sent: to the cluster, and to where identities are."""
        base_url = config.get("base_url", BASE_URL)
        return (*locate_url(base_url), *locate_url(config.get("identity_url") or base_url))

    @property
    def account(self) -> Account:
        """What calls to the API need."""
        return Account(
            self.base_url,
            self.identity_url or self.base_url,
            self.api_key.get_secret_value(),
            self.application_id,
            self.identity.organization_id,
        )

    def read_event(self, topic: str | None, body: bytes) -> LorawanEvent:  # noqa: ARG002 - the body says what it is
        """See shared/providers/lorawan_tts/parse.py."""
        from shared.providers.lorawan_tts.parse import read_event

        return read_event(body, self.application_id)

    def send(self, command: Command) -> Outcome:
        """A downlink; see shared/providers/lorawan_tts/send.py."""
        from shared.providers.lorawan_tts.send import queue_downlink

        return queue_downlink(self.account, command, read_downlink(self, command))

    def check(self) -> Iterator[Check]:
        """Where its webhook posts to, and whether the key is accepted."""
        from shared.providers.lorawan_tts.check import check_application

        yield from check_application(self)
