"""What callers send who make devices, and what they get."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from shared.devices.bodies import Text
from shared.provider import Credentials
from shared.runtime.bodies import Body, Moment, Uuid

CSR = r"^-----BEGIN (NEW )?CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]+-----END (NEW )?CERTIFICATE REQUEST-----\s*$"


class NewProvisioning(Body):
    """The body of POST …/devices: a new device, or with `device_id` one that is here already."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["name"]}, {"required": ["device_id"]}]}
    )

    name: Text | None = None
    device_id: uuid.UUID | None = None
    hardware_ids: list[Text] | None = Field(None, max_length=20)
    tags: list[Text] | None = Field(None, max_length=20)
    """Ids of tags that the provider has."""
    cohort: Text | None = None
    serial_number: Text | None = None
    credentials: Credentials = "psk"
    """What it signs in with: a pre-shared key that we make, a certificate of your own authority, or what it has."""
    ca_certificate: str | None = Field(None, min_length=1, max_length=65_536, pattern=r"^[^\x00]*$")
    """With certificate: the authority (PEM), where the provider does not know it yet."""
    csr: str | None = Field(None, min_length=1, max_length=16_384, pattern=CSR)
    """With certificate, where the provider makes them: a request (PEM) for the device's own key; else one is made."""

    @model_validator(mode="after")
    def _require_name(self) -> NewProvisioning:
        if self.name is None and self.device_id is None:
            raise ValueError("give the new device a name, or the device_id of one that is here")
        if self.ca_certificate and self.credentials != "certificate":
            raise ValueError("ca_certificate goes with credentials: certificate")
        if self.csr and (self.credentials != "certificate" or self.ca_certificate):
            raise ValueError("csr goes with credentials: certificate, and without ca_certificate")
        return self


class DeviceRow(TypedDict):
    """One device as it is here; `external_id` is its id at the provider, once it is there."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid | None
    external_id: str
    name: str
    device_type: str | None
    status: Literal["online", "offline", "unknown"]
    last_seen_at: Moment | None
    firmware_version: str | None
    metadata: dict[str, object]
    created_at: Moment
    updated_at: Moment
    edited_at: Moment
    silent_since: Moment | None
    """Since when it has said nothing, where it is taken for offline because of that."""


class ProvisioningRow(TypedDict):
    """What was to be created at the provider; `pending` is completed, or undone, by the scheduler."""

    id: Uuid
    organization_id: Uuid
    integration_id: Uuid
    device_id: Uuid | None
    request: dict[str, object]
    credentials: Credentials
    identity: str | None
    status: Literal["pending", "done", "failed"]
    error: str | None
    due_at: Moment
    created_by: Uuid | None
    created_at: Moment
    finished_at: Moment | None


class Begun(TypedDict):
    """What `begin_provisioning` and `finish_provisioning` answer."""

    device: DeviceRow
    provisioning: ProvisioningRow


class Provisioned(Begun):
    """The device, and what it signs in with: shown this once."""

    credentials: dict[str, str] | None
