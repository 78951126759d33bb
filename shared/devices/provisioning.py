"""Provisioning a device: made here and at its provider, with the credentials it signs in there with.

What is about to be done is written down first. Should anything be cut off after that, the scheduler completes it or,
where the provider refuses, undoes it.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from typing_extensions import TypedDict

from shared.devices.certificate_requests import check_request, make_request
from shared.devices.provisioning_bodies import Begun, NewProvisioning, Provisioned
from shared.devices.provisioning_steps import Provisioning, carry_out, seal_key
from shared.integrations.remote_calls import reach_provider
from shared.provider import Directory, Identity, NewDevice, Syncer
from shared.runtime.deadline import Deadline
from shared.runtime.errors import BadRequest, Conflict, FieldError, OutsideError, ProviderRefused, Unavailable
from shared.runtime.log import get_log
from shared.runtime.web.call import Call

SECONDS = 20.0
"""For everything that is asked of the provider."""

LEASE_SECONDS = 60
"""How long the scheduler leaves it to the call."""

KEY_BYTES = 16
"""As hex 32 characters, the longest key that the device libraries in use take by default."""


class _Known(TypedDict):
    """A device that is here already."""

    id: str
    external_id: str
    name: str
    metadata: dict[str, object]


def provision_device(call: Call, body: NewProvisioning) -> Provisioned:
    """Make a device here and at the provider, with its credentials, which no other reply shows.

    202 where the provider's answer got lost: the scheduler then completes it with these credentials, or undoes it.
    Errors: NotSupported, Conflict where the device is there already, OutsideErrors with nothing done.
    """
    provider = reach_provider(call, Syncer)
    with provider.devices(Deadline(SECONDS)) as directory:
        known = _read_device(call, body.device_id) if body.device_id else None
        wanted = _describe_wanted(body, known)
        _require_absent(directory, wanted, known)
        organization_id = provider.identity.organization_id
        provisioning_id: str = call.database.call("issue_id", p_organization_id=organization_id)
        provisioning, private_key = _plan(directory, provisioning_id, wanted, body)
        if body.ca_certificate:
            directory.add_authority(body.ca_certificate)
        written = _describe(body, provisioning, provider.identity)
        begun: Begun = call.database.call(
            "begin_provisioning", p_integration_id=call.integration_id, p_begun=written
        )
        credentials = _show_credentials(directory, body.credentials, provisioning, private_key)
        done, certificate = _carry_out(call, directory, provisioning)
    if done is None:
        call.status = HTTPStatus.ACCEPTED
    if credentials and certificate:
        credentials["certificate"] = certificate
    return {**(done or begun), "credentials": credentials}


def _read_device(call: Call, device_id: uuid.UUID) -> _Known:
    missing = "There is no such device here, or it is not visible to you."
    return call.database.read_one(_Known, "devices", {"id": f"eq.{device_id}"}, missing)


def _describe_wanted(body: NewProvisioning, known: _Known | None) -> NewDevice:
    metadata = known["metadata"] if known else {}
    return NewDevice(
        body.name or (known["name"] if known else ""),
        _list_texts(body.hardware_ids, metadata.get("hardware_ids")),
        _list_texts(body.tags, metadata.get("tags")),
        body.cohort,
    )


def _plan(
    directory: Directory, provisioning_id: str, wanted: NewDevice, body: NewProvisioning
) -> tuple[Provisioning, str | None]:
    """What is to be done, and the private key that was made for it, which is kept nowhere."""
    directory.check_credentials(wanted, body.credentials)
    if body.csr and not directory.makes_certificates:
        words = (
            "This provider makes no certificates: it accepts those of an authority of yours (ca_certificate)."
        )
        raise BadRequest(errors=[FieldError("csr", words)])
    if body.credentials == "certificate" and directory.makes_certificates:
        csr, private_key = (check_request(body.csr), None) if body.csr else make_request(wanted.name)
        return Provisioning(provisioning_id, wanted, csr=csr), private_key
    if body.credentials != "psk":
        return Provisioning(provisioning_id, wanted), None
    identity = directory.name_identity(wanted.name)
    return Provisioning(provisioning_id, wanted, identity, secrets.token_hex(KEY_BYTES)), None


def _list_texts(asked: list[str] | None, known: Any) -> tuple[str, ...]:
    texts = asked if asked is not None else known if isinstance(known, list) else []
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str) and text))


def _require_absent(directory: Directory, wanted: NewDevice, known: _Known | None) -> None:
    # Looked for before anything is written down: what is found there later can then only be of our own making.
    found = directory.find(wanted) or (known and directory.get(known["external_id"]))
    if found:
        raise Conflict(
            f"There is a device with this name or hardware id at the provider already: {found.name}; a sync links it."
        )


def _describe(body: NewProvisioning, provisioning: Provisioning, identity: Identity) -> dict[str, object]:
    wanted, key = provisioning.wanted, provisioning.key
    metadata: dict[str, object] = {"hardware_ids": wanted.hardware_ids, "tags": sorted(wanted.tags)}
    if body.serial_number:
        metadata["serial_number"] = body.serial_number
    return {
        "id": provisioning.id,
        "device_id": body.device_id,
        "request": asdict(wanted) | ({"csr": provisioning.csr} if provisioning.csr else {}),
        "metadata": metadata,
        "credentials": body.credentials,
        "identity": provisioning.identity,
        "sealed": seal_key(identity.organization_id, provisioning.id, key) if key else None,
        "lease_seconds": LEASE_SECONDS,
    }


def _show_credentials(
    directory: Directory, kind: str, provisioning: Provisioning, private_key: str | None
) -> dict[str, str] | None:
    if provisioning.identity and provisioning.key:
        return {"type": kind, "identity": provisioning.identity, "pre_shared_key": provisioning.key}
    if kind == "certificate":
        shown = {"type": kind, **directory.describe_certificate(provisioning.wanted.name)}
        return shown | ({"private_key": private_key} if private_key else {})
    return None


def _carry_out(
    call: Call, directory: Directory, provisioning: Provisioning
) -> tuple[Begun | None, str | None]:
    """The device as it is now, with its certificate; None where it is not known what the provider did.

    ProviderRefused where it refused.
    """
    try:
        ending = carry_out(directory, provisioning, None)
        finished: Begun = call.database.call(
            "finish_provisioning",
            p_integration_id=call.integration_id,
            p_provisioning_id=provisioning.id,
            **ending.describe(),
        )
    except (OutsideError, Unavailable) as problem:
        get_log().warning("a provisioning is left to the scheduler", code=problem.code, detail=problem.detail)
        return None, None
    error = finished["provisioning"]["error"]
    if error:
        raise ProviderRefused(error)
    return finished, ending.certificate
