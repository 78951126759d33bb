"""Results of a subscription that can't be used as they are: those with errors, and those that are none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shared.provider import MESSAGE_LIMIT, Item, Message, StoredBody
from shared.providers.graphql.reading import PREFIX
from shared.providers.graphql.refusals import describe_errors, list_errors

if TYPE_CHECKING:
    from shared.providers.graphql import Graphql
    from shared.providers.graphql.feed import Told

TOPIC = "errors"


class Split(NamedTuple):
    """A result's data; or why it has none. `remark` is what is missing in data that is of use all the same."""

    data: Any
    error: str | None = None
    remark: str | None = None


def split_result(graphql: Graphql, told: Told) -> Split:
    """What came, as the data that is in it."""
    if told.error:
        return Split(None, told.error)
    item = Item(told.payload)
    data, errors = item.fields.get("data"), item.fields.get("errors")
    words = graphql.mask_words(describe_errors(list_errors(errors))) if errors else None
    if data is None:
        return Split(None, f"The API sent no data: {words or 'and no error either.'}")
    return Split(
        data,
        remark=f"Results of the subscription are not whole; what there is was stored. {words}"
        if words
        else None,
    )


def keep_unread(told: Told, reason: str) -> Message:
    """The message that stands for a result that can't be read: it keeps all of it, and says why."""
    event_id = f"{PREFIX}-unread:{hashlib.sha256(told.body).hexdigest()}"
    return Message.undecoded(told.body[:MESSAGE_LIMIT], reason, event_id=event_id, topic=TOPIC)


def keep_again(
    stored: Sequence[StoredBody], decode: Callable[[Sequence[StoredBody]], list[list[Message]]]
) -> list[list[Message]]:
    """What `decode` makes of items that were stored; what stands for a result that is none stays so."""
    decoded = iter(decode([each for each in stored if each.topic != TOPIC]))
    return [[_keep(each)] if each.topic == TOPIC else next(decoded) for each in stored]


def _keep(stored: StoredBody) -> Message:
    reason = "It is no item: the API sent a result without data, or something that is none."
    return Message.undecoded(stored.body, reason, event_id=stored.event_id, topic=TOPIC)
