"""LightDB Stream read back: what devices have said between two moments, page by page, oldest slice first.

`POST /projects/{p}/stream` with an `encodedQuery`; rows are `{"time", "device_id", …readings}`. A range is asked for in
slices that hold a few pages each, for deep pages are slow and shift where rows come late.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self, TypedDict, cast

import orjson

from shared.provider import Batch, Message, Object, ProtocolFailed
from shared.providers.golioth.api import MOST_PAGES, PAGE_SIZE, GoliothApi, is_last_page, read_list
from shared.providers.golioth.messages import keep_storable, name_event, read_device, read_moment

QUERY = orjson.dumps(
    {"fields": [{"path": path, "type": ""} for path in ("device_id", "time", "*")], "filters": []}
).decode()
FIRST_SLICE, LONGEST_SLICE, SHORTEST_SLICE = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
SLICE_ROWS = 2_000
EDGE = timedelta(milliseconds=1)
"""Asked for beyond a slice's ends, as nobody says whether they belong to it; what is beyond belongs to other slices."""


class PlaceState(TypedDict):
    """A place as it is saved; `until` is the moment before which all is read."""

    until: str
    seconds: float
    page: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go on: a page of the slice from `begin` on, before which all is read."""

    begin: datetime
    length: timedelta = FIRST_SLICE
    page: int = 0

    @classmethod
    def read(cls, state: Mapping[str, object], begin: datetime) -> Self:
        """The place that `state` names; where it names none, the beginning."""
        if not state:
            return cls(begin)
        saved = cast("PlaceState", state)
        return cls(datetime.fromisoformat(saved["until"]), timedelta(seconds=saved["seconds"]), saved["page"])

    def write(self) -> PlaceState:
        """What `read` takes."""
        return {"until": self.begin.isoformat(), "seconds": self.length.total_seconds(), "page": self.page}

    def move(self, *, is_last: bool) -> Place:
        """The next page, or after the last the next slice, which is longer."""
        if not is_last:
            return replace(self, page=self.page + 1)
        return Place(self.begin + self.length, min(self.length * 2, LONGEST_SLICE))

    @property
    def end(self) -> datetime:
        """Where the slice ends."""
        return self.begin + self.length


def read_stream(
    api: GoliothApi, begin: datetime, end: datetime, state: Mapping[str, object]
) -> Iterator[Batch]:
    """The rows from `begin` until before `end`; each batch's state is what goes on after it."""
    place = Place.read(state, begin)
    while place.begin < end:
        if place.end > end:
            place = replace(place, length=end - place.begin)
        reply = _ask(api, place)
        rows = read_list(reply)
        if place.page == 0 and _holds_many(reply) and place.length > SHORTEST_SLICE:
            place = replace(place, length=place.length / 2)
            continue
        messages = [make_reading(row) for row in rows if _is_within(row, place)]
        place = place.move(is_last=is_last_page(reply, place.page, len(rows)))
        yield Batch(messages, place.write())


def make_reading(row: Object) -> Message:
    """A row as telemetry. Its id is made of device, time and readings, so that reading it again gives the same."""
    payload = {name: value for name, value in row.items() if name not in {"time", "device_id", "deviceId"}}
    device, moment = read_device(row), read_moment(row.get("time"))
    observed_at = moment.isoformat() if moment else None
    event_id = name_event("stream", device, observed_at or row.get("time"), payload)
    return keep_storable(Message(event_id, device, payload=payload, observed_at=observed_at))


def _ask(api: GoliothApi, place: Place) -> Any:
    if place.page >= MOST_PAGES:
        raise ProtocolFailed(f"{place.length} of Golioth's stream have more than {MOST_PAGES} pages.")
    bounds = {"start": (place.begin - EDGE).isoformat(), "end": (place.end + EDGE).isoformat()}
    body = {**bounds, "encodedQuery": QUERY, "page": place.page, "perPage": PAGE_SIZE}
    return api.call("POST", api.in_project("stream"), body)


def _holds_many(reply: Any) -> bool:
    total = reply.get("total")
    return isinstance(total, int) and total > SLICE_ROWS


def _is_within(row: Object, place: Place) -> bool:
    moment = read_moment(row.get("time"))
    return moment is None or place.begin <= moment < place.end
