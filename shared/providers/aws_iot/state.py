"""A thing's shadows as one tree: the classic one at its root, the named ones below `named`.

Of the classic one there are `desired`, `reported`, `delta` and `version`; `named` lists the others' names, `named/cfg`
is the shadow cfg with the same four. Only what is desired is written: the rest is the device's own, or AWS's. AWS
merges what it is sent, and null removes; so what is to be replaced is compared with what is there, and written for that
version alone. 409 says that there is a newer one, which is read again. Source: AWS IoT's documentation of shadows.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import JsonValue

from shared.provider import BadRequest, Deadline, DeviceState, FieldError, Item, Path, ProviderRefused
from shared.providers.aws_iot.account import Account
from shared.providers.aws_iot.api import AwsApi, open_api

CALL_SECONDS = 20.0
TRIES = 5
NAMED, DESIRED = "named", "desired"
ONLY_DESIRED = "Only what is desired can be written: desired/…, or named/<shadow>/desired/…"


class Shadows(DeviceState):
    """The shadows of one thing, by its name. Every call ends within `CALL_SECONDS`."""

    def __init__(self, account: Account, thing: str) -> None:
        self._account = account
        self._thing = thing

    def read(self, path: Path) -> JsonValue:
        """The value at `path`; None where there is none."""
        with self._open() as api:
            if path == (NAMED,):
                return self._list_names(api)
            shadow, inner = split_path(path)
            document = self._read(api, shadow)
            if not inner and shadow is None:
                document = {**document, NAMED: self._list_names(api)}
            return find_value(document or None, inner)

    def write(self, path: Path, value: JsonValue, *, merge: bool) -> JsonValue:
        """Write below `desired`; what is desired there now. A null within an object removes, as AWS has it."""
        shadow, inner = self._require_desired(path)
        with self._open() as api:
            for tries_left in reversed(range(TRIES)):
                document = self._read(api, shadow)
                there = find_value(document.get(DESIRED), inner[1:])
                change = value if merge else replace_value(there, value)
                try:
                    self._update(api, shadow, inner, change, None if merge else document.get("version"))
                except ProviderRefused as refusal:
                    if refusal.answered != HTTPStatus.CONFLICT or not tries_left:
                        raise
                    continue
                break
            return find_value(self._read(api, shadow), inner)

    def remove(self, path: Path) -> None:
        """Remove what is at `path`, or a named shadow as a whole."""
        with self._open() as api:
            try:
                if len(path) == len((NAMED, "shadow")) and path[0] == NAMED:
                    api.run("iot:DeleteThingShadow", self._thing, query={"name": path[1]})
                    return
                shadow, inner = self._require_desired(path)
                if find_value(self._read(api, shadow), inner) is not None:
                    self._update(api, shadow, inner, None, None)
            except ProviderRefused as refusal:
                if refusal.answered != HTTPStatus.NOT_FOUND:
                    raise

    def _open(self) -> AwsApi:
        return open_api(self._account, "data", Deadline(CALL_SECONDS))

    def _require_desired(self, path: Path) -> tuple[str | None, Path]:
        shadow, inner = split_path(path)
        if not inner or inner[0] != DESIRED:
            raise BadRequest(errors=[FieldError("path", ONLY_DESIRED)])
        return shadow, inner

    def _read(self, api: AwsApi, shadow: str | None) -> dict[str, JsonValue]:
        """Its state and version; empty where there is none."""
        try:
            reply = Item(api.run("iot:GetThingShadow", self._thing, query={"name": shadow}))
        except ProviderRefused as refusal:
            if refusal.answered == HTTPStatus.NOT_FOUND:
                return {}
            raise
        state: Mapping[str, Any] = reply.item("state").fields
        return {**state, "version": reply.count("version")}

    def _update(
        self, api: AwsApi, shadow: str | None, path: Path, value: JsonValue, version: JsonValue
    ) -> None:
        change = value
        for name in reversed(path):
            change = {name: change}
        body = {"state": change} | ({} if version is None else {"version": version})
        # Once more does no harm: what is desired stays so, and another version is refused.
        api.run("iot:UpdateThingShadow", self._thing, body=body, query={"name": shadow})

    def _list_names(self, api: AwsApi) -> JsonValue:
        names: list[JsonValue] = list(
            api.list_all("iot:ListNamedShadowsForThing", self._thing, items="results")
        )
        return names


def split_path(path: Path) -> tuple[str | None, Path]:
    """The shadow that a path leads into, None for the classic one, and the rest."""
    return (path[1], path[2:]) if path[:1] == (NAMED,) and path[1:] else (None, path)


def find_value(document: JsonValue, path: Path) -> JsonValue:
    """What is at a path; None where there is nothing."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def replace_value(there: JsonValue, wanted: JsonValue) -> JsonValue:
    """What AWS has to be sent so that `wanted` takes the place of `there`: null for each name that goes."""
    if not isinstance(there, dict) or not isinstance(wanted, dict):
        return wanted
    gone: dict[str, JsonValue] = {name: None for name in there if name not in wanted}
    return gone | {name: replace_value(there.get(name), value) for name, value in wanted.items()}
