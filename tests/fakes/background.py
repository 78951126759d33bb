"""A socket server that runs beside the test."""

from __future__ import annotations

import threading
from socketserver import TCPServer
from typing import Self


class InBackground:
    """Serves in a thread of its own for as long as a `with` lasts."""

    def __init__(self, server: TCPServer) -> None:
        self._server = server
        self.port = int(server.server_address[1])
        # Poll often: shutdown waits for the next look.
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
