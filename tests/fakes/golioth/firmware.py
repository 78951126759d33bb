"""Firmware: artifacts, packages, cohorts with their deployments, releases, and devices that report their updates.

The values of an OTA event's eventType and status are not published; here they are the name and number of the state.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.fakes.golioth.server import ApiError, Call, FakeGolioth, Reply, route

ORGANIZATION = "/organizations/{organization}/projects/{project}"
COHORT = ORGANIZATION + "/cohorts/{cohort}"
IDLE, DOWNLOADING, DOWNLOADED, UPDATING = range(4)
READY, SUCCEEDED, UPDATE_FAILED, AWAIT_RETRY = 0, 1, 8, 11
_NAMES = ("idle", "downloading", "downloaded", "updating")
_numbers = itertools.count(1)


def make_id() -> str:
    """An id as Golioth's look."""
    return f"{next(_numbers):024x}"


def tell_time(fake: FakeGolioth) -> str:
    """The fake's own clock: never the same moment twice, and as far off ours as `clock` says, in seconds."""
    clock = fake.store["clock"]
    moment: datetime = datetime.now(UTC) + timedelta(seconds=clock.get("ahead", 0.0))
    clock["last"] = moment = max(moment, clock.get("last", moment) + timedelta(microseconds=1))
    return moment.isoformat().replace("+00:00", "Z")


def find(call: Call, kind: str, name: str) -> dict[str, Any]:
    """What the path names; 404 as the API tells it."""
    call.fake.check_project(call)
    if call.parts[name] not in call.fake.store[kind]:
        raise ApiError(404, f"{name} not found")
    return dict(call.fake.store[kind][call.parts[name]])


def list_kind(call: Call, kind: str, **wanted: str | None) -> Reply:
    """A page of a kind, narrowed by what is not None."""
    call.fake.check_project(call)
    items = call.fake.store[kind].values()
    return call.page(
        [item for item in items if all(value in (None, item.get(name)) for name, value in wanted.items())]
    )


# Artifacts and packages


@route("GET", "/projects/{project}/artifacts")
def list_artifacts(call: Call) -> Reply:
    return list_kind(call, "artifacts", package=call.query.get("package"), version=call.query.get("version"))


@route("POST", "/artifacts")
def create_artifact(call: Call) -> Reply:
    body = call.body
    if body["projectId"] != call.fake.project_id:
        raise ApiError(403, "permission denied")
    try:
        content = base64.b64decode(body["content"], validate=True)
    except binascii.Error:
        raise ApiError(400, "content is not base64") from None
    names = (body.get("package", "main"), body["version"])
    if any((item["package"], item["version"]) == names for item in call.fake.store["artifacts"].values()):
        raise ApiError(409, "artifact already exists")
    return Reply({"data": make_artifact(call.fake, *names, content, body.get("blueprintId", ""))})


def make_artifact(
    fake: FakeGolioth, package: str, version: str, content: bytes = b"image", blueprint: str = ""
) -> dict[str, Any]:
    """A new artifact, and its package where it is new."""
    now = tell_time(fake)
    artifact: dict[str, Any] = {
        "id": make_id(),
        "package": package,
        "version": version,
        "size": str(len(content)),
        "binaryInfo": {},
        "blueprintId": blueprint,
        "createdAt": now,
        "updatedAt": now,
    }
    fake.store["artifacts"][artifact["id"]] = artifact
    fake.store["contents"][artifact["id"]] = content
    known: dict[str, Any] = {"packageId": package, "description": "", "metadata": {}}
    fake.store["packages"].setdefault(package, known)
    return artifact


@route("GET", "/projects/{project}/artifacts/{artifact}")
def get_artifact(call: Call) -> Reply:
    return Reply({"data": find(call, "artifacts", "artifact")})


@route("DELETE", "/projects/{project}/artifacts/{artifact}")
def delete_artifact(call: Call) -> Reply:
    artifact = find(call, "artifacts", "artifact")
    used = (*call.fake.store["deployments"].values(), *call.fake.store["releases"].values())
    if any(artifact["id"] in item["artifactIds"] for item in used):
        raise ApiError(400, "artifact in use")
    del call.fake.store["artifacts"][artifact["id"]]
    return Reply({})


@route("GET", ORGANIZATION + "/packages")
def list_packages(call: Call) -> Reply:
    return list_kind(call, "packages")


# Cohorts, deployments, releases


@route("GET", ORGANIZATION + "/cohorts")
def list_cohorts(call: Call) -> Reply:
    return list_kind(call, "cohorts")


@route("POST", ORGANIZATION + "/cohorts")
def create_cohort(call: Call) -> Reply:
    call.fake.check_project(call)
    return Reply({"data": make_cohort(call.fake, call.body["name"])})


def make_cohort(fake: FakeGolioth, name: str) -> dict[str, Any]:
    """A new cohort without devices."""
    cohort_id = make_id()
    cohort = {"cohortId": cohort_id, "name": name, "deviceCount": 0, "activeDeploymentId": ""}
    fake.store["cohorts"][cohort_id] = cohort
    return cohort


@route("GET", COHORT)
def get_cohort(call: Call) -> Reply:
    return Reply({"data": find(call, "cohorts", "cohort")})


@route("GET", COHORT + "/deployments")
def list_deployments(call: Call) -> Reply:
    cohort = find(call, "cohorts", "cohort")
    return list_kind(call, "deployments", cohortId=cohort["cohortId"], name=call.query.get("name"))


