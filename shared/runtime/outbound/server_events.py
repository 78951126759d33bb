"""An event stream (text/event-stream, as the HTML standard has it), cut into its events, each to a limit."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])")
_MARK = b"\xef\xbb\xbf"
MOST_LINES = 10_000
"""Of one event."""


class EventTooLargeError(Exception):
    """An event is larger than its limit."""


class ServerEvent(NamedTuple):
    """One event: its name, `message` where it says none, and its data."""

    name: str
    data: bytes


class EventReader:
    """Cuts events out of `came`, what the body of a reply brought; `limit` is the most bytes of one.

    Comments, by which a server says that it is still there, ids and times to wait count for nothing.
    """

    def __init__(self, came: bytearray, limit: int) -> None:
        self._came = came
        self._limit = limit
        self._seen = 0
        self._is_begun = False
        self._name = b""
        self._data: list[bytes] = []
        self._size = self._lines = 0

    def read(self) -> ServerEvent | None:
        """The next event; None where it is not all there yet. Errors: EventTooLargeError."""
        while (line := self._take_line()) is not None:
            if not line:
                if event := self._end():
                    return event
                continue
            self._lines += 1
            self._add(line)
            if self._size > self._limit or self._lines > MOST_LINES:
                raise EventTooLargeError
        return None

    def _take_line(self) -> bytes | None:
        came = self._came
        found = _LINE_END.search(came, self._seen)
        if found is None:
            # A carriage return at the end may be half of a line's end.
            self._seen = max(0, len(came) - 1)
            if len(came) > self._limit:
                raise EventTooLargeError
            return None
        line = bytes(came[: found.start()])
        del came[: found.end()]
        self._seen = 0
        if not self._is_begun:
            self._is_begun = True
            line = line.removeprefix(_MARK)
        return line

    def _add(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._name = value

    def _end(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size, self._lines = b"", [], 0, 0
        if not data and not name:
            return None
        return ServerEvent(name.decode(errors="replace") or "message", b"\n".join(data))
