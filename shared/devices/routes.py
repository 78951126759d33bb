"""An integration's devices: conflicts and provisioning, and for admins their state and settings at the other side."""

from __future__ import annotations

from http import HTTPStatus

from shared.devices import bodies, provisioning, provisioning_bodies, state, token_bodies, tokens
from shared.integrations.remote_calls import (
    REACHING,
    find_external_id,
    reach_provider,
    record_write,
    relay_refusals,
)
from shared.integrations.scope import list_page, read_part
from shared.provider import Setting, SettingsKeeper
from shared.runtime.errors import Conflict, InvalidConfig
from shared.runtime.web.call import Call
from shared.runtime.web.paging import PageQuery
from shared.runtime.web.rate_limits import TESTS, WRITES
from shared.runtime.web.routes import Routes

STATE = "/{id}/devices/{device_id}/state"
READING: dict[str, object] = {"budget": TESTS, "problems": REACHING}
WRITING: dict[str, object] = {"budget": WRITES, "problems": (*REACHING, Conflict)}
REMOVING = WRITING | {"status": HTTPStatus.NO_CONTENT}

routes = Routes(bodies.Words)


@routes.get("/{id}/conflicts")
def list_conflicts(call: Call, query: bodies.ConflictFilters) -> bodies.ConflictPage:
    """List names and tags that were changed on both sides, newest first."""
    rows, next_cursor = list_page(call, bodies.FieldConflictRow, "device_conflicts", query)
    return {"conflicts": rows, "next_cursor": next_cursor}


@routes.post("/{id}/conflicts/{conflict_id}/resolve", budget=WRITES, problems=(Conflict,))
def resolve_conflict(call: Call, body: bodies.Resolution) -> bodies.OneConflict:
    """Say which side counts; the next sync carries it out. 409 where it is resolved already."""
    conflict_id = call.parameters["conflict_id"]
    call.database.call(
        "resolve_conflict",
        p_integration_id=call.integration_id,
        p_conflict_id=conflict_id,
        p_resolution=body.resolution,
    )
    return {"conflict": read_part(call, bodies.FieldConflictRow, "device_conflicts", conflict_id)}


@routes.post("/{id}/devices", **WRITING | {"status": HTTPStatus.CREATED, "also": HTTPStatus.ACCEPTED})
def provision_device(
    call: Call, body: provisioning_bodies.NewProvisioning
) -> provisioning_bodies.Provisioned:
    """Make a device here and at the provider, and show its credentials once.

    202 where the provider's answer got lost: the scheduler then completes it with these credentials, or undoes it.
    """
    return provisioning.provision_device(call, body)


@routes.get(STATE, **READING)
def read_device_state(call: Call, query: bodies.StatePath) -> bodies.ShownState:
    """Read the state of a device, or what is at a path in it."""
    return state.read_state(call, query)


@routes.put(STATE, **WRITING)
def replace_device_state(call: Call, query: bodies.StatePath, body: bodies.StateValue) -> bodies.ShownState:
    """Write at a path in the state of a device."""
    return state.write_state(call, query, body.root, merge=False)


@routes.patch(STATE, **WRITING)
def merge_device_state(call: Call, query: bodies.StatePath, body: bodies.StateValue) -> bodies.ShownState:
    """Merge into what is at a path in the state of a device."""
    return state.write_state(call, query, body.root, merge=True)


@routes.delete(STATE, **REMOVING)
def remove_device_state(call: Call, query: bodies.StatePath) -> None:
    """Remove what is at a path in the state of a device."""
    state.remove_state(call, query)


@routes.get("/{id}/settings", **READING)
def list_settings(call: Call, query: bodies.SettingFilters) -> bodies.SettingList:
    """List the settings that devices get from the other side, all or those of a device or a blueprint."""
    settings = reach_provider(call, SettingsKeeper).settings()
    device = find_external_id(call, str(query.device_id)) if query.device_id else None
    with relay_refusals():
        return {"settings": settings.find(device, query.blueprint_id)}


@routes.post("/{id}/settings", **WRITING | {"status": HTTPStatus.CREATED})
def create_setting(call: Call, body: bodies.NewSetting) -> bodies.OneSetting:
    """Create a setting for all devices, those of a blueprint, or one."""
    settings = reach_provider(call, SettingsKeeper).settings()
    device = find_external_id(call, str(body.device_id)) if body.device_id else None
    wanted = Setting(body.key, body.data_type, body.value, device, body.blueprint_id)
    places = {"device_id": body.device_id, "blueprint_id": body.blueprint_id}
    record_write(call, "settings", "insert", {body.key: body.value, **places})
    with relay_refusals():
        return {"setting": settings.create(wanted)}


@routes.put("/{id}/settings/{setting_id}", **WRITING)
def change_setting(call: Call, body: bodies.ChangedSetting) -> bodies.OneSetting:
    """Give a setting another value."""
    setting_id, settings = call.parameters["setting_id"], reach_provider(call, SettingsKeeper).settings()
    # Which one it is, and so whether a text is a secret, only the other side knows.
    value = "***" if isinstance(body.value, str) else body.value
    record_write(call, "settings", "update", {"setting_id": setting_id, "value": value})
    with relay_refusals():
        return {"setting": settings.change(setting_id, body.value)}


@routes.delete("/{id}/settings/{setting_id}", **REMOVING)
def remove_setting(call: Call) -> None:
    """Remove a setting."""
    setting_id, settings = call.parameters["setting_id"], reach_provider(call, SettingsKeeper).settings()
    record_write(call, "settings", "delete", {"setting_id": setting_id})
    with relay_refusals():
        settings.remove(setting_id)


@routes.get("/{id}/device-tokens")
def list_device_tokens(call: Call, query: PageQuery) -> token_bodies.DeviceTokenPage:
    """List which devices have tokens of their own, newest first."""
    rows, next_cursor = list_page(call, token_bodies.DeviceTokenRow, "device_tokens", query)
    return {"device_tokens": rows, "next_cursor": next_cursor}


@routes.post("/{id}/device-tokens", budget=WRITES, status=HTTPStatus.CREATED, problems=(InvalidConfig,))
def issue_device_token(call: Call, body: token_bodies.NewDeviceToken) -> token_bodies.IssuedToken:
    """Make a token by which a device proves itself when it posts; it is shown this once."""
    row, token = tokens.issue_token(call, body)
    return {"device_token": row, "token": token}


@routes.post("/{id}/device-tokens/{token_id}/rotate", budget=WRITES, status=HTTPStatus.CREATED)
def rotate_device_token(call: Call, body: token_bodies.TokenRotation | None) -> token_bodies.IssuedToken:
    """Make another token for the same device; the old one is accepted for the grace period."""
    row, token = tokens.rotate_token(call, body or token_bodies.TokenRotation())
    return {"device_token": row, "token": token}


@routes.delete("/{id}/device-tokens/{token_id}", budget=WRITES, status=HTTPStatus.NO_CONTENT)
def revoke_device_token(call: Call) -> None:
    """End a token of a device at once."""
    tokens.revoke_token(call)
