"""One poll of an HTTP API: page after page, each stored with where to go on, in one transaction.

So whatever ends a poll, the next one goes on where it was; an item that comes twice has the same event id, its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

from shared.provider import (
    UNLIFTED,
    Batch,
    Codec,
    Deadline,
    Expressions,
    JsonApi,
    NamedBody,
    Note,
    Pages,
    ProtocolFailed,
    cut_bodies,
    decode_items,
    find_items,
    find_path,
    lift_deep,
    locate_url,
    name_item,
    write_item,
    write_json,
)

if TYPE_CHECKING:
    from shared.providers.http import Http

MOST_PAGES = 100
"""Of one poll; what is left follows at once, with the next one."""

MOST_PAGES_IN_ALL = 10_000

CURSOR_LIMIT = 4_096

ELSEWHERE = "The next page, as the reply names it, is not at the host of poll_url; it was not asked for."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a poll is: `cursor` is of the last page that gave one, `page` the next one's address or name."""

    cursor: str
    page: str | None = None
    number: int = 0

    def save(self, key: str) -> dict[str, object]:
        """As JSON; `key` names the API that it is a place of."""
        return {"key": key, "cursor": self.cursor, "page": self.page, "number": self.number}


class PollApi(JsonApi):
    """The API that is polled; see JsonApi. `lifted` is what lies too deep in its last answer to be read."""

    lifted = UNLIFTED

    def read_body(self, body: bytes) -> Any:
        """The JSON of an answer, without that."""
        self.lifted = UNLIFTED
        try:
            return super().read_body(body)
        except ValueError:
            self.lifted = lift_deep(body)
            return super().read_body(self.lifted.body)


def poll_api(http: Http, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
    """Batches of what the API has. Errors: OutsideError, Unavailable; what was committed until then stays."""
    key = hashlib.sha256(str(http.poll_url).encode()).hexdigest()[:16]
    place = _read_place(http, key, state)
    codec = http.open_codec("codec") if http.codec else None
    with PollApi(http.access, deadline) as api:
        pages = Pages(is_empty_last=not http.poll_next)
        for _ in range(MOST_PAGES):
            reply = api.call("GET", make_url(http, place))
            items = find_items(reply, http.poll_items)
            is_last = pages.is_last({name_polled(http, item) for item in items})
            after, notes = None if is_last else _find_next(http, place, reply), list[Note]()
            if after and not _is_here(http, after):
                after, notes = None, [Note("warning", ELSEWHERE)]
            state = (after or Place(_read_cursor(http, place, reply))).save(key)
            bodies = [(name_polled(http, item), api.lifted.restore(write_item(item))) for item in items]
            yield from _make_batches(http, codec, bodies, Batch(state=state, notes=notes))
            if after is None:
                return
            place = after
            if deadline.expired:
                break
    yield Batch(more=True)


def make_url(http: Http, place: Place) -> str:
    """The address of a page."""
    url = http.poll_url or ""
    if place.page and "{page}" not in url:
        return place.page
    filled = url.replace("{cursor}", quote(place.cursor, safe=""))
    return filled.replace("{page}", quote(place.page or "", safe=""))


def _is_here(http: Http, place: Place) -> bool:
    """Whether a page is at the host of `poll_url`: credentials go nowhere else."""
    url = make_url(http, place)
    try:
        return locate_url(url) == http.locate({"poll_url": http.poll_url})
    except ValueError:
        return False


def name_polled(http: Http, item: Any) -> str:
    """The event id of an item."""
    return name_item(item, http.poll_key, "poll")


def _read_place(http: Http, key: str, state: Mapping[str, object]) -> Place:
    if state.get("key") != key:
        return Place(http.poll_first_cursor)
    page, number = state.get("page"), state.get("number")
    return Place(
        str(state.get("cursor") or ""),
        page if isinstance(page, str) else None,
        number if isinstance(number, int) else 0,
    )


def _find_next(http: Http, place: Place, reply: Any) -> Place | None:
    """Where the poll goes on; None where it has ended."""
    cursor = _read_cursor(http, place, reply)
    if http.poll_next:
        told = find_path(reply, http.poll_next)
        page = (
            str(told) if isinstance(told, str | int) and not isinstance(told, bool) and told != "" else None
        )
        page = page and _follow(http, place, _check_text("poll_next", page))
        if page is None or page == place.page:
            return None
        if place.number >= MOST_PAGES_IN_ALL:
            raise ProtocolFailed(
                f"There are more than {MOST_PAGES_IN_ALL:,} pages; ask for what is new, by {{cursor}}."
            )
        # The cursor stays as it was until the last page: all of a poll's pages belong to one question.
        return replace(place, page=page, number=place.number + 1)
    return Place(cursor) if http.poll_cursor and cursor != place.cursor else None


def _read_cursor(http: Http, place: Place, reply: Any) -> str:
    if not http.poll_cursor:
        return place.cursor
    (found,) = Expressions(http.identity.organization_id, {"cursor": http.poll_cursor}).find([reply])
    if found.error:
        raise ProtocolFailed(f"poll_cursor finds nothing in the reply: {found.error}")
    cursor = found.values.get("cursor")
    if cursor is None or cursor == "":
        return place.cursor
    return _check_text("poll_cursor", cursor if isinstance(cursor, str) else write_json(cursor).decode())


def _check_text(field: str, text: str) -> str:
    if len(text) > CURSOR_LIMIT or "\0" in text:
        raise ProtocolFailed(
            f"{field} finds {len(text):,} characters; at most {CURSOR_LIMIT:,} are kept, and no NUL."
        )
    return text


def _follow(http: Http, place: Place, told: str) -> str:
    """What `{page}` is filled with; else the whole address that a reply means, which may be relative to its own."""
    if "{page}" in (http.poll_url or ""):
        return told
    try:
        return urljoin(make_url(http, place), told)
    except ValueError:
        return told


def _make_batches(
    http: Http, codec: Codec | None, bodies: Sequence[NamedBody], last: Batch
) -> Iterator[Batch]:
    """The state, and what is to be told, come with the last of them."""
    parts = list(cut_bodies(bodies))
    for number, part in enumerate(parts, start=1):
        messages = decode_items(http, codec, part)
        batch = last if number == len(parts) else Batch()
        batch.messages, batch.received_bytes = messages, sum(len(body) for _, body in part)
        yield batch
