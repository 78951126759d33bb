# ruff: noqa: PLC0414
"""Until every import names `shared.provider` itself."""

from __future__ import annotations

from shared.provider.settings import DataType as DataType
from shared.provider.settings import DeviceSettings
from shared.provider.settings import Setting as Setting
from shared.provider.state import DeviceState as DeviceState
from shared.provider.state import Path as Path

Settings = DeviceSettings
