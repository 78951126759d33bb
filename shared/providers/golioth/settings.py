"""Settings that Golioth brings to devices: of the project, of a blueprint, or of one device, the nearest one counts."""

from __future__ import annotations

from typing import Any, cast

from pydantic import JsonValue

from shared.provider import DataType, Deadline, DeviceSettings, Item, Object, Setting
from shared.providers.golioth.api import Account, GoliothApi, read_data, read_list

CALL_SECONDS = 20.0


class ProjectSettings(DeviceSettings):
    """The settings of one project. Every call ends within `CALL_SECONDS`."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def find(self, device: str | None, blueprint_id: str | None) -> list[Setting]:
        """All of them, or those of a device or a blueprint; Golioth lists them in one page."""
        reply = self._call("GET", query={"deviceId": device, "blueprintId": blueprint_id})
        return [read_setting(item) for item in read_list(reply)]

    def create(self, setting: Setting) -> Setting:
        """Create `setting`."""
        body = {"key": setting.key, "dataType": setting.data_type, "value": setting.value}
        places = {"deviceId": setting.device, "blueprintId": setting.blueprint_id}
        body |= {name: place for name, place in places.items() if place}
        # Not repeated after a 5xx: what was created then would be refused as taken.
        return read_setting(read_data(self._call("POST", body=body, again=False)))

    def change(self, setting_id: str, value: JsonValue) -> Setting:
        """Give it another value."""
        return read_setting(read_data(self._call("PUT", setting_id, body={"value": value})))

    def remove(self, setting_id: str) -> None:
        """Remove it."""
        self._call("DELETE", setting_id)

    def _call(self, method: str, *place: str, **how: Any) -> Any:
        with GoliothApi(self._account, Deadline(CALL_SECONDS)) as api:
            return api.call(method, api.in_project("settings", *place), **how)


def read_setting(fields: Object) -> Setting:
    """A setting as Golioth writes it."""
    item = Item(fields)
    return Setting(
        id=item.text("id") or "",
        key=item.text("key") or "",
        data_type=cast("DataType", item.text("dataType") or "string"),
        value=cast("JsonValue", item.fields.get("value")),
        device=item.text("deviceId"),
        blueprint_id=item.text("blueprintId"),
        created_at=item.text("createdAt"),
        updated_at=item.text("updatedAt"),
    )
