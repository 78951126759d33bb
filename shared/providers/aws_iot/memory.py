"""What AWS said of accounts, kept until its time: the sessions of roles, and data endpoints; and that it refused.

Many threads ask for the same: one of them asks AWS, the others wait for what it is told. What was refused is asked for
again after pauses that double, for every command that is due would ask otherwise.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from shared.provider import Backoff, Deadline, OutsideError, TimedOut
from shared.providers.aws_iot.account import Account

Value = TypeVar("Value")

REMEMBERED = 256
"""Accounts that are kept at once; the least lately used is forgotten first."""

PAUSES = Backoff(5.0, 300.0)
SETTLED_SECONDS = 60.0
"""What is younger is not forgotten for being refused: it is a right that is missing then, and a new one has no more."""


@dataclass(slots=True)
class _Known(Generic[Value]):
    value: Value | None = None
    until: datetime | None = None
    learned_at: float = 0.0
    refusal: OutsideError | None = None
    refusals: int = 0
    again_at: float = 0.0
    asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def current(self) -> Value | None:
        """The value, where it holds; raises a refusal that is not to be asked about again yet."""
        if self.value is not None and self.until and self.until > datetime.now(UTC):
            return self.value
        if self.refusal is not None and time.monotonic() < self.again_at:
            raise copy(self.refusal)
        return None


class Memory(Generic[Value]):
    """What was learned of accounts, by all threads of a process."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Known[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def find(
        self, account: Account, deadline: Deadline, learn: Callable[[], tuple[Value, datetime]]
    ) -> Value:
        """What is known of the account, else what `learn` says, until when it says.

        Raises what `learn` does, and for a while the same again, but where `deadline` had come. TimedOut where another
        thread asks for too long.
        """
        known = self._open(account)
        if (value := known.current) is not None:
            return value
        if not known.asking.acquire(timeout=max(0.0, deadline.remaining())):
            raise TimedOut("AWS was asked for the account already, and has not answered in time.")
        try:
            value = known.current
            return self._learn(known, deadline, learn) if value is None else value
        finally:
            known.asking.release()

    def forget(self, account: Account) -> None:
        """Have it learned anew, where it was refused and is not just learned."""
        with self._lock:
            known = self._known.get(account.fingerprint)
            if known is not None and time.monotonic() - known.learned_at >= SETTLED_SECONDS:
                known.value = None

    def pardon(self, account: Account) -> None:
        """Have AWS asked at once, whatever it refused before: somebody may have mended it."""
        with self._lock:
            if (known := self._known.get(account.fingerprint)) is not None:
                known.again_at = 0.0

    def _open(self, account: Account) -> _Known[Value]:
        name = account.fingerprint
        with self._lock:
            known = self._known.setdefault(name, _Known())
            self._known.move_to_end(name)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return known

    @staticmethod
    def _learn(
        known: _Known[Value], deadline: Deadline, learn: Callable[[], tuple[Value, datetime]]
    ) -> Value:
        try:
            known.value, known.until = learn()
        except OutsideError as refusal:
            if isinstance(refusal, TimedOut) and deadline.expired:
                # Whoever asked had too little time, which says nothing of AWS to those who have more.
                raise
            known.refusals += 1
            known.refusal, known.again_at = refusal, time.monotonic() + PAUSES.pause(known.refusals)
            raise
        known.learned_at, known.refusal, known.refusals = time.monotonic(), None, 0
        return known.value
