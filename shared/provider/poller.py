# ruff: noqa: PLC0414
"""Until every import names `shared.provider` itself."""

from __future__ import annotations

from shared.provider.session import Poller as Poller
