# ruff: noqa: PLC0414
"""Until every import names `shared.provider` itself."""

from __future__ import annotations

from shared.provider.devices import Direction as Direction
from shared.provider.devices import Policy as Policy
from shared.provider.devices import Syncer as Syncer
