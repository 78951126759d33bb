"""Catching up: the query from the saved cursor on, page by page, each stored with where to go on, in one transaction.

The query is what counts: only it moves the cursor, so whatever a subscription leaves out it brings later.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from shared.provider import (
    Access,
    Batch,
    Codec,
    Deadline,
    Lifted,
    NamedBody,
    Pages,
    ProviderRefused,
    cut_bodies,
    decode_items,
    write_item,
)
from shared.providers.graphql.api import GraphqlApi, Result
from shared.providers.graphql.outbox import ResultOutbox
from shared.providers.graphql.reading import Read, ResultReader
from shared.providers.graphql.saved_state import Memory

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql

MOST_PAGES = 100
"""Of one poll; what is left follows at once, with the next one."""

MOST_SEEN = 20_000
BACKWARDS = (
    "The query's cursor went back to one that was asked for before, so nothing more was asked for: it has to grow "
    "with what is new."
)


class Seen:
    """What a subscription has brought lately, so that the query need not bring it again.

    Of event ids, which may be long, only hashes are kept. `changed` says that it has brought something.
    """

    def __init__(self) -> None:
        self._names: OrderedDict[bytes, None] = OrderedDict()
        self.changed = False

    def add(self, bodies: Sequence[NamedBody]) -> None:
        """These are handed over."""
        self._names.update((_shorten(name), None) for name, _ in bodies)
        self.changed = self.changed or bool(bodies)
        while len(self._names) > MOST_SEEN:
            self._names.popitem(last=False)

    def drop_known(self, bodies: Sequence[NamedBody]) -> list[NamedBody]:
        """Those that are not among them."""
        return [each for each in bodies if _shorten(each[0]) not in self._names]


class CatchUp:
    """Asks the query of one integration; for one session."""

    def __init__(self, graphql: Graphql, memory: Memory, outbox: ResultOutbox, seen: Seen) -> None:
        self._graphql = graphql
        self._memory = memory
        self._outbox = outbox
        self._seen = seen
        self._reader = ResultReader(graphql, graphql.query_items, graphql.query_cursor)
        self._codec: Codec | None = graphql.open_codec("codec") if graphql.codec else None
        self.has_more = False

    def run(self, deadline: Deadline) -> Iterator[Batch]:
        """Batches of all there is; `has_more` says afterwards that it was cut off. Errors: OutsideError, Unavailable.

        What was committed until then stays.
        """
        self._seen.changed = False
        self.has_more = True
        pages, met = Pages(is_empty_last=True), {write_item(self._memory.cursor)}
        with GraphqlApi(self._access, deadline) as api:
            for _ in range(MOST_PAGES):
                read, lifted = self._ask(api)
                bodies = self._reader.name(read.items, lifted)
                self._reader.judge(read, bodies, self._memory)
                is_last = pages.is_last({name for name, _ in bodies})
                is_last = not self._move(read, met) or is_last
                yield from self._hand(self._seen.drop_known(bodies))
                if is_last:
                    self.has_more = False
                    return
                if deadline.expired:
                    return

    @property
    def _access(self) -> Access:
        return self._graphql.access

    def _ask(self, api: GraphqlApi) -> tuple[Read, Lifted]:
        result = api.run(self._graphql.query or "", self._graphql.fill_query(self._memory.cursor))
        read = self._reader.read_one(result.data)
        self._judge(result, read)
        return read, result.lifted

    def _judge(self, result: Result, read: Read) -> None:
        """What has errors is of use where it has items, which is told."""
        if result.errors is None:
            self._memory.forget_told("partial")
            return
        if not read.items:
            raise ProviderRefused(f"{self._access.name} answered: {result.errors}", answered=502)
        self._memory.tell_once(
            "partial", f"The query's results are not whole; what there is was stored. {result.errors}"
        )

    def _move(self, read: Read, met: set[bytes]) -> bool:
        """Whether the cursor has moved on to one that was not asked for yet."""
        if read.cursor is None or read.cursor == self._memory.cursor:
            return False
        written = write_item(read.cursor)
        if written in met:
            self._memory.tell_once("backwards", BACKWARDS)
            return False
        met.add(written)
        self._memory.cursor = read.cursor
        return True

    def _hand(self, bodies: Sequence[NamedBody]) -> Iterator[Batch]:
        """The state, and what is to be told, come with the last batch of a page."""
        parts = list(cut_bodies(bodies))
        for number, part in enumerate(parts, start=1):
            batch = Batch(decode_items(self._graphql, self._codec, part))
            if number == len(parts) and self._memory.has_news:
                batch.notes, batch.state = self._memory.take_notes(), self._memory.save()
            if part or batch.state is not None:
                yield from self._outbox.hand_over(batch, part)


def _shorten(name: str) -> bytes:
    return hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()


def ask_first(graphql: Graphql, api: GraphqlApi) -> Read:
    """What the first page would be, for a connection test."""
    reader = ResultReader(graphql, graphql.query_items, graphql.query_cursor)
    reader.check()
    result = api.run(graphql.query or "", graphql.fill_query(graphql.first_cursor))
    return reader.read_one(result.data)
