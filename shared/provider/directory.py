# ruff: noqa: PLC0414
"""Until every import names `shared.provider` itself."""

from __future__ import annotations

from shared.provider.devices import DeviceChange as DeviceChange
from shared.provider.devices import DevicePage as DevicePage
from shared.provider.devices import Directory as Directory
from shared.provider.devices import NewDevice as NewDevice
from shared.provider.devices import RemoteDevice as RemoteDevice
