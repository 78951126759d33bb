"""Golioth: pushed messages through its Pipelines, its management API for devices, state, commands and firmware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationInfo, field_validator

from shared.deadline import Deadline
from shared.endpoint import Credential, EndpointUrl, HeaderName
from shared.firmware import Firmware
from shared.golioth.api import Account, GoliothApi
from shared.messages import Command
from shared.poller import Poller
from shared.provider import Batch, GeneratedSecret, Outcome
from shared.remote import DeviceState, Settings
from shared.signing import make_secret

BASE_URL = "https://api.golioth.io/v1"
SYNC_SECONDS = 900
SHORTEST_SYNC_SECONDS = 60


def _trim_slash(url: str) -> str:
    return url.rstrip("/")


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id of Golioth's, as its console shows it."""


class Golioth(Poller):
    """One project at Golioth: the key to its API, and how its pipelines prove who they are."""

    label: ClassVar[str] = "Golioth"
    docs: ClassVar[str] = (
        "A Golioth project: receives its pipelines' messages, syncs its devices, sends commands and firmware."
    )
    generated: ClassVar[Mapping[str, GeneratedSecret]] = {
        "webhook_secret": GeneratedSecret(
            make_secret, "previous_webhook_secret", "previous_webhook_secret_until"
        )
    }

    api_key: Credential
    """An API key of the project, from the console."""
    project_id: Name
    golioth_organization_id: Name | None = None
    """Golioth's organization that the project is in; needed for cohorts, deployments and packages."""
    base_url: Annotated[EndpointUrl, AfterValidator(_trim_slash)] = BASE_URL

    webhook_authentication: Literal["header", "standard-webhooks", "hmac-sha256", "basic"] = "header"
    """How pushed requests prove who sends them; Golioth's own pipelines can send a header."""
    webhook_secret: Credential | None = None
    """What they prove it with. Left out, one is made and shown once; null refuses all pushed requests."""
    webhook_secret_header: HeaderName = "X-Webhook-Secret"  # noqa: S105 - the name of a header
    """The header that carries the secret, where the authentication is header."""
    webhook_username: Annotated[str, Field(max_length=1024)] | None = None
    """The user name, where the authentication is basic."""
    previous_webhook_secret: Credential | None = None
    """Accepted too while the pipelines change over to webhook_secret."""
    previous_webhook_secret_until: AwareDatetime | None = None
    """From then on the previous secret is not accepted any more."""
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

    @field_validator("previous_webhook_secret")
    @classmethod
    def _check_previous(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("webhook_secret", "") is None:
            raise ValueError("it goes with webhook_secret, which is not set")
        return value

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
