"""A bare connection to a server that a test has started, for what a client library would not send or see."""

from __future__ import annotations

import socket
from typing import Self


class BareConnection:
    """Bytes are sent as they are; answers are read line by line."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._reader = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._socket.close()
