"""What Event Grid posts: IoT Hub's events in its own schema or as CloudEvents 1.0, one or many, and its handshake.

Source: Microsoft's documentation of Event Grid's schemas, delivery and endpoint validation. Its own schema is always an
array. Only what is in the body counts, whatever the headers call it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.provider import Item, PushedRequest, read_parts

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
DELETION = "Microsoft.EventGrid.SubscriptionDeletedEvent"
MOST_EVENTS = 5_000
"""Of a batch, as Event Grid has it."""

CODE_LIMIT, ID_LIMIT = 512, 1_000
NOT_EVENTS = "Not events of Event Grid's, which have id, eventType (or type) and data; see docs/azure-iot.md."
MENDED = "What brought it was not quite JSON, and was mended."
"""The remark on each event: what came is as large as all of them, and is not kept with each."""

_HUB = re.compile(r"/iothubs/([^/]+)", re.IGNORECASE)
_SUBJECT = re.compile(r"devices/([^/]+)(?:/.*)?")


@dataclass(frozen=True, slots=True)
class GridEvent:
    """One event. `hub` is the name of the hub that it is of, in small letters; texts are empty where absent.

    Without an id or a type it is no event of Event Grid's.
    """

    id: str
    type: str
    subject: str
    time: str
    hub: str
    data: Item
    whole: object

    @property
    def is_odd(self) -> bool:
        """Whether it is no event of Event Grid's."""
        return not (self.id and self.type)

    @property
    def device(self) -> str | None:
        """The device that its subject names."""
        found = _SUBJECT.fullmatch(self.subject)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one request brings: its events, what was odd about it, or why there are none.

    `unread` are those of its list that can't be kept as JSON, each as it came and with the reason.
    """

    events: tuple[GridEvent, ...] = ()
    remark: str | None = None
    error: str | None = None
    unread: tuple[tuple[bytes, str], ...] = ()


def read_delivery(request: PushedRequest) -> Delivery:
    """The events of a request, odd ones too where not all of them are; no input raises."""
    parts, remark, error, _ = read_parts(request.body)
    if error:
        return Delivery(error=error)
    if not parts or len(parts) > MOST_EVENTS:
        return Delivery(error=f"Not a list of 1 to {MOST_EVENTS} events.")
    events = tuple(_read_event(each.document) for each in parts if not each.error)
    if all(each.is_odd for each in events):
        return Delivery(error=NOT_EVENTS)
    unread = tuple((each.body, each.error) for each in parts if each.error)
    return Delivery(events, MENDED if remark else None, unread=unread)


def find_validation(request: PushedRequest) -> str | None:
    """The code that proves to Event Grid that we want its events; None where it does not ask."""
    if VALIDATION.encode() not in request.body:
        # As nearly always: a large batch is not read twice.
        return None
    for event in read_delivery(request).events:
        if event.type == VALIDATION:
            return event.data.text("validationCode", CODE_LIMIT)
    return None


def _read_event(whole: object) -> GridEvent:
    item = Item(whole)
    named = _HUB.search(item.text("topic") or item.text("source") or "")
    return GridEvent(
        id=item.text("id", ID_LIMIT) or "",
        type=item.text("eventType") or item.text("type") or "",
        subject=item.text("subject") or "",
        time=item.text("eventTime") or item.text("time") or "",
        hub=named[1].lower() if named else "",
        data=item.item("data"),
        whole=whole,
    )
