"""uvicorn's reading of HTTP, with bounds on what is not a request yet: its head, its time, its connections."""

from __future__ import annotations

import asyncio
from heapq import nsmallest

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.runtime.open_files import allow_files

HEAD_LIMIT = 65_536
"""Bytes of a request's head."""

HEAD_FIELDS = 100
"""Headers of a request: as many as gunicorn takes, whose threads serve the other functions."""

PIPELINED = 100
"""Requests of a connection that wait for the answers before theirs; with more of them it ends after these."""

READ_BYTES = 65_536
"""What is taken from a connection at a time."""

REQUEST_SECONDS = 40.0
"""Within which a request has to be there, and an answer read; a body that trickles has less (`streamed`)."""

MOST_CONNECTIONS = 1_000
"""With more of them, those end that have kept us waiting for longest."""

ENDED_AT_ONCE = 50
"""Then so large a part of them ends together: to look for one each time would be what a flood of them costs."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    since = 0.0
    """When, of the loop's clock, its sender last began or read something."""

    _begun = False
    """Whether part of a request is there, and not all of it."""
    _head: int | None = None
    """Bytes of a head that is not complete; None between heads."""
    _fields = 0
    _is_upgrade = False
    """Whether the head that was read asks for another protocol."""
    _is_deaf = False
    """Whether what still comes is dropped: it can't be read, or nobody would answer it."""
    _is_over = False
    _ending: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether only its sender can bring it on: by the rest of a request, by the next, or by reading answers."""
        if self._is_over or self.flow.write_paused:
            return not self._is_over
        return not self.pipeline and (self._is_answered or self.cycle.more_body)

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Make room, where there are too many; and wait for a first request no longer than for another."""
        super().connection_made(transport)
        transport.max_size = READ_BYTES  # type: ignore[attr-defined] # as asyncio's own transports have it
        self.since = self.loop.time()
        self._await_request()
        most = min(MOST_CONNECTIONS, allow_files() // 2)
        if len(self.connections) > most:
            self._make_room(most)

    def end(self) -> None:
        """End it at once, whatever its sender has not read."""
        self._is_deaf = self._is_over = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        self._disarm()
        # uvicorn lets it run on after a reset, and with it all that belongs to the connection.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; what is complete by then costs nothing more."""
        if self._is_deaf:
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except HttpParserError:
            self._refuse("Invalid HTTP request received.")
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_LIMIT and not self._is_deaf:
                self._refuse("The head of the request is too large.")
        self._watch()

    def eof_received(self) -> bool:  # type: ignore[override] # as of asyncio
        """Whether the connection stays: who sends no more may still read the answers that are due."""
        is_due = not self._is_answered and not self.waits
        if is_due:
            self._end_after_answers()
        return is_due

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= PIPELINED:
            raise OverflowError("Too many requests wait for their answers.")
        self._disarm()
        self.since = self.loop.time()
        self._begun, self._head, self._fields = True, 0, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its head; those that follow a body in chunks come too late for whoever has proven the head."""
        if self._head is None:
            return
        self._fields += 1
        if self._fields > HEAD_FIELDS:
            raise OverflowError("The request has too many headers.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._head = None
        self._is_upgrade = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if not self._is_upgrade:
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        if not self._is_upgrade:
            self._begun = False
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer was given."""
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Its sender reads no answers."""
        self.since = self.loop.time()
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._watch()

    def _feed(self, data: bytes) -> None:
        """Parse it; a request for another protocol as one that asks for none, as it is all the same to us.

        httptools takes what follows such a head for the other protocol, though a body may follow.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                if self._is_upgrade:
                    data = self._write_plain_head() + data
                else:
                    # A tunnel's: no further request.
                    self._end_after_answers()
                    return
            else:
                return

    def _write_plain_head(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, why: str) -> None:
        """400, where no other answer is due before or has begun."""
        is_in_body = self._begun and self._head is None
        if is_in_body and (self.pipeline or self.cycle.response_started):
            self.end()
        elif is_in_body or self._is_answered:
            self._is_deaf = True
            self.send_400_response(why)
        else:
            self._end_after_answers()

    def _end_after_answers(self) -> None:
        self._is_deaf = True
        self.cycle.keep_alive = False

    def _await_request(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _watch(self) -> None:
        """End it in a while, unless its sender goes on."""
        if self._begun or self.flow.write_paused:
            if self._ending is None:
                self._ending = self.loop.call_later(REQUEST_SECONDS, self.end)
            return
        self._disarm()
        if self._is_answered and not self.timeout_keep_alive_task and not self.transport.is_closing():
            # Nothing but empty lines came.
            self._await_request()

    def _disarm(self) -> None:
        if self._ending:
            self._ending.cancel()
            self._ending = None

    def _make_room(self, most: int) -> None:
        others = (each for each in self.connections if isinstance(each, BoundedProtocol) and each is not self)
        waiting = [each for each in others if each.waits]
        for each in nsmallest(max(1, most // ENDED_AT_ONCE), waiting, key=lambda each: each.since) or [self]:
            each.end()
