"""Golioth: pushed messages through its Pipelines, its management API for devices, state, commands and firmware."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from shared.deadline import Deadline
from shared.endpoint import Credential, EndpointUrl
from shared.firmware import Firmware
from shared.fleet import Directory
from shared.golioth.api import Account, GoliothApi
from shared.messages import Command, Message
from shared.poller import Poller
from shared.provider import Batch, Check, Outcome, PushedRequest
from shared.receiver import Receiver
from shared.remote import DeviceState, Settings
from shared.syncer import Syncer

BASE_URL = "https://api.golioth.io/v1"


def _trim_slash(url: str) -> str:
    return url.rstrip("/")


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id of Golioth's, as its console shows it."""


class Golioth(Poller, Receiver, Syncer):
    """One project at Golioth: the key to its API, and how its pipelines prove who they are."""

    label: ClassVar[str] = "Golioth"
    docs: ClassVar[str] = (
        "A Golioth project: receives its pipelines' messages, syncs its devices, sends commands and firmware."
    )

    api_key: Credential
    """An API key of the project, from the console."""
    project_id: Name
    golioth_organization_id: Name | None = None
    """Golioth's organization that the project is in; needed for cohorts, deployments and packages."""
    base_url: Annotated[EndpointUrl, AfterValidator(_trim_slash)] = BASE_URL

    auto_provision_devices: bool = True
    """Whether a message of an unknown device makes the device."""

    sync_tags: tuple[Name, ...] = Field((), max_length=20)
    """Only devices that carry one of these tags (ids of Golioth's)."""
    sync_cohort: Name | None = None
    """Only devices in this cohort."""

    poll_interval_seconds: Annotated[float, Field(ge=10, le=86_400)] = 60
    """How long after a look at logs and device state the next one is due."""
    poll_logs: bool = False
    """Whether device logs are stored as messages of kind log."""
    poll_state: bool = True
    """Whether coming online or offline, settings and firmware are looked for; Golioth pushes none of them."""

    @property
    def account(self) -> Account:
        """What calls to Golioth's API need."""
        return Account(
            self.base_url, self.api_key.get_secret_value(), self.project_id, self.golioth_organization_id
        )

    def session(self, state: dict[str, Any], deadline: Deadline) -> Iterator[Batch]:
        """One look at logs and devices, as far as the config asks for it; see shared/golioth/polling.py."""
        from shared.golioth.polling import FAIR_SECONDS, Plan, poll_project

        plan = Plan(
            account=self.account,
            logs=self.poll_logs,
            devices=self.poll_state,
            online=timedelta(minutes=self.online_minutes),
            fair_seconds=min(self.session_seconds or FAIR_SECONDS, FAIR_SECONDS),
            tags=frozenset(self.sync_tags),
            cohort=self.sync_cohort,
        )
        yield from poll_project(plan, state, self.limit_session(deadline))

    def send(self, command: Command) -> Outcome:
        """A remote procedure call: the name is the method, the payload its list of parameters."""
        from shared.golioth.commands import call_device

        return call_device(self.account, command)

    def history(
        self, begin: datetime, end: datetime, state: dict[str, Any], deadline: Deadline
    ) -> Iterator[Batch]:
        """LightDB Stream, read back; see shared/golioth/stream.py."""
        from shared.golioth.stream import read_stream

        with GoliothApi(self.account, deadline) as api:
            yield from read_stream(api, begin, end, state)

    def state(self, device: str) -> DeviceState:
        """LightDB State; see shared/golioth/state.py."""
        from shared.golioth.state import LightDbState

        return LightDbState(self.account, device)

    def settings(self) -> Settings:
        """The project's settings; see shared/golioth/settings.py."""
        from shared.golioth.settings import ProjectSettings

        return ProjectSettings(self.account)

    def firmware(self, deadline: Deadline) -> Firmware:
        """See shared/golioth/firmware.py."""
        from shared.golioth.firmware import GoliothFirmware

        return GoliothFirmware(self.account, deadline)

    def parse(self, request: PushedRequest) -> list[Message]:
        """The messages in what a pipeline pushed; Unauthenticated where it is of another project."""
        from shared.golioth.events import parse_request

        return parse_request(request, self.project_id, time.time())

    def check(self) -> Iterator[Check]:
        """Resolve, ask Golioth for the project, list devices."""
        from shared.golioth.checks import check_project

        yield from check_project(self.account)

    @contextmanager
    def devices(self, deadline: Deadline) -> Iterator[Directory]:
        """The project's devices."""
        from shared.golioth.directory import GoliothDirectory

        with GoliothApi(self.account, deadline) as api:
            yield GoliothDirectory(api, self.sync_tags, self.sync_cohort)
