"""Firmware: Golioth's artifacts, cohorts, packages and deployments; releases where there are no cohorts.

A deployment can't be taken back and one at a time is a cohort's; a release goes to the devices with a tag and can be
switched off. Golioth gives neither an id of ours, so a rollout is found again by its name.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from shared.provider import (
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
    NotSupported,
    Object,
    OtaEvent,
    Package,
    ProtocolFailed,
    RolloutPlan,
    name_refusals,
)
from shared.providers.golioth.api import PAGE_SIZE, Account, GoliothApi, read_data, read_list
from shared.providers.golioth.firmware_objects import (
    read_artifact,
    read_begun,
    read_cohort,
    read_deployment,
    read_package,
)
from shared.providers.golioth.firmware_reports import read_event, read_packages

LONGEST_TOKEN = 4_096
_TAKEN = re.compile(r"already exists|in use", re.IGNORECASE)
_MISSING = re.compile(r"not a valid ObjectID", re.IGNORECASE)


class GoliothFirmware(Firmware):
    """See `Firmware`."""

    def __init__(self, account: Account, deadline: Deadline) -> None:
        self._api = GoliothApi(account, deadline)

    def __exit__(self, *details: object) -> None:
        """Close the connection."""
        self._api.__exit__(*details)

    # Artifacts

    def list_artifacts(self, after: str | None) -> Listing[Artifact]:
        """See `Firmware`; Golioth's order."""
        items, following = self._list_page(self._api.in_project("artifacts"), after)
        return Listing([read_artifact(item) for item in items], following)

    def read_artifact(self, artifact_id: str) -> Artifact:
        """See `Firmware`."""
        return read_artifact(self._get(self._api.in_project("artifacts", artifact_id)))

    def has_version(self, package: str, version: str) -> bool:
        """See `Firmware`."""
        named = self._list_all(self._api.in_project("artifacts"), package=package, version=version)
        return any((item.get("package"), item.get("version")) == (package, version) for item in named)

    def add_artifact(self, new: NewArtifact) -> Artifact:
        """See `Firmware`; tried once where Golioth may have it after all."""
        body = {
            "projectId": self._api.account.project_id,
            "package": new.package,
            "version": new.version,
            "content": base64.b64encode(new.content).decode(),
            **({"blueprintId": new.blueprint_id} if new.blueprint_id else {}),
        }
        return read_artifact(self._post("/artifacts", body))

    def delete_artifact(self, artifact_id: str) -> None:
        """See `Firmware`."""
        self._call("DELETE", self._api.in_project("artifacts", artifact_id))

    # Cohorts

    def list_cohorts(self, after: str | None) -> Listing[Cohort]:
        """See `Firmware`."""
        items, following = self._list_page(self._api.in_organization("cohorts"), after)
        return Listing([read_cohort(item) for item in items], following)

    def read_cohort(self, cohort_id: str) -> Cohort:
        """See `Firmware`."""
        return read_cohort(self._get(self._api.in_organization("cohorts", cohort_id)))

    def add_cohort(self, name: str) -> Cohort:
        """See `Firmware`."""
        return read_cohort(self._post(self._api.in_organization("cohorts"), {"name": name}))

    def list_packages(self, after: str | None) -> Listing[Package]:
        """See `Firmware`."""
        items, following = self._list_page(self._api.in_organization("packages"), after)
        return Listing([read_package(item) for item in items], following)

    def list_deployments(self, cohort_id: str, after: str | None) -> Listing[Deployment]:
        """See `Firmware`; Golioth's order."""
        items, following = self._list_page(self._deployments(cohort_id), after)
        return Listing([read_deployment(item) for item in items], following)

    def add_deployment(self, cohort_id: str, name: str, artifact_ids: list[str]) -> Deployment:
        """See `Firmware`; tried once where Golioth may have it after all."""
        body = {"name": name, "artifactIds": artifact_ids}
        return read_deployment(self._post(self._deployments(cohort_id), body))

    # Rollouts

    def find(self, plan: RolloutPlan) -> BegunRollout | None:
        """See `Firmware`."""
        found = self._find(plan)
        return read_begun(found) if found else None

    def begin(self, plan: RolloutPlan) -> BegunRollout:
        """See `Firmware`. Conflict where something else stands under the name."""
        found = self._find(plan)
        wanted = [artifact.id for artifact in plan.artifacts]
        if found and set(Item(found).texts("artifactIds")) != set(wanted):
            raise Conflict(f"Golioth has another deployment or release named {plan.name} already.")
        if plan.target.cohort_id:
            return read_begun(found) if found else self._deploy(plan, wanted)
        if found is None:
            return read_begun(self._release(plan, wanted))
        if not found.get("rollout"):
            self._switch(found, rollout=True)
        return read_begun(found)

    def withdraw(self, plan: RolloutPlan) -> None:
        """See `Firmware`: a release is switched off; what a device has installed stays."""
        if plan.target.cohort_id:
            raise NotSupported(
                "Golioth can't take back a deployment; start a rollout of the earlier version to this cohort"
                ' with "replace": true.'
            )
        found = self._find(plan)
        if found:
            self._switch(found, rollout=False)

    def list_events(self, plan: RolloutPlan, since: str, after: str | None) -> Listing[OtaEvent]:
        """See `Firmware`; Golioth keeps them by cohort only."""
        if not plan.target.cohort_id:
            return Listing([])
        query = {
            "cohortId": plan.target.cohort_id,
            "startTime": since,
            "limit": PAGE_SIZE,
            "pageToken": after,
        }
        reply = self._call("GET", self._api.in_organization("ota-events"), query=query)
        events = [read_event(entry) for entry in read_list(reply)]
        following = Item(reply).text("nextPageToken", LONGEST_TOKEN) if events else None
        return Listing([event for event in events if event], following)

    def list_devices(self, plan: RolloutPlan, after: str | None) -> Listing[DeviceFirmware]:
        """See `Firmware`."""
        query = {"cohortId": plan.target.cohort_id, "tags": plan.target.tag_id}
        items, following = self._list_page(self._api.in_project("devices"), after, **query)
        named = [(Item(item).text("id"), item) for item in items]
        return Listing([DeviceFirmware(name, read_packages(item)) for name, item in named if name], following)

    def _find(self, plan: RolloutPlan) -> Object | None:
        if plan.target.cohort_id:
            named = self._list_all(self._deployments(plan.target.cohort_id), name=plan.name)
            return next((item for item in named if item.get("name") == plan.name), None)
        tagged = self._list_all(self._api.in_project("releases"), releaseTags=plan.name)
        return next((item for item in tagged if plan.name in Item(item).texts("releaseTags")), None)

    def _deploy(self, plan: RolloutPlan, artifact_ids: list[str]) -> BegunRollout:
        deployment = self.add_deployment(str(plan.target.cohort_id), plan.name, artifact_ids)
        return BegunRollout(deployment.id, deployment.created_at)

    def _release(self, plan: RolloutPlan, artifact_ids: list[str]) -> Object:
        body = {
            "releaseTags": [plan.name],
            "deviceTagIds": [plan.target.tag_id],
            "artifactIds": artifact_ids,
            "rollout": True,
        }
        return self._post(self._api.in_project("releases"), body)

    def _switch(self, release: Object, *, rollout: bool) -> None:
        self._call("PATCH", self._api.in_project("releases", str(release["id"])), {"rollout": rollout})

    def _deployments(self, cohort_id: str) -> str:
        return self._api.in_organization("cohorts", cohort_id, "deployments")

    def _list_all(self, path: str, **query: object) -> Iterator[Object]:
        with name_refusals(_MISSING, _TAKEN):
            for page in self._api.list_pages(path, query):
                yield from page

    def _list_page(self, path: str, after: str | None, **query: object) -> tuple[list[Object], str | None]:
        with name_refusals(_MISSING, _TAKEN):
            items, following = self._api.get_page(path, _read_cursor(after), query)
        return items, None if following is None else str(following)

    def _get(self, path: str) -> Object:
        return _read_object(self._call("GET", path))

    def _post(self, path: str, body: Object) -> Object:
        # Once: after a 5xx Golioth may have it all the same.
        return _read_object(self._call("POST", path, body, again=False))

    def _call(self, method: str, path: str, body: object = None, **how: Any) -> Any:
        with name_refusals(_MISSING, _TAKEN):
            return self._api.call(method, path, body, **how)


def _read_cursor(after: str | None) -> int:
    if after and not (after.isascii() and after.isdigit() and len(after) <= len(str(PAGE_SIZE)) * 3):
        raise BadRequest(errors=[FieldError("cursor", "Send next_cursor of the page before, unchanged.")])
    return int(after or 0)


def _read_object(reply: Any) -> Object:
    data = read_data(reply)
    if not isinstance(data, dict):
        raise ProtocolFailed("Golioth answered without an object.")
    return data
