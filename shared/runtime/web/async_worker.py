"""uvicorn under gunicorn."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from shared.runtime.web.bounded_protocol import BoundedProtocol

BACKLOG = 256
"""Connections that are accepted before one of them is looked at."""


class AsyncWorker(UvicornWorker):  # type: ignore[misc] # it publishes no types
    """One process, with its event loop."""

    CONFIG_KWARGS: dict[str, Any] = {  # noqa: RUF012 - as uvicorn_worker has it
        "loop": "asyncio",
        "http": BoundedProtocol,
        "ws": "none",
        "lifespan": "off",
        "interface": "asgi3",
        "proxy_headers": False,
        "server_header": False,
        "backlog": BACKLOG,
    }

    def init_signals(self) -> None:
        """uvicorn raises what it was told anew, once all is answered: then what is left to do at exit is done."""
        super().init_signals()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())

    async def callback_notify(self) -> None:
        """Tell that it lives; and end, where nobody is left whom to tell."""
        await super().callback_notify()
        if self.ppid != os.getppid():
            signal.raise_signal(signal.SIGTERM)
