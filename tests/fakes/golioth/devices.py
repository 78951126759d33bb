"""Devices, their credentials, and the authorities whose certificates are accepted.

Source: Golioth's OpenAPI document. Names are unique in the project, tags have to be there before a device can carry
them, and a device created without a hardware id gets one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tests.fakes.golioth.server import ApiError, Call, FakeGolioth, Reply, route

Device = dict[str, Any]

ONE = "/projects/{project}/devices/{device}"


def add_device(fake: FakeGolioth, name: str, **fields: Any) -> Device:
    """A device that is there already; `metadata` and the other fields as in the API."""
    made_at = now()
    device: Device = {
        "id": secrets.token_hex(12),
        "name": name,
        "hardwareIds": [],
        "tagIds": [],
        "blueprintId": "",
        "cohortId": "",
        "certificateId": "",
        "enabled": True,
        "createdAt": made_at,
        "updatedAt": made_at,
        "lastReport": "1970-01-01T00:00:00Z",
        "status": "-",
        "metadata": {},
        "data": {},
    } | fields
    with fake.lock:
        add_tags(fake, device["tagIds"])
        fake.store["devices"][device["id"]] = device
    return device


def add_tags(fake: FakeGolioth, tags: Iterable[str]) -> None:
    """Tags that devices may carry from now on."""
    fake.store["tags"].update(dict.fromkeys(tags, True))


def list_writes(fake: FakeGolioth) -> list[str]:
    """The calls that came and may change something."""
    return [call for call in fake.calls if not call.startswith("GET ")]


def now() -> str:
    """The present moment as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@route("GET", "/projects/{project}/devices")
def list_devices(call: Call) -> Reply:
    call.fake.check_project(call)
    devices = list(call.fake.store["devices"].values())
    if set(call.query) - {"page", "perPage"}:
        devices = [device for device in devices if is_wanted(device, call.query)]
    return call.page(devices)


def is_wanted(device: Device, query: dict[str, str]) -> bool:
    """Whether all filters of the query match."""
    return (
        query.get("deviceName", device["name"]) == device["name"]
        and ("hardwareId" not in query or query["hardwareId"] in device["hardwareIds"])
        and ("tags" not in query or query["tags"] in device["tagIds"])
        and query.get("cohortId", device["cohortId"]) == device["cohortId"]
    )


@route("POST", "/projects/{project}/devices")
def create_device(call: Call) -> Reply:
    call.fake.check_project(call)
    name = call.body.get("name", "")
    check_name(call.fake, name)
    check_tags(call.fake, call.body.get("tagIds", []))
    names = ("tagIds", "cohortId", "blueprintId")
    fields = {key: call.body[key] for key in names if key in call.body}
    hardware_ids = call.body.get("hardwareIds") or [secrets.token_hex(8)]
    return Reply({"data": add_device(call.fake, name, hardwareIds=hardware_ids, **fields)})


@route("GET", ONE)
def get_device(call: Call) -> Reply:
    return Reply({"data": find_device(call)})


@route("PATCH", ONE)
def change_device(call: Call) -> Reply:
    device, body = find_device(call), call.body
    if body.get("name", device["name"]) != device["name"]:
        check_name(call.fake, body["name"])
    check_tags(call.fake, [*body.get("tagIds", []), *body.get("addTagId", [])])
    for field, add, remove in (
        ("tagIds", "addTagId", "removeTagId"),
        ("hardwareIds", "addHardwareId", "removeHardwareId"),
    ):
        values = list(dict.fromkeys([*body.get(field, device[field]), *body.get(add, [])]))
        device[field] = [value for value in values if value not in body.get(remove, [])]
    kept = ("name", "enabled", "blueprintId", "cohortId")
    device.update({name: body[name] for name in kept if name in body}, updatedAt=now())
    return Reply({"data": device})


@route("DELETE", ONE)
def delete_device(call: Call) -> Reply:
    del call.fake.store["devices"][find_device(call)["id"]]
    call.fake.store["credentials"].pop(call.parts["device"], None)
    return Reply({})


@route("GET", f"{ONE}/credentials")
def list_credentials(call: Call) -> Reply:
    device = find_device(call)
    return Reply({"list": call.fake.store["credentials"].get(device["id"], [])})


@route("POST", f"{ONE}/credentials")
def create_credentials(call: Call) -> Reply:
    device, kept = find_device(call), call.fake.store["credentials"]
    if any(each["identity"] == call.body["identity"] for many in kept.values() for each in many):
        raise ApiError(409, "identity already exists")
    credential = {"id": secrets.token_hex(12), "createdAt": now(), **call.body}
    kept.setdefault(device["id"], []).append(credential)
    return Reply({"data": credential})


@route("POST", "/projects/{project}/certificates")
def create_certificate(call: Call) -> Reply:
    call.fake.check_project(call)
    kept = call.fake.store["certificates"]
    if call.body["certFile"] in kept:
        raise ApiError(409, "certificate already exists")
    kept[call.body["certFile"]] = call.body | {"id": secrets.token_hex(12)}
    return Reply({"data": kept[call.body["certFile"]]})


def find_device(call: Call) -> Device:
    """The device the path names."""
    call.fake.check_project(call)
    device: Device | None = call.fake.store["devices"].get(call.parts["device"])
    if device is None:
        raise ApiError(404, "device not found")
    return device


def check_name(fake: FakeGolioth, name: str) -> None:
    """Names are there, and unique in the project."""
    if not name:
        raise ApiError(400, "name is required")
    if any(device["name"] == name for device in fake.store["devices"].values()):
        raise ApiError(409, f"device with name {name} already exists")


def check_tags(fake: FakeGolioth, tags: list[str]) -> None:
    """Tags have to be there already."""
    if unknown := [tag for tag in tags if tag not in fake.store["tags"]]:
        raise ApiError(400, f"unknown tags: {', '.join(unknown)}")
