"""One HTTP/1.1 reply, read to its limits. Once its status is read nothing is an error: what is odd is cut, and noted.

An endpoint that answers 200 has taken what it was sent, whatever is wrong with the rest of its answer; to call that a
failure is to send the same again. So headers over the limit, a length that is none, a bad chunk, a reset or a late end
take away the rest of the reply and the connection, never the status.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from shared.runtime.outbound.heads import HEADER_BYTES, HEADER_LINES, Head, NoStatusError, find_status
from shared.runtime.outbound.source import Source

HEAD_BYTES = 262_144
"""Of a whole head: headers over their own limits are read on and left out, up to here."""

MOST_INTERIM = 100
"""`100 Continue` and the like before the reply itself; nobody sends more than one or two."""

LINGER_SECONDS = 0.05
"""How long a body that must not be there may still follow a 204."""

_HEAD_END = re.compile(rb"\n\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;.*)?", re.DOTALL)

_WITHOUT_BODY = frozenset({HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class _Cut(Exception):  # noqa: N818 - no error: it ends the reading, and its text is the reason
    pass


class ReplyReader:
    """Reads one reply from `source`; what it has read so far is there at any time, also when `read` is cancelled.

    `limit` is the most of the body that is kept, `with_body` is false for the reply to HEAD, `linger` says that a 204
    from there is not known yet to come without a body, `meet` is told each part of the body before that is
    kept, and how many bytes are known to follow.
    """

    def __init__(
        self,
        source: Source,
        limit: int,
        *,
        with_body: bool,
        linger: bool,
        meet: Callable[[bytearray, int], None] | None = None,
    ) -> None:
        self._source = source
        self._limit = limit
        self._with_body = with_body
        self._linger = linger
        self._meet = meet
        self.begun: Head | None = None
        self.head: Head | None = None
        self.body = bytearray()
        self.is_whole = False
        self.is_last = False

    async def read(self) -> None:
        """Read the reply; NoStatusError where none came."""
        await self._guard(self._read_reply())

    def read_at_once(self) -> bool:
        """Read a reply that is there already, whole and as it should be, as nearly all are; whether it was one.

        Else nothing is taken: `read` has a step for whatever may be odd. NoStatusError where it is no HTTP reply.
        """
        came = self._source.came
        head = find_status(came) if came.startswith(b"HTTP/") else None
        end = _HEAD_END.search(came, 0, HEAD_BYTES)
        if not head or not end or head.is_interim or head.status in _WITHOUT_BODY or not self._with_body:
            return False
        head.read_headers(came[: end.start() + 1].decode(errors="replace"))
        size = len(came) - end.end()
        is_sized = head.find_length() == size <= self._limit and "transfer-encoding" not in head.framing
        if head.notes or not is_sized or self._meet:
            return False
        self.begun = self.head = head
        self.body += came[end.end() :]
        came.clear()
        self.is_whole, self.is_last = True, head.says_close()
        return True

    async def read_head(self) -> None:
        """Read up to where the body begins; NoStatusError where no reply came."""
        await self._guard(self._begin_reply())

    async def read_rest(self, head: Head) -> None:
        """Read the body behind `head`, where that was whole."""
        self.begun = self.head = head
        if not head.notes:
            await self._guard(self._read_body(head))

    def stop(self, reason: str) -> bool:
        """End the reading for `reason`; whether a status was read."""
        came = self._source.came
        if self.begun is None or self.begun.is_interim:
            return False
        head = self.head or self._begin(self.begun, came[: came.rfind(b"\n", 0, HEAD_BYTES) + 1])
        head.note(reason)
        return True

    @property
    def was_odd(self) -> bool:
        """Whether anything was noted: what else comes from there is not to be believed."""
        return self.head is None or bool(self.head.notes)

    @property
    def came_without_body(self) -> bool:
        """Whether it was a 204 as it should be."""
        head = self.head
        return head is not None and head.status == HTTPStatus.NO_CONTENT and not (head.notes or self.is_last)

    async def _guard(self, reading: Awaitable[object]) -> None:
        try:
            await reading
        except _Cut as cut:
            if not self.stop(str(cut)):
                raise NoStatusError(f"sent no reply yet, and {cut}") from None

    async def _read_reply(self) -> None:
        await self._read_body(await self._begin_reply())
        if self._source.came:
            raise _Cut("more came after its end")

    async def _begin_reply(self) -> Head:
        for _ in range(MOST_INTERIM):
            head, block = await self._read_head()
            if not head.is_interim:
                return self._begin(head, block)
        raise NoStatusError("answered 100 Continue again and again instead of a reply; look into its log")

    async def _read_head(self) -> tuple[Head, bytearray]:
        came, seen, self.begun = self._source.came, 0, None
        if not came:
            await self._more()
        while True:
            if not seen and came[:1] in b"\r\n":
                came[:] = came.lstrip(b"\r\n")
            # The status counts as soon as it is there, however the rest ends.
            self.begun = self.begun or find_status(came)
            if self.begun and (end := _HEAD_END.search(came, seen, HEAD_BYTES)):
                break
            if len(came) > HEAD_BYTES:
                raise _Cut(f"its headers are longer than {HEAD_BYTES} bytes")
            seen = max(0, len(came) - 2)
            await self._more()
        block = came[: end.start() + 1]
        del came[: end.end()]
        return self.begun, block

    def _begin(self, head: Head, block: bytearray) -> Head:
        self.head = head
        head.read_headers(block.decode(errors="replace"))
        return head

    async def _read_body(self, head: Head) -> None:
        codings = head.list_codings()
        if not self._with_body or head.status in _WITHOUT_BODY:
            await self._end_without_body(head, has_codings=bool(codings))
        elif codings and codings[-1] == "chunked":
            await self._read_chunks(head)
        elif not codings and "content-length" in head.framing:
            await self._read_sized(head)
        else:
            await self._read_to_end()

    async def _end_without_body(self, head: Head, *, has_codings: bool) -> None:
        self.is_whole, self.is_last = True, head.says_close() or head.status == HTTPStatus.SWITCHING_PROTOCOLS
        if head.status != HTTPStatus.NO_CONTENT:
            return
        if has_codings or set(head.list_values("content-length")) - {"0"}:
            self.is_last = True
        elif self._linger and not self._source.came:
            await self._source.listen(LINGER_SECONDS)

    async def _read_sized(self, head: Head) -> None:
        length = head.find_length()
        if length is None:
            self._keep(self._source.came)
            raise _Cut("its Content-Length is not one number, so nobody knows where it ends")
        await self._take(length)
        self.is_whole, self.is_last = True, head.says_close()

    async def _read_to_end(self) -> None:
        came = self._source.came
        while came or await self._source.more():
            self._keep(came)
            came.clear()
        if self._source.broken:
            raise _Cut("the connection broke off before its end")
        self.is_whole, self.is_last = True, True

    async def _read_chunks(self, head: Head) -> None:
        # A length beside it is how replies are smuggled: nothing is read from there afterwards.
        is_last = head.says_close() or "content-length" in head.framing or not head.is_latest
        while size := await self._read_chunk_size():
            await self._take(size)
            if await self._read_line():
                raise _Cut("a chunk of its body is longer than it says")
        self.is_whole, self.is_last = True, is_last
        for _ in range(HEADER_LINES):
            if not await self._read_line():
                return
        raise _Cut(f"more than {HEADER_LINES} trailers came")

    async def _read_chunk_size(self) -> int:
        found = _CHUNK.fullmatch(await self._read_line())
        if not found:
            raise _Cut("a chunk of its body has no length")
        return int(found[1], 16)

    async def _read_line(self) -> bytearray:
        came = self._source.came
        while (end := came.find(b"\n")) < 0 and len(came) <= HEADER_BYTES:
            await self._more()
        if not 0 <= end <= HEADER_BYTES:
            raise _Cut(f"its body has a line longer than {HEADER_BYTES} bytes where a chunk begins")
        line = came[:end]
        del came[: end + 1]
        return line.removesuffix(b"\r")

    async def _take(self, size: int) -> None:
        came = self._source.came
        while size:
            if not came:
                await self._more()
            part = came[:size]
            del came[:size]
            size -= len(part)
            self._keep(part, size)

    def _keep(self, part: bytearray, left: int = 0) -> None:
        room = self._limit - len(self.body)
        if self._meet:
            self._meet(part, left)
        self.body += part[:room]
        if len(part) > room:
            raise _Cut(f"its body is longer than {self._limit} bytes")

    async def _more(self) -> None:
        if not await self._source.more():
            if self.begun is None or self.begun.is_interim:
                raise NoStatusError("closed the connection before its reply was complete; look into its log")
            raise _Cut("the connection was closed before its end")
