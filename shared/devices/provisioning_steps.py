"""The part of a provisioning that happens at the provider; safe to do again after any part of it was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NotRequired, Self, TypedDict

from shared.provider import Directory, NewDevice, RemoteDevice
from shared.runtime.errors import CredentialsRefused, ProviderRefused
from shared.runtime.vault.ring import SealContext, load_vault

SEALED_AS = "device_credentials"
"""The type that the seals of device credentials are bound to."""


class WantedDevice(TypedDict):
    """The device that is to be made, as `begin_provisioning` took it down."""

    name: str
    hardware_ids: list[str]
    tags: list[str]
    cohort: NotRequired[str | None]
    csr: NotRequired[str]


class LeasedProvisioning(TypedDict):
    """What `lease_provisionings` answers."""

    id: str
    organization_id: str
    device_id: str
    request: WantedDevice
    credentials: str
    identity: str | None
    sealed: str | None


@dataclass(frozen=True, slots=True)
class Provisioning:
    """One device that is to be at the provider, with its key or its request for a certificate, if any."""

    id: str
    wanted: NewDevice
    identity: str | None = None
    key: str | None = field(default=None, repr=False)
    csr: str | None = None

    @classmethod
    def from_row(cls, row: LeasedProvisioning) -> Self:
        """A row of `lease_provisionings`; VaultError where its key does not open."""
        request = row["request"]
        wanted = NewDevice(
            request["name"],
            tuple(request["hardware_ids"]),
            tuple(request["tags"]),
            request.get("cohort"),
        )
        key = open_key(row) if row["sealed"] else None
        return cls(row["id"], wanted, row["identity"], key, request.get("csr"))


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended: with the device as the provider has it, or with the reason why it is undone."""

    remote: RemoteDevice | None = None
    error: str | None = None
    certificate: str | None = None
    """That the provider has made, in PEM."""

    def describe(self) -> dict[str, object]:
        """The arguments of the SQL functions."""
        return {"p_remote": self.remote, "p_error": self.error}


def seal_key(organization_id: str, provisioning_id: str, key: str) -> str:
    """A device's key, sealed for the row it belongs to."""
    return load_vault().seal({"pre_shared_key": key}, _bind_key(organization_id, provisioning_id))


def open_key(row: LeasedProvisioning) -> str:
    """The key that `seal_key` was given; VaultError where it does not open."""
    context = _bind_key(row["organization_id"], row["id"])
    return str(load_vault().open(row["sealed"] or "", context)["pre_shared_key"])


def _bind_key(organization_id: str, provisioning_id: str) -> SealContext:
    # As `read_stale_seals` gives them to whoever re-seals them.
    return SealContext(organization_id, provisioning_id, SEALED_AS, "kept", 1)


def carry_out(directory: Directory, provisioning: Provisioning, found: RemoteDevice | None) -> Ending:
    """Create the device unless an earlier try has (`found`), and give it its key or its certificate.

    What the provider refuses for good, or for want of a right, is undone there too. Raises OutsideErrors that may pass;
    the device may be there then or not.
    """
    try:
        remote = found or directory.create(provisioning.wanted)
    except (ProviderRefused, CredentialsRefused) as refusal:
        return Ending(error=_require_final(refusal))
    try:
        remote = directory.settle(remote.id, provisioning.wanted) or remote
        certificate = _add_credentials(directory, provisioning, remote, again=found is not None)
        return Ending(remote, certificate=certificate)
    except (ProviderRefused, CredentialsRefused) as refusal:
        reason = _require_final(refusal)
        directory.delete(remote.id)
        return Ending(error=reason)


def _add_credentials(
    directory: Directory, provisioning: Provisioning, remote: RemoteDevice, *, again: bool
) -> str | None:
    """The certificate that was made, if any."""
    if provisioning.identity and provisioning.key:
        directory.add_key(remote.id, provisioning.identity, provisioning.key)
    return directory.certify(remote.id, provisioning.csr, again=again) if provisioning.csr else None


def complete(directory: Directory, provisioning: Provisioning) -> Ending:
    """Go on with one that was begun: it is looked for first."""
    return carry_out(directory, provisioning, directory.find(provisioning.wanted))


def _require_final(refusal: ProviderRefused | CredentialsRefused) -> str:
    """The reason, where trying again would not help; raises `refusal` where it might.

    Credentials that are refused are final here alone: whoever waits for the device is told, and begins anew.
    """
    if isinstance(refusal, ProviderRefused) and not refusal.is_final:
        raise refusal
    return refusal.detail
