"""Simulated devices, each in a thread of its own that does not keep the demo from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable


class Simulation:
    """Runs `act(name)` for every name side by side, from now on."""

    def __init__(self, act: Callable[[str], None], names: Iterable[str]) -> None:
        self._act = act
        self._errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._run, args=(name,), daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    @property
    def running(self) -> bool:
        """Whether any is still at it."""
        return any(thread.is_alive() for thread in self._threads)

    def finish(self) -> None:
        """Waits for all; raises what the first that failed has raised."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, name: str) -> None:
        try:
            self._act(name)
        except Exception as error:  # noqa: BLE001 - raised again by finish()
            self._errors.append(error)
