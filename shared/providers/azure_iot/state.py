"""The twin of one device: `desired` and `tags`, written here, `reported`, which the device writes, and its `status`.

A twin merges what is written into what is there, and null removes. To write a value in the place of another it is read
first, and written only if it is still so (If-Match with its etag); where it is not, that is done again.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from pydantic import JsonValue

from shared.provider import Deadline, DeviceState, Item, Path, ProtocolFailed, ProviderRefused, find_path
from shared.providers.azure_iot.api import Account, AzureApi

CALL_SECONDS = 20.0
TRIES = 5
WRITABLE = {"desired", "tags"}
STATUSES = ("enabled", "disabled")
READ_ONLY = 'Write below desired or tags, or status ("enabled" or "disabled"): reported is the device\'s own.'
Tree = dict[str, Any]


class Twin(DeviceState):
    """The twin of one device, by its id. Every call ends within `CALL_SECONDS`."""

    def __init__(self, account: Account, device: str) -> None:
        self._account, self._device = account, device

    def read(self, path: Path) -> JsonValue:
        """What is at `path` of `{desired, reported, tags, status}`."""
        with self._open() as api:
            return _pick(_read_tree(self._get(api)), path)

    def write(self, path: Path, value: JsonValue, *, merge: bool) -> JsonValue:
        """Write `value`; what is there now."""
        with self._open() as api:
            if path == ("status",):
                return self._set_status(api, value)
            if path[0] not in WRITABLE or (len(path) == 1 and not isinstance(value, dict)):
                raise ProviderRefused(READ_ONLY, answered=HTTPStatus.BAD_REQUEST)
            if merge or not isinstance(value, dict):
                return _pick(_read_tree(self._patch(api, _nest(path, value))), path)
            return self._replace(api, path, value)

    def remove(self, path: Path) -> None:
        """Remove what is at `path`."""
        if len(path) < 2 or path[0] not in WRITABLE:  # noqa: PLR2004 - below one of them
            raise ProviderRefused(READ_ONLY, answered=HTTPStatus.BAD_REQUEST)
        with self._open() as api:
            self._patch(api, _nest(path, None))

    def _open(self) -> AzureApi:
        return AzureApi(self._account, Deadline(CALL_SECONDS))

    def _get(self, api: AzureApi) -> Item:
        return Item(api.call("GET", api.join_path("twins", self._device)))

    def _patch(self, api: AzureApi, tree: Tree, etag: str = "*") -> Item:
        body = {"properties": {"desired": tree["desired"]}} if "desired" in tree else tree
        with api.sending({"If-Match": etag}):
            return Item(api.call("PATCH", api.join_path("twins", self._device), body))

    def _replace(self, api: AzureApi, path: Path, value: Tree) -> JsonValue:
        for _ in range(TRIES):
            twin = self._get(api)
            known = _pick(_read_tree(twin), path)
            change = _find_change(known if isinstance(known, dict) else {}, value)
            try:
                return _pick(_read_tree(self._patch(api, _nest(path, change), _quote(twin))), path)
            except ProviderRefused as refusal:
                if refusal.answered != HTTPStatus.PRECONDITION_FAILED:
                    raise
        words = "Somebody else writes this twin all the time; try again."
        raise ProviderRefused(words, answered=HTTPStatus.CONFLICT)

    def _set_status(self, api: AzureApi, value: JsonValue) -> JsonValue:
        if value not in STATUSES:
            raise ProviderRefused(READ_ONLY, answered=HTTPStatus.BAD_REQUEST)
        path = api.join_path("devices", self._device)
        known = Item(api.call("GET", path))
        with api.sending({"If-Match": _quote(known)}):
            changed = Item(api.call("PUT", path, {**known.fields, "status": value}))
        return changed.text("status")


def _read_tree(twin: Item) -> Tree:
    if "properties" not in twin.fields:
        raise ProtocolFailed("IoT Hub answered without a twin.")
    properties = twin.item("properties")
    tree: Tree = {name: drop_metadata(properties.item(name)) for name in ("desired", "reported")}
    return tree | {"tags": dict(twin.item("tags").fields), "status": twin.text("status")}


def drop_metadata(properties: Item) -> Tree:
    """The properties without what the hub says of them ($metadata, $version)."""
    return {name: value for name, value in properties.fields.items() if not name.startswith("$")}


def _pick(tree: Any, path: Path) -> JsonValue:
    found: JsonValue = tree
    for name in path:
        # One name at a time, for a name of theirs may hold a full stop.
        found = found.get(name) if isinstance(found, dict) else find_path(found, name)
    return found


def _nest(path: Path, value: Any) -> Tree:
    return {path[0]: _nest(path[1:], value) if len(path) > 1 else value}


def _find_change(known: Tree, wanted: Tree) -> Tree:
    """What is to be merged into `known` for it to be `wanted`: null for what goes."""
    gone = {name: None for name in known if name not in wanted}
    both = {
        name: _find_change(known[name], value)
        for name, value in wanted.items()
        if isinstance(value, dict) and isinstance(known.get(name), dict)
    }
    return {**gone, **wanted, **both}


def _quote(item: Item) -> str:
    etag = item.text("etag") or "*"
    return etag if etag == "*" or etag.startswith('"') else f'"{etag}"'
