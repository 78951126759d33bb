"""Golioth: pushed messages through its Pipelines, its management API for devices, state, commands and firmware."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, ClassVar

from pydantic import Field

from shared.provider import (
    BaseUrl,
    Batch,
    Check,
    Checker,
    CodecFields,
    Command,
    Commander,
    Credential,
    Deadline,
    Destination,
    DeviceSettings,
    DeviceState,
    Directory,
    Firmware,
    FirmwareKeeper,
    Group,
    Historian,
    Message,
    Outcome,
    Poller,
    PushedRequest,
    Receiver,
    SettingsKeeper,
    StateKeeper,
    StoredBody,
    Syncer,
    locate_url,
)
from shared.providers.golioth.api import Account, GoliothApi

BASE_URL = "https://api.golioth.io/v1"


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id of Golioth's, as its console shows it."""

_SYNC = (
    *("sync_direction", "sync_interval_seconds", "sync_tags", "sync_cohort", "sync_conflicts"),
    *("sync_create_missing", "sync_update_existing", "sync_limit", "online_minutes"),
)
_POLLING = ("poll_state", "poll_logs", "poll_interval_seconds", "session_seconds")


class Golioth(
    Checker,
    Poller,
    Receiver,
    CodecFields,
    Commander,
    Syncer,
    StateKeeper,
    SettingsKeeper,
    Historian,
    FirmwareKeeper,
):
    """One project at Golioth: the key to its API, and how its pipelines prove who they are."""

    label: ClassVar[str] = "Golioth"
    docs: ClassVar[str] = (
        "A Golioth project: receives its pipelines' messages, syncs its devices, sends commands and firmware."
    )

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Project", ("api_key", "project_id", "golioth_organization_id", "base_url"), open=True),
        Group("Device sync", _SYNC),
        Group("Polling", _POLLING),
    )

    api_key: Credential
    """An API key of the project, from the console."""
    project_id: Name = Field(examples=["acme-sensors"])
    """The id of the project, from the console."""
    golioth_organization_id: Name | None = Field(None, examples=["acme"], title="Golioth organization")
    """Golioth's organization that the project is in; needed for cohorts, deployments and packages."""
    base_url: BaseUrl = BASE_URL
    """Where Golioth's management API is."""

    sync_tags: tuple[Name, ...] = Field((), max_length=20, title="Tags")
    """Only devices that carry one of these tags (ids of Golioth's)."""
    sync_cohort: Name | None = Field(None, title="Cohort")
    """Only devices in this cohort."""

    poll_interval_seconds: Annotated[float, Field(ge=10, le=86_400)] = 60
    """How long after a look at logs and device state the next one is due."""
    poll_logs: bool = False
    """Whether device logs are stored as messages of kind log."""
    poll_state: bool = True
    """Whether coming online or offline, settings and firmware are looked for; Golioth pushes none of them."""

    @classmethod
    def locate(cls, config: Mapping[str, object]) -> Destination:
        """Where the API key is sent."""
        return locate_url(config.get("base_url", BASE_URL))

    @property
    def account(self) -> Account:
        """What calls to Golioth's API need."""
        return Account(
            self.base_url,
            self.api_key.get_secret_value(),
            self.project_id,
            self.golioth_organization_id,
            self.identity.organization_id,
        )

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """One look at logs and devices, as far as the config asks for it; see shared/providers/golioth/session.py."""
        from shared.providers.golioth.session import FAIR_SECONDS, PollPlan, poll_project

        plan = PollPlan(
            account=self.account,
            logs=self.poll_logs,
            devices=self.poll_state,
            fair_seconds=min(self.session_seconds or FAIR_SECONDS, FAIR_SECONDS),
            tags=frozenset(self.sync_tags),
            cohort=self.sync_cohort,
        )
        yield from poll_project(plan, state, self.limit_session(deadline))

    def send(self, command: Command) -> Outcome:
        """A remote procedure call: the name is the method, the payload its list of parameters."""
        from shared.providers.golioth.send import call_device

        return call_device(self.account, command)

    def history(
        self, begin: datetime, end: datetime, state: Mapping[str, object], deadline: Deadline
    ) -> Iterator[Batch]:
        """LightDB Stream, read back; see shared/providers/golioth/history.py."""
        from shared.providers.golioth.history import read_stream

        with GoliothApi(self.account, deadline) as api:
            yield from read_stream(api, begin, end, state)

    def state(self, device: str) -> DeviceState:
        """LightDB State; see shared/providers/golioth/state.py."""
        from shared.providers.golioth.state import LightDbState

        return LightDbState(self.account, device)

    def settings(self) -> DeviceSettings:
        """The project's settings; see shared/providers/golioth/settings.py."""
        from shared.providers.golioth.settings import ProjectSettings

        return ProjectSettings(self.account)

    def firmware(self, deadline: Deadline) -> Firmware:
        """See shared/providers/golioth/firmware.py."""
        from shared.providers.golioth.firmware import GoliothFirmware

        return GoliothFirmware(self.account, deadline)

    def parse(self, request: PushedRequest) -> list[Message]:
        """The messages in what a pipeline pushed; Unauthenticated where it is of another project."""
        from shared.providers.golioth.parse import parse_request

        decode = self.decode_pushed if self.codec else None
        return parse_request(request, self.project_id, time.time(), decode)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """Pushed bodies by the codec, or else as JSON; what was polled is no device's body."""
        from shared.providers.golioth.stored import is_pushed, read_stored

        pushed = [each for each in stored if is_pushed(each)]
        decoded = iter(super().decode(pushed) if self.codec else map(read_stored, pushed))
        return [next(decoded) if is_pushed(each) else [] for each in stored]

    def check(self) -> Iterator[Check]:
        """Resolve, ask Golioth for the project, list devices."""
        from shared.providers.golioth.check import check_project

        yield from check_project(self.account)

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The project's devices."""
        from shared.providers.golioth.devices import GoliothDirectory

        with GoliothApi(self.account, deadline) as api:
            yield GoliothDirectory(api, self.sync_tags, self.sync_cohort)
