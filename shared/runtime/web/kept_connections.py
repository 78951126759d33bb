"""gunicorn's threads, each of which stays with its connection while requests keep coming on it."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

STAY_SECONDS = 0.05
"""How long a thread waits for the next request of its connection."""


class KeptConnections(ThreadWorker):  # type: ignore[misc] # gunicorn publishes no types
    """Waits for a connection's next request in the thread that served the last one, while another thread is free.

    gunicorn gives a connection back to its one loop after each request, which is most of the work where they are short.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._held = 0
        self._lock = threading.Lock()

    def handle(self, conn: TConn) -> Any:
        """Serve a connection until its requests pause; what it returns is gunicorn's."""
        with self._hold_thread():
            result = super().handle(conn)
            while result is True and self._has_more(conn):
                result = super().handle(conn)
            return result

    @contextmanager
    def _hold_thread(self) -> Iterator[None]:
        with self._lock:
            self._held += 1
        try:
            yield
        finally:
            with self._lock:
                self._held -= 1

    def _has_more(self, conn: TConn) -> bool:
        if not self.alive or conn.is_http2 or self._held >= self.cfg.threads:
            return False
        if conn.parser.unreader.buf.getvalue():
            return True
        waiting = select.poll()
        waiting.register(conn.sock, select.POLLIN)
        return bool(waiting.poll(STAY_SECONDS * 1000))
