"""The state of a device at the other side (a shadow, a twin), for admins: read, and what is wanted of it written."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from shared.devices.bodies import ShownState, StatePath
from shared.integrations.remote_calls import find_external_id, reach_provider, record_write, relay_refusals
from shared.provider import DeviceState, StateKeeper
from shared.runtime.errors import BadRequest, FieldError
from shared.runtime.web.call import Call


def read_state(call: Call, place: StatePath) -> ShownState:
    """The value at the path, all of it without one."""
    state = _open(call)
    with relay_refusals():
        return {"path": place.path, "state": state.read(place.names)}


def write_state(call: Call, place: StatePath, value: JsonValue, *, merge: bool) -> ShownState:
    """What is at the path once `value` was written there, or merged into what was; BadRequest without a path."""
    _require_path(place)
    state = _open(call)
    _record(call, "update", place, value)
    with relay_refusals():
        return {"path": place.path, "state": state.write(place.names, value, merge=merge)}


def remove_state(call: Call, place: StatePath) -> None:
    """Remove what is at the path; BadRequest without one."""
    _require_path(place)
    state = _open(call)
    _record(call, "delete", place)
    with relay_refusals():
        state.remove(place.names)


def _require_path(place: StatePath) -> None:
    if not place.path:
        message = "Name what to write, as in desired/led: the whole state is the device's own."
        raise BadRequest(errors=[FieldError("path", message)])


def _open(call: Call) -> DeviceState:
    keeper = reach_provider(call, StateKeeper)
    return keeper.state(find_external_id(call, call.parameters["device_id"]))


def _record(
    call: Call, action: Literal["update", "delete"], place: StatePath, value: JsonValue = None
) -> None:
    """The value stands under its path, whose names say whether it is a secret."""
    path = f"/{place.path}"
    values = {"path": path} if value is None else {path: value}
    record_write(call, "state", action, values | {"device_id": call.parameters["device_id"]})
