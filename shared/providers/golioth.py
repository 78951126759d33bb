"""Golioth: pushed messages through its Pipelines, its management API for devices, state, commands and firmware."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from shared.deadline import Deadline
from shared.endpoint import Credential, EndpointUrl
from shared.firmware import Firmware
from shared.golioth.api import Account, GoliothApi
from shared.messages import Command, Message
from shared.poller import Poller
from shared.provider import Batch, Outcome, PushedRequest
from shared.receiver import Receiver
from shared.remote import DeviceState, Settings

BASE_URL = "https://api.golioth.io/v1"
SYNC_SECONDS = 900
SHORTEST_SYNC_SECONDS = 60


def _trim_slash(url: str) -> str:
    return url.rstrip("/")


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id of Golioth's, as its console shows it."""


class Golioth(Poller, Receiver):
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

    sync_direction: Literal["off", "import", "export", "both"] = "import"
    """Which way devices are brought into step: from Golioth to here, from here to Golioth, or both ways."""
    sync_interval_seconds: Annotated[int, Field(ge=SHORTEST_SYNC_SECONDS, le=604_800)] = SYNC_SECONDS
    sync_conflicts: Literal["local", "remote", "newest", "manual"] = "manual"
    """Who has the say where both sides changed a name or tags; manual records it and changes neither."""
    sync_create_missing: bool = True
    sync_update_existing: bool = True
    sync_tags: tuple[Name, ...] = Field((), max_length=20)
    """Only devices that carry one of these tags (ids of Golioth's)."""
    sync_cohort: Name | None = None
    """Only devices in this cohort."""
    sync_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """At most so many new devices in one run."""

    poll_interval_seconds: Annotated[float, Field(ge=10, le=86_400)] = 60
    """How long after a look at logs and device state the next one is due."""
    poll_logs: bool = False
    """Whether device logs are stored as messages of kind log."""
    poll_state: bool = True
    """Whether coming online or offline, settings and firmware are looked for; Golioth pushes none of them."""
    online_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    """A device counts as online for so long after its last report, where nothing better is known."""

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
