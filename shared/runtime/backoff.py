"""Retries: whether another try may help, the backoff before it, and what Retry-After asks for."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

PASSING = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.LOCKED,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""Of 4xx, which say that the request is wrong, those that say "not now". 409 and 410 are none: a name that is taken
stays taken, and what is gone stays gone."""

NEVER = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})
"""Of 5xx, which say that the other side has failed, those that it will say again."""

JITTER = 0.2
"""Pauses are up to so much shorter or longer, so that what failed together does not come back together."""

MOST_DOUBLINGS = 30
LONGEST_ASKED = 366 * 86_400.0
_SECONDS = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


def is_final_status(status: int) -> bool:
    """Whether the very same request would be answered the same; 0 is no answer at all, which passes.

    The one table for sync, rollouts, provisioning, commands and deliveries. 3xx pass: nothing was refused, and the
    address that has moved can be mended in the config.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return status in NEVER
    return status >= HTTPStatus.BAD_REQUEST and status not in PASSING


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double with each failure in a row, from `first` to `longest` seconds, with jitter."""

    first: float
    longest: float

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, at least one."""
        doublings = min(max(failures - 1, 0), MOST_DOUBLINGS)
        return vary_pause(min(self.first * 2.0**doublings, self.longest))


def vary_pause(seconds: float, less: float = JITTER) -> float:
    """`seconds` with jitter: up to 20 % more, and down to `less` of it fewer."""
    return seconds * random.uniform(1 - less, 1 + JITTER)  # noqa: S311 - jitter, not a secret


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds asked for by `Retry-After` (seconds or an HTTP date), from 0 to a year; None when absent or unreadable.

    Raises nothing, whatever a stranger writes there.
    """
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    try:
        asked = float(text) if _SECONDS.fullmatch(text) else _read_date(text, now)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return min(max(0.0, asked), LONGEST_ASKED)


def _read_date(text: str, now: datetime) -> float:
    return (parsedate_to_datetime(text) - now).total_seconds()
