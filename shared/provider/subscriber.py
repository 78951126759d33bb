# ruff: noqa: PLC0414
"""Until every import names `shared.provider` itself."""

from __future__ import annotations

from shared.provider.deliver import Subscriber as Subscriber
