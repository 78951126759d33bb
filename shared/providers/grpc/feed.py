"""What a stream brings, read ahead by a thread of its own as far as there is room; beyond that the service waits."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from shared.providers.grpc.channel import explain_errors
from shared.providers.grpc.plan import ServicePlan

AHEAD_MESSAGES, AHEAD_BYTES = 500, 1_048_576
"""Read before they are taken; HTTP/2 makes the service wait for the rest."""

JOIN_SECONDS = 5.0


class Feed:
    """Use it in a `with`, from one thread; `call` is cancelled at its end."""

    def __init__(self, call: Any, plan: ServicePlan) -> None:
        self._call = call
        self._plan = plan
        self._bodies: deque[bytes] = deque()
        self._size = 0
        self._failure: BaseException | None = None
        self._has_ended = self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="grpc stream", daemon=True)

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._call.cancel()
        self._thread.join(JOIN_SECONDS)

    @property
    def has_ended(self) -> bool:
        """Whether the service has ended the stream, and all that it sent was taken."""
        return self._has_ended and not self._bodies and self._failure is None

    def take(self, seconds: float, most: int) -> list[bytes]:
        """Up to so many messages, at least one unless none comes in so many seconds.

        Errors: OutsideError, what ended the stream, once what came before that is taken.
        """
        with self._changed:
            if not self._bodies and not self._has_ended:
                self._changed.wait(seconds)
            taken = [self._bodies.popleft() for _ in range(min(most, len(self._bodies)))]
            self._size -= sum(map(len, taken))
            self._changed.notify_all()
            if not taken and self._failure is not None:
                with explain_errors(self._plan):
                    raise self._failure
            return taken

    def _read(self) -> None:
        failure: BaseException | None = None
        try:
            for body in self._call:
                if not self._put(body):
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is taken
            failure = error
        with self._changed:
            self._failure, self._has_ended = failure, True
            self._changed.notify_all()

    def _put(self, body: bytes) -> bool:
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._bodies.append(body)
            self._size += len(body)
            self._changed.notify_all()
            return not self._is_closed

    def _has_room(self) -> bool:
        has_room = len(self._bodies) < AHEAD_MESSAGES and self._size < AHEAD_BYTES
        return has_room or self._is_closed
