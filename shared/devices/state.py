"""The state of a device at the other side, for admins: read, and written where it says what is wanted of the device."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from shared.integrations.remote_calls import find_external_id, reach_provider, record_write, relay_refusals
from shared.provider.remote import DeviceState, Path
from shared.runtime.errors import BadRequest, FieldError
from shared.runtime.web.rate_limits import TESTS, WRITES
from shared.runtime.web.routing import Call, Reply, Router

PATH_LIMIT = 512
"""Characters of a path."""


def add_state_routes(router: Router) -> None:
    """The calls below an integration's path."""
    place = "/{id}/devices/{device_id}/state"
    router.route("GET", place)(read_state)
    router.route("PUT", place)(replace_state)
    router.route("PATCH", place)(merge_state)
    router.route("DELETE", place)(remove_state)


def read_state(call: Call) -> Reply:
    """The value at `path`, all of it without one."""
    _ = call.user
    path = read_path(call)
    state = reach_provider(call, TESTS).state(find_external_id(call, call.parameters["device_id"]))
    with relay_refusals():
        return _show(path, state.read(path))


def replace_state(call: Call) -> Reply:
    """Write the body at `path`."""
    return _write(call, merge=False)


def merge_state(call: Call) -> Reply:
    """Merge the body into what is at `path`."""
    return _write(call, merge=True)


def remove_state(call: Call) -> Reply:
    """Remove what is at `path`."""
    _ = call.user
    path = _require_path(call)
    state = _open_for_writing(call)
    _record(call, "delete", path)
    with relay_refusals():
        state.remove(path)
    return Reply(status=HTTPStatus.NO_CONTENT)


def read_path(call: Call) -> Path:
    """The names in `path`, as in `desired/led`; BadRequest for one that leads nowhere."""
    text = (call.query("path") or "").strip("/")
    names = tuple(text.split("/")) if text else ()
    if len(text) > PATH_LIMIT or not text.isprintable() or {"", ".", ".."} & set(names):
        raise _refuse(
            "path",
            f"Expected names with slashes between, as in desired/led, {PATH_LIMIT} characters at most.",
        )
    return names


def _write(call: Call, *, merge: bool) -> Reply:
    _ = call.user
    path, value = _require_path(call), call.value()
    if value is None:
        raise _refuse("body", "Expected a value; send DELETE to remove one.")
    state = _open_for_writing(call)
    _record(call, "update", path, value)
    with relay_refusals():
        return _show(path, state.write(path, value, merge=merge))


def _require_path(call: Call) -> Path:
    path = read_path(call)
    if not path:
        raise _refuse("path", "Name what to write, as in desired/led: the whole state is the device's own.")
    return path


def _open_for_writing(call: Call) -> DeviceState:
    return reach_provider(call, WRITES).state(find_external_id(call, call.parameters["device_id"]))


def _record(call: Call, action: Literal["update", "delete"], path: Path, value: Any = None) -> None:
    """The value stands under its path, whose names say whether it is a secret."""
    place = "/" + "/".join(path)
    values = {"path": place} if value is None else {place: value}
    record_write(call, "state", action, values | {"device_id": call.parameters["device_id"]})


def _show(path: Path, value: object) -> Reply:
    return Reply({"path": "/".join(path), "state": value})


def _refuse(field: str, message: str) -> BadRequest:
    return BadRequest(errors=[FieldError(field, message)])
