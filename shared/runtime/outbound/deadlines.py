"""Ends requests that take too long. One timer for all of them: one for each would cost a tenth of the request."""

from __future__ import annotations

import asyncio

LOOK_SECONDS = 0.05


class Deadlines:
    """Cancels the tasks whose time is up, at most `LOOK_SECONDS` late; for one event loop.

    `start` says that the current task begins something that may take so long, `end` that it is over and whether it
    was cancelled from here. As with `asyncio.timeout`, a cancellation from elsewhere stays one.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends: dict[asyncio.Task[object], float] = {}
        self._cancelled: set[asyncio.Task[object]] = set()
        self._looking = False

    def start(self, seconds: float) -> asyncio.Task[object]:
        """The current task has `seconds` from now."""
        # To ask for the running loop would be a system call.
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - only coroutines send
        self._ends[task] = self._loop.time() + seconds
        if not self._looking:
            self._looking = True
            self._loop.call_later(LOOK_SECONDS, self._look)
        return task

    def end(self, task: asyncio.Task[object]) -> bool:
        """Whether the time of `task` was up; then its cancellation has been taken back, unless there is another."""
        self._ends.pop(task, None)
        if task not in self._cancelled:
            return False
        self._cancelled.discard(task)
        return task.uncancel() == 0

    def _look(self) -> None:
        now = self._loop.time()
        for task in [task for task, ends in self._ends.items() if ends <= now]:
            del self._ends[task]
            self._cancelled.add(task)
            task.cancel()
        self._looking = bool(self._ends)
        if self._looking:
            self._loop.call_later(LOOK_SECONDS, self._look)
