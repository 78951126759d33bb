"""Reconnecting: which failures another try can't mend, and the backoff before it, with signs of life (heartbeat)."""

from __future__ import annotations

import time
from collections.abc import Iterator

from shared.provider.batch import Batch
from shared.runtime.deadline import LOOK_SECONDS, Deadline
from shared.runtime.errors import AddressBlocked, CredentialsRefused, NameNotResolved, TlsFailed

HOPELESS = (CredentialsRefused, TlsFailed, AddressBlocked, NameNotResolved)
"""What another try in a second can't mend, and must not hammer the other side with."""


def back_off(seconds: float, deadline: Deadline) -> Iterator[Batch]:
    """Wait so long, or until the deadline has expired, with signs of life."""
    wait = deadline.within(seconds)
    while not wait.expired:
        yield Batch()
        time.sleep(min(LOOK_SECONDS, wait.remaining()))
