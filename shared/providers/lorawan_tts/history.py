"""The Storage Integration read back: uplinks between two moments, page by page, the oldest first.

An answer is a line for each, `{"result": {…}}`, of the same form as a webhook's body: so an uplink that the webhook has
brought has the same id. The last line may be cut off; what it was comes with the next page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

from shared.provider import Batch, Deadline, Item, Message, ProtocolFailed, read_moment, write_json
from shared.providers.lorawan_tts.api import Account, TtsApi

PAGE_SIZE = 100
MOST_PAGES = 1_000_000
EDGE = timedelta(milliseconds=1)
"""Asked for again, as nobody says whether `after` is among what follows; what comes twice has the same id."""

ReadRow = Callable[[bytes], list[Message]]


class PlaceState(TypedDict):
    """Up to where all is read."""

    until: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The lines of one answer; `is_cut` where the last was not whole."""

    items: list[Mapping[str, Any]]
    is_cut: bool = False


class StorageApi(TtsApi):
    """Calls whose answers are lines of JSON."""

    def read_body(self, body: bytes) -> Rows:
        """The results; what is cut off is left out."""
        rows = list[Mapping[str, Any]]()
        lines = [line for line in body.split(b"\n") if line.strip()]
        for number, line in enumerate(lines, start=1):
            try:
                row = super().read_body(line.removeprefix(b"data:").strip())
            except ValueError:
                if number < len(lines):
                    raise
                return Rows(rows, is_cut=True)
            rows.append(_read_result(row))
        return Rows(rows)


def read_storage(
    account: Account,
    span: tuple[datetime, datetime],
    state: Mapping[str, object],
    deadline: Deadline,
    read: ReadRow,
) -> Iterator[Batch]:
    """What was received from the first moment until before the second; each batch's state is what goes on after it."""
    begin, end = span
    after = datetime.fromisoformat(cast("PlaceState", state)["until"]) if state else begin
    with StorageApi(account, deadline) as api:
        for _ in range(MOST_PAGES):
            rows = _ask(api, after, end)
            last = _find_last(rows, after)
            # Also between two lines an answer may be cut off: only where nothing newer comes, there is no more.
            is_last = len(rows.items) < PAGE_SIZE and not rows.is_cut and last <= after
            # Never to the same place again, whatever times there are.
            after = end if is_last else max(last, after + EDGE)
            messages = [
                message for each in rows.items if _is_within(each, span) for message in read(write_json(each))
            ]
            yield Batch(messages, {"until": after.isoformat()})
            if is_last or after >= end:
                return


def _ask(api: StorageApi, after: datetime, end: datetime) -> Rows:
    query = {
        "limit": PAGE_SIZE,
        "after": (after - EDGE).isoformat(),
        "before": end.isoformat(),
        "order": "received_at",
    }
    path = api.in_application("packages", "storage", "uplink_message", server="as")
    rows = api.call("GET", path, query=query)
    return rows if isinstance(rows, Rows) else Rows([])


def _find_last(rows: Rows, after: datetime) -> datetime:
    """The latest moment of a page; `after` where it is empty. ProtocolFailed where nothing could go on from it."""
    if rows.is_cut and not rows.items:
        raise ProtocolFailed("The Things Stack's answer was cut off in its first line.")
    moments = [moment for each in rows.items if (moment := _read_time(each))]
    if len(rows.items) >= PAGE_SIZE and not (moments and moments[0] <= moments[-1]):
        raise ProtocolFailed("The Things Stack's uplinks are not in the order of their received_at.")
    return max(moments, default=after)


def _read_result(row: Any) -> Mapping[str, Any]:
    result = row.get("result") if isinstance(row, dict) else None
    if not isinstance(result, dict):
        raise ProtocolFailed(
            f"The Things Stack ended its answer: {Item(row).item('error').text('message') or 'no result'}."
        )
    return result


def _read_time(row: Mapping[str, Any]) -> datetime | None:
    return read_moment(row.get("received_at")) or read_moment(
        Item(row).item("uplink_message").fields.get("received_at")
    )


def _is_within(row: Mapping[str, Any], span: tuple[datetime, datetime]) -> bool:
    moment = _read_time(row)
    return moment is None or span[0] <= moment < span[1]
