"""Device logs, from where the last look ended.

`GET /projects/{p}/logs` answers newest first and takes no page number: what does not fit into one answer is asked for
in halves of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from shared.provider import Message, Object
from shared.providers.golioth.api import GoliothApi, read_list
from shared.providers.golioth.messages import keep_storable, name_event, name_topic, read_device, read_time

SHORTEST = timedelta(milliseconds=1)


def read_logs(api: GoliothApi, begin: datetime, end: datetime) -> Iterator[tuple[datetime, list[Message]]]:
    """The log lines between `begin` and `end` in their order, part by part, each with the time up to which it goes.

    A millisecond with more lines than one answer holds loses some: there is no way to ask for the rest.
    """
    parts = [(begin, end)]
    while parts:
        start, stop = parts.pop()
        query = {"start": start.isoformat(), "end": stop.isoformat()}
        reply = api.call("GET", api.in_project("logs"), query=query)
        entries = read_list(reply)
        if _is_cut(reply, len(entries)) and stop - start > SHORTEST:
            middle = start + (stop - start) / 2
            parts += [(middle, stop), (start, middle)]
            continue
        yield stop, [make_log(entry) for entry in reversed(entries)]


def make_log(entry: Object) -> Message:
    """A line as a message of kind log; its module is the topic."""
    device = read_device(entry)
    payload = {
        name: entry[name] for name in ("level", "module", "message", "metadata", "type") if entry.get(name)
    }
    return keep_storable(
        Message(
            name_event("log", device, entry.get("timestamp"), payload),
            device,
            "log",
            name_topic(entry.get("module")),
            payload,
            observed_at=read_time(entry.get("timestamp")),
        )
    )


def _is_cut(reply: Object, count: int) -> bool:
    """Whether there is more than came: by the `total`, or where that is not told by a full page."""
    total, size = reply.get("total"), reply.get("perPage")
    if isinstance(total, int) and total > count:
        return True
    return isinstance(size, int) and 0 < size <= count
