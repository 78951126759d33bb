"""Golioth: pushed messages through its Pipelines, its management API for devices, state, commands and firmware."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, Field, SecretStr, ValidationInfo, field_validator

from shared.deadline import Deadline
from shared.endpoint import Credential, EndpointUrl, HeaderName
from shared.fleet import Directory
from shared.golioth.api import Account, GoliothApi
from shared.poller import Poller
from shared.provider import Check, GeneratedSecret
from shared.signing import make_secret
from shared.syncer import Syncer

BASE_URL = "https://api.golioth.io/v1"


def _trim_slash(url: str) -> str:
    return url.rstrip("/")


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._:-]+$")]
"""An id of Golioth's, as its console shows it."""


class Golioth(Poller, Syncer):
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
