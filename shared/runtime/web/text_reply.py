"""A reply that is no JSON, where what is answered depends on who asks: what a handler returns in place of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextReply:
    """Answered with 200 as `media`; with 204 where it is empty."""

    text: str
    media: str = "text/plain"
