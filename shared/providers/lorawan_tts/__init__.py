"""The Things Stack: what its webhooks push, and downlinks through its API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from shared.provider import (
    BaseUrl,
    Batch,
    BearerToken,
    Check,
    Checker,
    Command,
    Commander,
    Deadline,
    Destination,
    Directory,
    Group,
    Historian,
    LorawanEvent,
    LorawanReceiver,
    Message,
    NotSupported,
    Outcome,
    Syncer,
    check_application,
    locate_url,
    read_downlink,
)
from shared.providers.lorawan_tts.api import Account

BASE_URL = "https://eu1.cloud.thethings.network"
NO_KEY = "Set api_key: this goes through The Things Stack's API."
VISIBLE = r"^[A-Za-z0-9_-]+$"
_MADE = ("join_eui", "frequency_plan_id", "lorawan_version", "lorawan_phy_version")
_NUMBERS = ("0", "0_1", "0_2", "0_3", "0_4")
_VERSIONS: dict[str, Any] = {f"MAC_V1_{number}": f"1.{number.replace('_', '.')}" for number in _NUMBERS}
ID = re.compile(r"[a-z0-9](?:-?[a-z0-9]){1,35}")


def _check_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError("expected the id that the console shows: small letters, digits and single dashes")
    return text


def _check_eui(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{16}", text):
        raise ValueError("expected an EUI: 16 hex digits")
    return text.upper()


class LorawanTts(Checker, LorawanReceiver, Commander, Syncer, Historian):
    """One application of The Things Stack: the key to its API, and how its webhooks prove who they are."""

    label: ClassVar[str] = "The Things Stack"
    docs: ClassVar[str] = (
        "A LoRaWAN application of The Things Stack: receives what its devices send, queues downlinks, syncs devices."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Application", ("application_id", "api_key", "base_url", "identity_url"), open=True),
        Group("Devices made there", _MADE),
    )

    application_id: Annotated[str, AfterValidator(_check_id)] = Field(examples=["acme-sensors"])
    """The id of the application, from the console."""
    api_key: BearerToken | None = Field(None, validate_default=True)
    """An API key of the application, with the rights that docs/lorawan.md lists; needed for all but receiving."""
    base_url: BaseUrl = BASE_URL
    """The address of the cluster, without a path."""
    identity_url: BaseUrl | None = Field(None, examples=["https://eu1.cloud.thethings.network"])
    """The address of the Identity Server, where that is another than the cluster's."""
    join_eui: Annotated[str, AfterValidator(_check_eui)] = Field("0000000000000000", title="JoinEUI")
    """The JoinEUI of devices that are made there: 16 hex digits, as their vendor says."""
    frequency_plan_id: Annotated[str, Field(min_length=1, max_length=64, pattern=VISIBLE)] | None = Field(
        None, examples=["EU_863_870_TTN"], title="Frequency plan"
    )
    """Their frequency plan, by its id; without it none are made."""
    lorawan_version: Literal["MAC_V1_0", "MAC_V1_0_1", "MAC_V1_0_2", "MAC_V1_0_3", "MAC_V1_0_4"] = Field(
        "MAC_V1_0_3", title="LoRaWAN version", json_schema_extra={"x-labels": _VERSIONS}
    )
    """Their version of LoRaWAN."""
    lorawan_phy_version: Annotated[str, Field(min_length=1, max_length=64, pattern=VISIBLE)] = Field(
        "PHY_V1_0_3_REV_A", title="Regional parameters"
    )
    """Their version of the regional parameters, by its id."""

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if key is None and info.data.get("sync_direction", "off") != "off":
            raise ValueError("device sync needs a key; or set sync_direction to off")
        return key

    @model_validator(mode="before")
    @classmethod
    def _state_sync(cls, data: Any) -> Any:
        # The database plans syncs by settings->'sync_direction', so the default has to be stored.
        has_key = isinstance(data, dict) and data.get("api_key") is not None
        return {"sync_direction": "import" if has_key else "off", **data} if isinstance(data, dict) else data

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where the API key is sent: to the cluster, and to where identities are."""
        base_url = config.get("base_url", BASE_URL)
        return (*locate_url(base_url), *locate_url(config.get("identity_url") or base_url))

    @property
    def account(self) -> Account:
        """What calls to the API need; NotSupported without a key."""
        if self.api_key is None:
            raise NotSupported(NO_KEY)
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

    def history(
        self, begin: datetime, end: datetime, state: Mapping[str, object], deadline: Deadline
    ) -> Iterator[Batch]:
        """The Storage Integration, read back; see shared/providers/lorawan_tts/history.py."""
        from shared.providers.lorawan_tts.history import read_storage

        yield from read_storage(self.account, (begin, end), state, deadline, self._read_stored)

    def _read_stored(self, body: bytes) -> list[Message]:
        return self.read_stored(None, body, hashlib.sha256(body).hexdigest())

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The application's devices; see shared/providers/lorawan_tts/devices.py."""
        from shared.providers.lorawan_tts.api import TtsApi
        from shared.providers.lorawan_tts.devices import Activation, TtsDirectory

        how = Activation(
            self.join_eui, self.lorawan_version, self.lorawan_phy_version, self.frequency_plan_id
        )
        with (
            TtsApi(self.account, deadline, of_identities=True) as identities,
            TtsApi(self.account, deadline) as api,
        ):
            yield TtsDirectory(identities, api, how)

    def check(self) -> Iterator[Check]:
        """Where its webhook posts to, and whether the key is accepted."""
        from shared.providers.lorawan_tts.check import read_devices

        return check_application(
            self,
            self.base_url if self.api_key else None,
            lambda deadline: read_devices(self.account, deadline),
        )