@route("POST", COHORT + "/deployments")
def create_deployment(call: Call) -> Reply:
    cohort, body = find(call, "cohorts", "cohort"), call.body
    check_artifacts(call)
    deployment = {"deploymentId": make_id(), "name": body["name"], "artifactIds": body["artifactIds"]}
    deployment |= {"createdAt": tell_time(call.fake), "cohortId": cohort["cohortId"]}
    call.fake.store["deployments"][deployment["deploymentId"]] = deployment
    call.fake.store["cohorts"][cohort["cohortId"]]["activeDeploymentId"] = deployment["deploymentId"]
    return Reply({"data": deployment})


def check_artifacts(call: Call) -> None:
    """Refuse what names artifacts that there are none of."""
    if not call.body["artifactIds"] or set(call.body["artifactIds"]) - set(call.fake.store["artifacts"]):
        raise ApiError(400, "artifact not found")


@route("GET", "/projects/{project}/releases")
def list_releases(call: Call) -> Reply:
    call.fake.check_project(call)
    tag = call.query.get("releaseTags")
    return call.page(
        [item for item in call.fake.store["releases"].values() if tag is None or tag in item["releaseTags"]]
    )


@route("POST", "/projects/{project}/releases")
def create_release(call: Call) -> Reply:
    call.fake.check_project(call)
    check_artifacts(call)
    tags = {tag for item in call.fake.store["releases"].values() for tag in item["releaseTags"]}
    if tags & set(call.body["releaseTags"]):
        raise ApiError(409, "release already exists with same release tag")
    release = {"id": make_id(), **call.body, "sequenceNumber": str(next(_numbers))}
    call.fake.store["releases"][release["id"]] = release | {"createdAt": tell_time(call.fake)}
    return Reply({"data": call.fake.store["releases"][release["id"]]})


@route("PATCH", "/projects/{project}/releases/{release}")
def change_release(call: Call) -> Reply:
    release = find(call, "releases", "release")
    call.fake.store["releases"][release["id"]]["rollout"] = call.body["rollout"]
    return Reply({"data": release | {"rollout": call.body["rollout"]}})


# Devices and their events


@route("GET", ORGANIZATION + "/ota-events")
def list_events(call: Call) -> Reply:
    """Pages by token, oldest first unless `order` says else; a token is good for the query it came from."""
    call.fake.check_project(call)
    events = [event for event in call.fake.store["events"].values() if _is_wanted(event, call.query)]
    if call.fake.store["order"].get("newest_first"):
        events.reverse()
    token = call.query.get("pageToken", "page-0")
    if not token.startswith("page-"):
        raise ApiError(400, "invalid page token")
    first, size = int(token[5:]), min(int(call.query.get("limit", 100)), call.fake.most_per_page)
    following = f"page-{first + size}" if first + size < len(events) else ""
    if call.fake.store["order"].get("circles"):
        following = following or "page-0"
    shown = [
        {name: value for name, value in event.items() if name != "cohortId"}
        for event in events[first : first + size]
    ]
    return Reply({"list": shown, "nextPageToken": following, "prevPageToken": ""})


def _is_wanted(event: dict[str, Any], query: dict[str, str]) -> bool:
    since = datetime.fromisoformat(query.get("startTime", "1970-01-01T00:00:00Z"))
    return (
        query.get("cohortId", event["cohortId"]) == event["cohortId"]
        and datetime.fromisoformat(event["timestamp"]) >= since
    )


def add_device(
    fake: FakeGolioth, name: str, version: str, cohort: str = "", tags: tuple[str, ...] = ()
) -> str:
    """A device that runs `version` of the main package and has said so; its id."""
    device_id = make_id()
    update = {"package": "main", "version": version, "state": "idle", "stateCode": 0, "reasonCode": 0}
    metadata = {"update": {"main": update | {"reason": "", "target": "", "time": tell_time(fake)}}}
    fake.store["devices"][device_id] = {
        "id": device_id,
        "name": name,
        "hardwareIds": [name],
        "tagIds": list(tags),
        "blueprintId": "",
        "cohortId": cohort,
        "enabled": True,
        "metadata": metadata,
    }
    if cohort:
        fake.store["cohorts"][cohort]["deviceCount"] += 1
    return device_id


def report_update(
    fake: FakeGolioth, device_id: str, state: int, reason: int = READY, **versions: str
) -> None:
    """What a device says of its main package: kept on the device, and told as an OTA event.

    `version` and `target` where they change; a device keeps saying what it runs.
    """
    with fake.lock:
        device, now = fake.store["devices"][device_id], tell_time(fake)
        update = device["metadata"]["update"]["main"]
        update |= {"state": _NAMES[state], "stateCode": state, "reasonCode": reason, "time": now} | versions
        fake.store["events"][str(next(_numbers))] = {
            "deviceId": device_id,
            "packageId": "main",
            "cohortId": device["cohortId"],
            "eventType": _NAMES[state],
            "currentVersion": update["version"],
            "targetVersion": update["target"],
            "status": state,
            "message": "update failed" if reason == UPDATE_FAILED else "",
            "timestamp": now,
        }


def install_update(fake: FakeGolioth, device_id: str, version: str) -> None:
    """A device walks through all states to the new version."""
    report_update(fake, device_id, DOWNLOADING, target=version)
    report_update(fake, device_id, DOWNLOADED)
    report_update(fake, device_id, UPDATING)
    report_update(fake, device_id, UPDATING, SUCCEEDED, version=version)


def fail_update(fake: FakeGolioth, device_id: str, version: str) -> None:
    """A device begins to download and fails."""
    report_update(fake, device_id, DOWNLOADING, target=version)
    report_update(fake, device_id, DOWNLOADING, UPDATE_FAILED)
