"""What devices have said and are told: LightDB State and Stream, logs, remote procedure calls, settings.

Kept in `store`: `state` by device; `stream` and `logs` as lists under `rows`; `rpc` with the `calls` that came and, by
method, the `(statusCode, detail)` that are answered in turn; `settings` by id.
"""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from tests.fakes.golioth.server import ApiError, Call, FakeGolioth, Reply, route

STATE = "/projects/{project}/devices/{device}/data{path*}"
KEY = re.compile(r"[A-Z0-9_]+")
TYPES = {"integer": int, "float": float, "string": str, "boolean": bool}


def know_device(fake: FakeGolioth, device: str, **state: Any) -> None:
    """Let the fake know a device, with its state."""
    fake.store["state"][device] = state


def say(fake: FakeGolioth, device: str, at: datetime, payload: Any) -> None:
    """Put a row into LightDB Stream, as pipelines do."""
    row = {"time": at.isoformat(), "device_id": device, **payload}
    fake.store["stream"].setdefault("rows", []).append(row)


def log(fake: FakeGolioth, device: str, at: datetime, message: str, **fields: Any) -> None:
    """A line in a device's log."""
    entry = {"level": "INFO", "module": "default", "type": "LOGGING", "metadata": {}, **fields}
    entry |= {"device_id": device, "message": message, "timestamp": at.isoformat()}
    fake.store["logs"].setdefault("rows", []).append(entry)


# LightDB State


@route("GET", STATE)
def get_state(call: Call) -> Reply:
    return Reply({"data": _walk(_device_state(call), _names(call))})


@route("PUT", STATE)
@route("PATCH", STATE)
@route("POST", STATE)
def write_state(call: Call) -> Reply:
    wanted = _as_tree(call.body)
    for name in reversed(_names(call)):
        wanted = {name: wanted}
    state = _device_state(call)
    call.fake.store["state"][call.parts["device"]] = _merge(state, wanted)
    return get_state(call)


@route("DELETE", STATE)
def delete_state(call: Call) -> Reply:
    *parents, last = _names(call)
    parent = _walk(_device_state(call), parents)
    if isinstance(parent, dict):
        parent.pop(last, None)
    return Reply({})


def _device_state(call: Call) -> Any:
    call.fake.check_project(call)
    if call.parts["device"] not in call.fake.store["state"]:
        raise ApiError(404, "device not found")
    return call.fake.store["state"][call.parts["device"]]


def _names(call: Call) -> list[str]:
    return [name for name in call.parts["path"].split("/") if name]


def _walk(value: Any, names: list[str]) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _as_tree(value: Any) -> Any:
    """Arrays become objects with the positions as keys."""
    if isinstance(value, list):
        return {str(position): _as_tree(item) for position, item in enumerate(value)}
    return {name: _as_tree(item) for name, item in value.items()} if isinstance(value, dict) else value


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return old | {name: _merge(old.get(name), value) for name, value in new.items()}


# LightDB Stream


@route("POST", "/projects/{project}/stream")
def query_stream(call: Call) -> Reply:
    call.fake.check_project(call)
    query = json.loads(call.body["encodedQuery"])
    assert {field["path"] for field in query["fields"]} == {"device_id", "time", "*"}
    rows = _between(call.fake.store["stream"].get("rows", []), "time", call.body)
    paged = Call(call.fake, call.parts, {name: str(call.body[name]) for name in ("page", "perPage")}, None)
    return paged.page(rows)


# Logs: newest first, and no more than one page of them, whatever was asked for.


@route("GET", "/projects/{project}/logs")
def query_logs(call: Call) -> Reply:
    call.fake.check_project(call)
    found = _between(call.fake.store["logs"].get("rows", []), "timestamp", call.query)[::-1]
    size = call.fake.most_per_page
    return Reply({"list": found[:size], "page": 0, "perPage": size, "total": len(found)})


def _between(rows: list[dict[str, Any]], name: str, bounds: Any) -> list[dict[str, Any]]:
    start, end = (datetime.fromisoformat(bounds[bound]) for bound in ("start", "end"))
    found = [row for row in rows if start <= datetime.fromisoformat(row[name]) < end]
    return sorted(found, key=lambda row: datetime.fromisoformat(row[name]))


# Remote procedure calls


@route("POST", "/projects/{project}/devices/{device}/rpc")
def call_device(call: Call) -> Reply:
    _device_state(call)
    rpc = call.fake.store["rpc"]
    rpc.setdefault("calls", []).append((call.parts["device"], call.body))
    answers = rpc.get(call.body["method"]) or [(0, {"echo": call.body["params"]})]
    code, detail = answers.pop(0) if len(answers) > 1 else answers[0]
    return Reply({"statusCode": code, "detail": detail})


# Settings


@route("GET", "/projects/{project}/settings")
def list_settings(call: Call) -> Reply:
    call.fake.check_project(call)
    found = [
        setting
        for setting in call.fake.store["settings"].values()
        if all(
            setting[name] in ("", call.query[name])
            for name in ("deviceId", "blueprintId")
            if name in call.query
        )
    ]
    return Reply({"list": found, "total": len(found)})


@route("POST", "/projects/{project}/settings")
def create_setting(call: Call) -> Reply:
    call.fake.check_project(call)
    place = {name: call.body.get(name, "") for name in ("key", "deviceId", "blueprintId")}
    _check_value(call.body["key"], call.body["dataType"], call.body["value"])
    if any(place.items() <= setting.items() for setting in call.fake.store["settings"].values()):
        raise ApiError(409, "setting already exists")
    setting = {"id": uuid.uuid4().hex[:24], "projectId": call.fake.project_id, **call.body, **place}
    setting["createdAt"] = setting["updatedAt"] = datetime.now(UTC).isoformat()
    call.fake.store["settings"][setting["id"]] = setting
    return Reply({"data": setting})


@route("PUT", "/projects/{project}/settings/{setting}")
def change_setting(call: Call) -> Reply:
    setting = _find_setting(call)
    _check_value(setting["key"], setting["dataType"], call.body["value"])
    setting |= {"value": call.body["value"], "updatedAt": datetime.now(UTC).isoformat()}
    return Reply({"data": setting})


@route("DELETE", "/projects/{project}/settings/{setting}")
def delete_setting(call: Call) -> Reply:
    call.fake.store["settings"].pop(_find_setting(call)["id"])
    return Reply({})


def _find_setting(call: Call) -> dict[str, Any]:
    call.fake.check_project(call)
    setting: dict[str, Any] | None = call.fake.store["settings"].get(call.parts["setting"])
    if setting is None:
        raise ApiError(404, "setting not found")
    return setting


def _check_value(key: str, data_type: str, value: Any) -> None:
    if not KEY.fullmatch(key):
        raise ApiError(400, "invalid key")
    wanted = TYPES.get(data_type)
    fits = wanted is not None and (type(value) is wanted or (wanted is float and type(value) is int))
    if not fits:
        raise ApiError(400, "value does not match data type")
