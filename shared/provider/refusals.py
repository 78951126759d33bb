"""What a platform refuses of what it was asked for, named: what is not there, what is there already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from shared.runtime.errors import Conflict, NotFound, Problem, ProviderRefused


@contextmanager
def name_refusals(
    missing: re.Pattern[str] | None = None, taken: re.Pattern[str] | None = None
) -> Iterator[None]:
    """NotFound for 404 or the words of `missing`, Conflict for 409 or those of `taken`, in the platform's words."""
    try:
        yield
    except ProviderRefused as refusal:
        raise _name(refusal, missing, taken) from None


def _name(
    refusal: ProviderRefused, missing: re.Pattern[str] | None, taken: re.Pattern[str] | None
) -> Problem:
    if refusal.answered == HTTPStatus.NOT_FOUND or (missing and missing.search(refusal.detail)):
        return NotFound(refusal.detail)
    if refusal.answered == HTTPStatus.CONFLICT or (taken and taken.search(refusal.detail)):
        return Conflict(refusal.detail)
    return refusal
