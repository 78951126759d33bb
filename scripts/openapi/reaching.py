"""Calls that reach an integration's other side: the state of a device, and settings."""

from __future__ import annotations

from http import HTTPStatus

from scripts.openapi.headers import LIMITS
from scripts.openapi.operation import Operation, in_query
from scripts.openapi.problems import ADMINS_ONLY, ALWAYS, NAMING_ONE, OUTSIDE, READING_BODY
from shared.devices.state import PATH_LIMIT
from shared.runtime.errors import (
    Conflict,
    InvalidConfig,
    NotSupported,
    RateLimited,
    VaultError,
)

_READ = (*ALWAYS, *NAMING_ONE, *ADMINS_ONLY, *OUTSIDE, InvalidConfig, NotSupported, RateLimited, VaultError)
_REMOVE = (*_READ, Conflict)
_WRITE = (*_REMOVE, *READING_BODY)

_STATE = "devices/{device_id}/state"
_PATH = in_query(
    "path",
    "Names with slashes between, as in `desired/led`.",
    maxLength=PATH_LIMIT,
    pattern=r"^[^\x00-\x1f]*$",
)


def _write_state(name: str, summary: str) -> Operation:
    return Operation(
        name,
        summary,
        _WRITE,
        reply=("ShownState",),
        body="StateValue",
        parameters=(_PATH,),
        headers=LIMITS,
    )


_READ_STATE = Operation(
    "readDeviceState",
    "Read the state of a device, or what is at a path in it",
    _READ,
    reply=("ShownState",),
    parameters=(_PATH,),
    headers=LIMITS,
)
_REMOVE_STATE = Operation(
    "removeDeviceState",
    "Remove what is at a path in the state of a device",
    _REMOVE,
    status=HTTPStatus.NO_CONTENT,
    parameters=(_PATH,),
    headers=LIMITS,
)
_LIST_SETTINGS = Operation(
    "listSettings",
    "List the settings that devices get from the other side",
    _READ,
    reply=("SettingList",),
    parameters=(
        in_query("device_id", "Only those of this device.", format="uuid"),
        in_query("blueprint_id", "Only those of this blueprint, by the other side's id of it."),
    ),
    headers=LIMITS,
)
_CREATE_SETTING = Operation(
    "createSetting",
    "Create a setting for all devices, those of a blueprint, or one",
    _WRITE,
    reply=("OneSetting",),
    status=HTTPStatus.CREATED,
    body="NewSetting",
    headers=LIMITS,
)
_CHANGE_SETTING = Operation(
    "changeSetting",
    "Give a setting another value",
    _WRITE,
    reply=("OneSetting",),
    body="ChangedSetting",
    headers=LIMITS,
)
_REMOVE_SETTING = Operation(
    "removeSetting", "Remove a setting", _REMOVE, status=HTTPStatus.NO_CONTENT, headers=LIMITS
)

REACHING_ONE = {
    _STATE: {
        "get": _READ_STATE,
        "put": _write_state("replaceDeviceState", "Write at a path in the state of a device"),
        "patch": _write_state("mergeDeviceState", "Merge into what is at a path in the state of a device"),
        "delete": _REMOVE_STATE,
    },
    "settings": {"get": _LIST_SETTINGS, "post": _CREATE_SETTING},
    "settings/{setting_id}": {"put": _CHANGE_SETTING, "delete": _REMOVE_SETTING},
}
"""What follows the path of one integration."""
