"""Firmware of a product at Particle: its versions are artifacts, its groups cohorts, a release is a deployment.

Source: Particle's list of its API's calls, which says no names of fields: they are those of its console and clients. A
release has no name and no id, and the same one twice is one: nothing can be found again, nor need it be. How a device
fares shows in the version that it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from shared.provider import (
    MAIN_PACKAGE,
    Artifact,
    BadRequest,
    BegunRollout,
    Cohort,
    Conflict,
    Deadline,
    Deployment,
    DeviceFirmware,
    FieldError,
    Firmware,
    Item,
    Listing,
    NewArtifact,
    NotFound,
    NotSupported,
    OtaEvent,
    Package,
    ProtocolFailed,
    ProviderRefused,
    RolloutPlan,
    RolloutTarget,
)
from shared.providers.particle.api import Account, ParticleApi
from shared.providers.particle.firmware_objects import (
    read_artifact,
    read_cohort,
    read_released,
    read_update,
    require_main,
    require_one,
    require_version,
    write_parts,
)

NO_PRODUCT = "Set product_id: firmware is rolled out to the devices of a product."
NO_WITHDRAWAL = (
    "Particle can't take back a release; start a rollout of the earlier version to this group"
    ' with "replace": true.'
)


class ParticleFirmware(Firmware):
    """See `Firmware`. `intelligent` releases reach devices that are online and ready at once."""

    def __init__(self, account: Account, deadline: Deadline, *, intelligent: bool) -> None:
        if not account.product_id:
            raise NotSupported(NO_PRODUCT)
        self._api, self._intelligent = ParticleApi(account, deadline), intelligent

    def __exit__(self, *details: object) -> None:
        """Close the connection."""
        self._api.__exit__(*details)

    def list_artifacts(self, after: str | None) -> Listing[Artifact]:
        """See `Firmware`; all at once."""
        _refuse_cursor(after)
        return Listing([read_artifact(each) for each in self._list("firmware")])

    def read_artifact(self, artifact_id: str) -> Artifact:
        """See `Firmware`: the id is the version."""
        return read_artifact(Item(self._call("GET", "firmware", require_version(artifact_id, "artifact_id"))))

    def has_version(self, package: str, version: str) -> bool:
        """See `Firmware`."""
        require_main(package)
        try:
            self.read_artifact(require_version(version, "version"))
        except NotFound:
            return False
        return True

    def add_artifact(self, new: NewArtifact) -> Artifact:
        """See `Firmware`; tried once where Particle may have it after all. The image has the same version within."""
        require_main(new.package)
        version = require_version(new.version, "version")
        fields = {"version": version, "title": f"Version {version}"}
        with _translated_refusals():
            form = write_parts(fields, f"firmware-{version}.bin", new.content)
            self._api.send_form(self._api.in_scope("firmware"), *form)
        return Artifact(version, MAIN_PACKAGE, version, len(new.content))

    def delete_artifact(self, artifact_id: str) -> None:
        """See `Firmware`: one that was released stays."""
        self._call("DELETE", "firmware", require_version(artifact_id, "artifact_id"))

    def list_cohorts(self, after: str | None) -> Listing[Cohort]:
        """See `Firmware`; all at once."""
        _refuse_cursor(after)
        return Listing([read_cohort(each) for each in self._list("groups")])

    def read_cohort(self, cohort_id: str) -> Cohort:
        """See `Firmware`: the id is the name."""
        return read_cohort(self._read_group(cohort_id))

    def add_cohort(self, name: str) -> Cohort:
        """See `Firmware`."""
        self._call("POST", "groups", body={"name": name})
        return self.read_cohort(name)

    def list_packages(self, after: str | None) -> Listing[Package]:
        """See `Firmware`: a device of Particle's is updated as a whole."""
        _refuse_cursor(after)
        return Listing([Package(MAIN_PACKAGE, "The product's firmware", {})])

    def list_deployments(self, cohort_id: str, after: str | None) -> Listing[Deployment]:
        """See `Firmware`: the version that the group was given last."""
        _refuse_cursor(after)
        version = read_released(self._read_group(cohort_id))
        return Listing([Deployment(version, f"Version {version}", (version,))] if version else [])

    def add_deployment(self, cohort_id: str, name: str, artifact_ids: list[str]) -> Deployment:
        """See `Firmware`."""
        version = require_version(require_one(artifact_ids), "artifact_ids")
        body = {
            "version": int(version),
            "groups": [cohort_id],
            "product_default": False,
            "intelligent": self._intelligent,
        }
        # As often as it takes: the same release again is no other.
        self._call("PUT", "firmware", "release", body=body, again=True)
        return Deployment(version, name, (version,))

    def find(self, plan: RolloutPlan) -> BegunRollout | None:  # noqa: ARG002 - a release has no name
        """See `Firmware`: nothing, for a release has no name there."""
        return None

    def begin(self, plan: RolloutPlan) -> BegunRollout:
        """See `Firmware`."""
        group = _name_group(plan.target)
        deployment = self.add_deployment(group, plan.name, [each.id for each in plan.artifacts])
        return BegunRollout(f"{deployment.id} to {group}")

    def withdraw(self, plan: RolloutPlan) -> None:  # noqa: ARG002 - refused, whatever it is
        """Refused."""
        raise NotSupported(NO_WITHDRAWAL)

    def list_events(self, plan: RolloutPlan, since: str, after: str | None) -> Listing[OtaEvent]:  # noqa: ARG002 - there are none
        """See `Firmware`: Particle keeps none."""
        return Listing([])

    def list_devices(self, plan: RolloutPlan, after: str | None) -> Listing[DeviceFirmware]:
        """See `Firmware`."""
        page = int(after) if after and after.isdecimal() else 1
        items, is_last = self._api.get_page(page, groups=_name_group(plan.target))
        found = [(item.text("id"), item) for item in items]
        devices = [
            DeviceFirmware(name, {MAIN_PACKAGE: read_update(name, item)}) for name, item in found if name
        ]
        return Listing(devices, None if is_last else str(page + 1))

    def _read_group(self, name: str) -> Item:
        item = Item(self._call("GET", "groups", name))
        return item if item.text("name") else item.item("group")

    def _list(self, kind: str) -> list[Item]:
        reply = self._call("GET", kind)
        found = reply if isinstance(reply, list) else Item(reply).fields.get(kind)
        if not isinstance(found, list):
            raise ProtocolFailed(f"Particle answered without a list of {kind}.")
        return [Item(each) for each in found]

    def _call(self, method: str, *parts: str, body: object = None, again: bool | None = None) -> Any:
        with _translated_refusals():
            repeatable = method in {"GET", "DELETE"} if again is None else again
            return self._api.call(method, self._api.in_scope(*parts), body, again=repeatable)


@contextmanager
def _translated_refusals() -> Iterator[None]:
    try:
        yield
    except ProviderRefused as refusal:
        if refusal.answered == HTTPStatus.NOT_FOUND:
            raise NotFound(refusal.detail) from None
        if refusal.answered == HTTPStatus.CONFLICT:
            raise Conflict(refusal.detail) from None
        raise


def _refuse_cursor(after: str | None) -> None:
    if after:
        raise BadRequest(errors=[FieldError("cursor", "Everything is on the first page; leave it out.")])


def _name_group(target: RolloutTarget) -> str:
    return str(target.cohort_id or target.tag_id)
