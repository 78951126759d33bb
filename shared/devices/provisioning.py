"""The call that makes a device: here, at its provider, and the credentials it signs in there with.

What is about to be done is written down first. Should anything be cut off after that, the scheduler completes it or,
where the provider refuses, undoes it.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.devices.provisioning_steps import Provisioning, carry_out, seal_key
from shared.integrations.bodies import VISIBLE
from shared.integrations.records import read_sealed
from shared.integrations.scope import read_id
from shared.integrations.sealing import open_provider
from shared.provider.directory import Directory, NewDevice
from shared.provider.messages import Identity
from shared.runtime.database.client import Database, as_user
from shared.runtime.deadline import Deadline
from shared.runtime.errors import Conflict, OutsideError, ProviderRefused, Unavailable
from shared.runtime.log import get_log
from shared.runtime.web.rate_limits import WRITES, take_tokens
from shared.runtime.web.routing import Call, Reply, Router

SECONDS = 20.0
"""For everything that is asked of the provider."""

LEASE_SECONDS = 60
"""How long the scheduler leaves it to the call."""

KEY_BYTES = 16
"""As hex 32 characters, the longest key that the device libraries in use take by default."""

Text = Annotated[str, Field(min_length=1, max_length=200, pattern=f"^{VISIBLE}$")]


class NewProvisioning(BaseModel):
    """The body of POST …/devices: a new device, or with `device_id` one that is here already."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: Text | None = None
    device_id: uuid.UUID | None = None
    hardware_ids: list[Text] | None = Field(None, max_length=20)
    tags: list[Text] | None = Field(None, max_length=20)
    """Ids of tags that the provider has."""
    cohort: Text | None = None
    serial_number: Text | None = None
    credentials: Literal["psk", "certificate", "none"] = "psk"
    """What it signs in with: a pre-shared key that we make, a certificate of your own authority, or what it has."""
    ca_certificate: str | None = Field(None, min_length=1, max_length=65_536, pattern=r"^[^\\x00]*$")
    """With certificate: the authority (PEM), where the provider does not know it yet."""

    @model_validator(mode="after")
    def _require_name(self) -> NewProvisioning:
        if self.name is None and self.device_id is None:
            raise ValueError("give the new device a name, or the device_id of one that is here")
        if self.ca_certificate and self.credentials != "certificate":
            raise ValueError("ca_certificate goes with credentials: certificate")
        return self


def add_provisioning_routes(router: Router) -> None:
    """The call below an integration's path."""
    router.route("POST", "/{id}/devices")(provision_device)


def provision_device(call: Call) -> Reply:
    """Make a device here and at the provider; 201 with its credentials, which no other reply shows.

    202 where the provider's answer got lost: the scheduler then completes it with these credentials, or undoes it.
    Errors: NotSupported, Conflict where the device is there already, OutsideErrors with nothing done.
    """
    _ = call.user
    integration_id, body = read_id(call), call.json(NewProvisioning)
    provider, database = open_provider(read_sealed(call, integration_id)), as_user(call.user.token)
    with provider.devices(Deadline(SECONDS)) as directory:
        take_tokens(call, database, WRITES, p_integration_id=integration_id)
        known = _read_device(database, body.device_id) if body.device_id else {}
        provisioning = _plan(directory, body, known)
        _require_absent(directory, provisioning.wanted, known)
        if body.ca_certificate:
            directory.add_authority(body.ca_certificate)
        written = _describe(body, provisioning, provider.identity)
        begun = database.call("begin_provisioning", p_integration_id=integration_id, p_begun=written)
        shown = {"credentials": _show_credentials(directory, body.credentials, provisioning)}
        done = _carry_out(database, directory, provisioning, begun)
    if done is None:
        return Reply(begun | shown, HTTPStatus.ACCEPTED)
    return Reply(done | shown, HTTPStatus.CREATED)


def _read_device(database: Database, device_id: uuid.UUID) -> dict[str, Any]:
    query = {"select": "id,external_id,name,metadata", "id": f"eq.{device_id}"}
    return database.read_one("devices", query, "There is no such device here, or it is not visible to you.")


def _plan(directory: Directory, body: NewProvisioning, known: Mapping[str, Any]) -> Provisioning:
    metadata = known.get("metadata", {})
    wanted = NewDevice(
        body.name or str(known["name"]),
        _list_texts(body.hardware_ids, metadata.get("hardware_ids")),
        _list_texts(body.tags, metadata.get("tags")),
        body.cohort,
    )
    if body.credentials != "psk":
        return Provisioning(str(uuid.uuid4()), wanted)
    identity = directory.name_identity(wanted.name)
    return Provisioning(str(uuid.uuid4()), wanted, identity, secrets.token_hex(KEY_BYTES))


def _list_texts(asked: list[str] | None, known: Any) -> tuple[str, ...]:
    texts = asked if asked is not None else known if isinstance(known, list) else []
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text))


def _require_absent(directory: Directory, wanted: NewDevice, known: Mapping[str, Any]) -> None:
    # Looked for before anything is written down: what is found there later can then only be of our own making.
    found = directory.find(wanted) or (known and directory.get(known["external_id"]))
    if found:
        raise Conflict(
            f"There is a device with this name or hardware id at the provider already: {found.name}; a sync links it."
        )


def _describe(body: NewProvisioning, provisioning: Provisioning, identity: Identity) -> dict[str, Any]:
    wanted, key = provisioning.wanted, provisioning.key
    metadata: dict[str, Any] = {"hardware_ids": wanted.hardware_ids, "tags": sorted(wanted.tags)}
    if body.serial_number:
        metadata["serial_number"] = body.serial_number
    return {
        "id": provisioning.id,
        "device_id": body.device_id,
        "request": wanted,
        "metadata": metadata,
        "credentials": body.credentials,
        "identity": provisioning.identity,
        "sealed": seal_key(identity.organization_id, provisioning.id, key) if key else None,
        "lease_seconds": LEASE_SECONDS,
    }


def _show_credentials(directory: Directory, kind: str, provisioning: Provisioning) -> dict[str, str] | None:
    if provisioning.identity and provisioning.key:
        return {"type": kind, "identity": provisioning.identity, "pre_shared_key": provisioning.key}
    if kind == "certificate":
        return {"type": kind, **directory.describe_certificate(provisioning.wanted.name)}
    return None


def _carry_out(
    database: Database, directory: Directory, provisioning: Provisioning, begun: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The device as it is now; None where it is not known what the provider did. ProviderRefused where it refused."""
    try:
        ending = carry_out(directory, provisioning, None)
        finished: dict[str, Any] = database.call(
            "finish_provisioning",
            p_integration_id=begun["provisioning"]["integration_id"],
            p_provisioning_id=provisioning.id,
            **ending.describe(),
        )
    except (OutsideError, Unavailable) as problem:
        get_log().warning("a provisioning is left to the scheduler", code=problem.code, detail=problem.detail)
        return None
    error = finished["provisioning"]["error"]
    if error:
        raise ProviderRefused(error)
    return finished
