"""The head of an HTTP/1.1 reply: its status, its headers to their limits, and what they say of the body's end."""

from __future__ import annotations

import re
from http import HTTPStatus

from multidict import CIMultiDict

HEADER_LINES = 128
HEADER_BYTES = 8190

_STATUS = re.compile(rb"HTTP/(\d\.\d) +([1-9]\d\d)(?=[ \t\r\n])")
_LONGEST_STATUS = 64
_NAME = r"([A-Za-z0-9!#$%&'*+.^_`|~-]++)[ \t]*+"
_FIELD = re.compile(rf"(?m)^{_NAME}:[ \t]*+([^\x00-\x08\n-\x1f\x7f]*+)(?<![ \t])\r?\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_FOLD = re.compile(r"\r?\n[ \t]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_FRAMING = re.compile(r"(?im)^(content-length|transfer-encoding|connection)[ \t]*:(.*)$")

_NONE: CIMultiDict[str] = CIMultiDict()


class NoStatusError(Exception):
    """No status was read; the text goes on from the host's name."""


class Head:
    """What was read of a head. `headers` are those that are kept, `framing` has all that say where the reply ends."""

    __slots__ = ("framing", "headers", "is_latest", "notes", "status")

    def __init__(self, status: int, *, is_latest: bool) -> None:
        self.status = status
        self.is_latest = is_latest
        self.headers = self.framing = _NONE
        self.notes: list[str] = []

    @property
    def is_interim(self) -> bool:
        """Whether another head follows: `100 Continue` and the like."""
        return self.status < 200 and self.status != 101  # noqa: PLR2004 - 1xx, but Switching Protocols

    @property
    def is_success(self) -> bool:
        """Whether what was asked for is done."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def says_close(self) -> bool:
        """Whether the connection ends with this reply."""
        if self.is_latest and "connection" not in self.framing:
            return False
        said = self.list_values("connection")
        return "close" in said or not (self.is_latest or "keep-alive" in said)

    def list_codings(self) -> list[str]:
        """The transfer codings in their order, but for the one that says there is none."""
        return [coding for coding in self.list_values("transfer-encoding") if coding not in {"", "identity"}]

    def list_values(self, name: str) -> list[str]:
        """Every value of the header `name`, in lower case, those between commas apart."""
        if name not in self.framing:
            return []
        return [value.strip().lower() for value in ",".join(self.framing.getall(name)).split(",")]

    def find_length(self) -> int | None:
        """How long the body is; None where no length is given, or not one number."""
        lengths = set(self.list_values("content-length"))
        length = lengths.pop() if len(lengths) == 1 else ""
        return int(length) if _LENGTH.fullmatch(length) else None

    def read_headers(self, block: str) -> None:
        """Add the headers in `block`, whole lines from the status line on; what is over the limits is left out."""
        _, _, lines = block.partition("\n")
        count = lines.count("\n")
        if count <= HEADER_LINES and len(lines) <= HEADER_BYTES:
            fields = _FIELD.findall(lines)
            if len(fields) == count:
                self.headers = self.framing = CIMultiDict(fields)
                return
        self._read_odd_headers(lines)

    def _read_odd_headers(self, lines: str) -> None:
        text = _CONTROL.sub(" ", _FOLD.sub(" ", lines)).rstrip("\r\n")
        self.headers = CIMultiDict()
        *kept, rest = [*text.split("\n", HEADER_LINES), ""][: HEADER_LINES + 1]
        for line in kept:
            if line:
                self._read_odd_header(line)
        self.framing = self.headers.copy()
        if rest:
            self.notes.append(f"more than {HEADER_LINES} headers came")
            self.framing.extend(_FRAMING.findall(rest))

    def _read_odd_header(self, line: str) -> None:
        name, _, value = line.partition(":")
        if not re.fullmatch(_NAME, name) or name == line:
            self.note("it has a header without a name")
            return
        if len(line) > HEADER_BYTES:
            self.note(f"it has a header longer than {HEADER_BYTES} bytes")
        self.headers.add(name.rstrip()[:HEADER_BYTES], value.strip()[:HEADER_BYTES])

    def note(self, reason: str) -> None:
        """Something is not as it should be, for `reason`."""
        if reason not in self.notes:
            self.notes.append(reason)


def find_status(came: bytearray) -> Head | None:
    """The head that begins with `came`, its status alone; None where that is not there yet.

    NoStatusError where it is no HTTP reply.
    """
    if found := _STATUS.match(came):
        return Head(int(found[2]), is_latest=found[1] == b"1.1")
    if b"\n" in came or len(came) > _LONGEST_STATUS or not b"HTTP/".startswith(bytes(came[:5])):
        raise NoStatusError("sent something that is not an HTTP reply; check that the port is right")
    return None
