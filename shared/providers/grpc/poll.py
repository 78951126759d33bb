"""Polling: page after page until nothing new comes, each stored with where to go on, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.provider import (
    Batch,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    Template,
    cut_bodies,
    find_items,
    find_path,
    write_item,
)
from shared.providers.grpc.descriptors import Method
from shared.providers.grpc.failures import CursorGone, is_hopeless, refuse_config
from shared.providers.grpc.items import CURSOR_BYTES, MESSAGE, find_cursor, hash_parts
from shared.providers.grpc.outbox import Reading
from shared.providers.grpc.requests import make_request
from shared.providers.grpc.values import BodyReader

CALL_SECONDS = 30.0
MOST_PAGES = 100
"""Of one poll; what is left follows at once, with the next one."""

MOST_PAGES_IN_ALL = 10_000
PAGE_BYTES = 1_048_576
"""For which memory is taken before a page is asked for."""

GAP = (
    "The service has no longer what follows the cursor: what it had until then and was not read yet is lost. "
    "It is read from first_cursor."
)


def poll_pages(reading: Reading) -> Iterator[Batch]:
    """Batches of what the method answers. Errors: OutsideError, InvalidConfig, Unavailable."""
    poll, outbox, deadline = _Poll(reading), reading.outbox, reading.deadline
    has_more = True
    for _ in range(MOST_PAGES):
        yield from outbox.wait_for_room(deadline, PAGE_BYTES)
        if deadline.expired:
            break
        try:
            items, has_more = poll.read_page()
        except OutsideError:
            if reading.memory.has_news:
                yield from outbox.close_batch(deadline)
            yield from outbox.settle()
            raise
        bodies = [write_item(item) for item in items]
        parts = list(cut_bodies([(name_item(body), body) for body in bodies]))
        for number, part in enumerate(parts, start=1):
            for event_id, body in part:
                outbox.collect(event_id, body)
            yield from outbox.close_batch(deadline, saves=number == len(parts))
        if not has_more:
            break
    yield from outbox.settle()
    yield Batch(more=has_more)


def name_item(body: bytes) -> str:
    """The event id of an item that names none itself: its content, so that it is the same when it comes again."""
    return f"item:{hash_parts(body)}"


class _Poll:
    """The pages of one poll."""

    def __init__(self, reading: Reading) -> None:
        self._plan = reading.plan
        self._channel = reading.service.channel
        self._method = reading.method
        self._memory = reading.memory
        self._reader = BodyReader(reading.service.schema.pool)
        self._is_resumed = self._memory.page is not None

    def read_page(self) -> tuple[list[Any], bool]:
        """The items of the next page, and whether there is more; the memory is behind it then."""
        try:
            document = self._ask()
        except CursorGone:
            if self._memory.cursor == self._plan.first_cursor and self._memory.page is None:
                raise
            self._memory.note("warning", GAP, "broker.overflowed")
            self._memory.forget_place(self._plan.first_cursor)
            document = self._ask()
        except ProviderRefused as problem:
            if not (self._is_resumed and is_hopeless(problem)):
                raise
            # The name of a page lives shorter than a cursor: the poll it was of is begun anew, and nothing is lost.
            self._memory.forget_page()
            document = self._ask()
        self._is_resumed = False
        items = find_items(document, self._plan.items_path, MESSAGE)
        return items, self._move(document, items)

    def _ask(self) -> Any:
        values = {"cursor": self._memory.cursor, "page": self._memory.page}
        request = make_read_request(self._method, self._plan.request, values)
        body = self._channel.call(self._method.path, request, CALL_SECONDS)
        try:
            return self._reader.read(self._method.reply, body)
        except ValueError as error:
            raise ProtocolFailed(
                f"The answer of {self._method.name} can't be read: {error}. Are the descriptors those of the service?"
            ) from None

    def _move(self, document: Any, items: list[Any]) -> bool:
        """Go on behind what was read; whether there is more. All pages of a poll belong to one cursor."""
        memory = self._memory
        cursor = find_cursor(document, items, self._plan.cursor_path)
        if not self._plan.page_path:
            is_ahead = cursor is not None and cursor != memory.cursor
            memory.cursor = cursor if is_ahead else memory.cursor
            return is_ahead and bool(items)
        memory.ahead = memory.ahead if cursor is None else cursor
        page = _read_page_token(document, self._plan.page_path)
        if page is not None and page != memory.page:
            memory.page, memory.pages = page, memory.pages + 1
            if memory.pages > MOST_PAGES_IN_ALL:
                memory.forget_page()
                raise ProtocolFailed(
                    f"There are more than {MOST_PAGES_IN_ALL:,} pages; ask for what is new, by a cursor."
                )
            return True
        memory.cursor = memory.cursor if memory.ahead is None else memory.ahead
        memory.forget_page()
        return False


def make_read_request(method: Method, template: Template | None, values: dict[str, Any]) -> bytes:
    """The request for messages; InvalidConfig where the template makes none."""
    try:
        return make_request(method, template, values)
    except ValueError as error:
        raise refuse_config("request", error) from None


def _read_page_token(document: Any, path: str) -> str | int | None:
    """What names the next page; None where there is none."""
    found = find_path(document, path)
    if isinstance(found, bool) or not isinstance(found, str | int) or found in {"", 0}:
        return None
    if len(str(found)) > CURSOR_BYTES:
        raise ProtocolFailed(
            f"page_path finds more than {CURSOR_BYTES:,} characters; a page's name has at most so many."
        )
    return found
