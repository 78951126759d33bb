"""GraphQL: any API of that kind, queried from a cursor on, subscribed to, and told commands by a mutation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from shared.provider import (
    Batch,
    Check,
    Checker,
    CodecFields,
    CodedBody,
    Deadline,
    Group,
    Message,
    PayloadFields,
    Poller,
    StoredBody,
    check_path,
)
from shared.providers.graphql.command_fields import CommandFields
from shared.providers.graphql.endpoint_fields import EndpointFields
from shared.providers.graphql.query_fields import QueryFields
from shared.providers.graphql.subscription_fields import SubscriptionFields

CURSOR_LIMIT = 4_096
_ASKED = ("query", "query_items", "query_cursor", "first_cursor", "item_key", "poll_interval_seconds")


class Graphql(Checker, Poller, CommandFields, SubscriptionFields, QueryFields, CodecFields, PayloadFields):
    """An API, what is asked of it and subscribed to, and the mutation that commands become."""

    label: ClassVar[str] = "GraphQL"
    docs: ClassVar[str] = (
        "A GraphQL API: queried from a cursor on, subscribed to, and told commands by a mutation."
    )

    replaced_whole: ClassVar[frozenset[str]] = frozenset({"variables", "mutation_variables"})
    groups: ClassVar[tuple[Group, ...]] = (
        *EndpointFields.groups,
        Group("What is asked", _ASKED, open=True),
        *SubscriptionFields.groups,
        *CommandFields.groups,
    )

    first_cursor: Any = Field(None, examples=[0])
    """What $cursor is at first, a text or a number; left out, what the document says by itself."""
    item_key: str | None = "id"
    """Where in an item what names it is: of the same key one is stored; null: its content."""
    poll_interval_seconds: Annotated[float, Field(ge=5, le=86_400)] = 60
    """How long after a poll the next one is due, where nothing is subscribed to."""

    @field_validator("first_cursor")
    @classmethod
    def _check_first(cls, cursor: Any) -> Any:
        is_plain = isinstance(cursor, str | int | float) and not isinstance(cursor, bool)
        is_kept = is_plain and 0 < len(str(cursor)) <= CURSOR_LIMIT and "\0" not in str(cursor)
        if cursor is not None and not is_kept:
            raise ValueError(f"write a text or a number, {CURSOR_LIMIT:,} characters at most")
        return cursor

    @field_validator("item_key")
    @classmethod
    def _check_key(cls, path: str | None) -> str | None:
        return path and check_path(path)

    @model_validator(mode="after")
    def _check_use(self) -> Graphql:
        if not (self.query or self.subscription or self.mutation):
            raise ValueError("nothing would come or go: set query, subscription or mutation")
        return self

    @property
    def is_polled(self) -> bool:
        """Whether there is anything to ask or to subscribe to."""
        return bool(self.query or self.subscription)

    @property
    def is_replayable(self) -> bool:
        """Whether what happens while nobody listens can still be read."""
        return self.query_cursor is not None or self.is_streaming

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """The query, then the subscription until the time is up; see session.py."""
        from shared.providers.graphql.session import run_session

        yield from run_session(self, state, self.limit_session(deadline))

    def check(self) -> Iterator[Check]:
        """Where it is, whether it answers, what the query finds, whether it can be subscribed to."""
        from shared.providers.graphql.check import check_api

        yield from check_api(self)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """As it is decoded when it comes, by today's fields; what was no item stays what it is."""
        from shared.providers.graphql.results import keep_again

        return keep_again(stored, super().decode)

    def describe_stored(self, stored: StoredBody) -> CodedBody:
        """Its device is the one it had, where it had one."""
        return CodedBody(stored.body, Message(stored.event_id, stored.device), received_at=stored.received_at)
