"""What is answered to those who push messages, and to those who have failed ones decoded again."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import TypedDict

from shared.runtime.bodies import Body, Instant
from shared.runtime.web.paging import Cursor


class Words(Body):
    """The parameters of paths that are not ids of ours."""

    rest: str = ""


class Receipt(TypedDict):
    """What became of the messages in a pushed request: received = stored + duplicates + failed."""

    received: int
    stored: int
    duplicates: int
    failed: int


class ReplayedMessages(Body):
    """The body of POST …/messages/replay: everything that has failed, or what these fields narrow it to."""

    from_: Instant | None = Field(None, alias="from")
    """Received then or later."""
    to: Instant | None = None
    """Received before."""
    cursor: Cursor | None = Field(None, max_length=200)
    """`next_cursor` of the call before: go on from there."""


class ReplayedCounts(TypedDict):
    """Of the failed messages that were looked at: how many are stored now, were stored already, and still fail."""

    replayed: int
    stored: int
    duplicates: int
    failed: int
    next_cursor: str | None
