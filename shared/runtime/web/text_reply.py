"""A reply that is no JSON, where what is answered depends on who asks: what a handler returns in place of its own."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class TextReply:
    """Answered with 200 as `media`; with 204 where it is empty; or with `status`, where one is given.

    Bytes are answered as they are, even where there are none.
    """

    text: str | bytes
    media: str = "text/plain"
    status: HTTPStatus | None = None
