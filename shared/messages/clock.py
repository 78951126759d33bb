"""Clock skew: devices whose times can't be are noted now and then, so that somebody sets their clocks."""

from __future__ import annotations

import time
from collections.abc import Sequence

from shared.provider import UNBELIEVED, Message, Note

AGAIN_SECONDS = 900.0
INTEGRATIONS = 1_000
"""Remembered at a time; of one beyond, the note may come again sooner."""


class ClockWatch:
    """Remembers which integrations were noted lately, in this process; what is lost with it is a note, no data."""

    def __init__(self) -> None:
        self._noted: dict[str, float] = {}

    def find_notes(self, integration_id: str, messages: Sequence[Message]) -> list[Note]:
        """One note where a device has sent a time that is not believed, none where that was said just now."""
        doubted = next(
            (message for message in messages if message.remark and UNBELIEVED in message.remark), None
        )
        now = time.monotonic()
        if doubted is None or now - self._noted.get(integration_id, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return []
        if len(self._noted) >= INTEGRATIONS:
            del self._noted[next(iter(self._noted))]
        self._noted[integration_id] = now
        words = (
            f"Devices send times before 2000 or more than a day ahead, {doubted.device or 'one'} among them: the "
            "time of arrival is used instead. Set their clocks, or see whether timestamp_path and timestamp_format "
            "are right."
        )
        return [Note("warning", words, "clock.skewed")]


watch = ClockWatch()
"""One for the process."""
