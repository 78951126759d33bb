"""Notifier: a provider that tells people, each by a delivery of their own, which the database paces and gathers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar
from uuid import uuid4

from pydantic import Field, ValidationInfo, field_validator, model_validator

from shared.provider.check import Check, run_check
from shared.provider.form import Group
from shared.provider.messages import ALERT, Event, Identity, Notice
from shared.provider.notices.problems import RecipientRefused
from shared.provider.notices.recipient import Recipient
from shared.provider.notices.wording import Wording, describe_notice
from shared.provider.publish import Publisher, PublishOutcome
from shared.provider.template import Template, compile_template
from shared.runtime.deadline import Deadline
from shared.runtime.errors import OutsideError, Problem
from shared.runtime.log import get_log

MOST_RECIPIENTS = 50
TELLABLE = (
    "alert.*",
    "alert.raised",
    "alert.resolved",
    "device.offline",
    "device.online",
    "device.event",
    "event",
)
LONGEST_SECONDS = 3_600
TEST_SECONDS = 8.0
AT_ONCE = 8
"""Messages under way at a time, so that one that hangs holds up no other."""


class Notifier(Publisher, defer_build=True):
    """A provider that tells people. It says how one message is sent: `tell`."""

    read_in_sql: ClassVar[frozenset[str]] = frozenset({"recipients", "digest_after", "digest_seconds"})
    stated: ClassVar[Mapping[str, object]] = {"events": ["alert.*"]}
    """What is stored where a config leaves it out, for the database reads it or has another default."""

    groups: ClassVar[tuple[Group, ...]] = (
        Group("Who is told", ("recipients", "events", "device_filter", "test_recipient"), open=True),
        Group("What they are told", ("text_template",)),
        Group("Storms", ("digest_after", "digest_seconds")),
    )

    recipients: tuple[Recipient, ...] = Field(max_length=MOST_RECIPIENTS)
    """Who is told, each by a message of their own."""
    events: tuple[str, ...] = Field(("alert.*",), examples=[["alert.*", "device.offline"]])
    """Alerts (`alert.*`, `alert.raised`), and of devices `device.offline`, `device.online` and `device.event`."""
    digest_after: int = Field(3, ge=1, le=100)
    """How many messages somebody gets one by one within the window below; what is more is told as one, with a list."""
    digest_seconds: int = Field(300, ge=10, le=86_400)
    """How long that window is."""
    text_template: Annotated[str, Field(min_length=1, max_length=4_000)] | None = Field(
        None, examples=["{{ payload.integration_name }}: {{ payload.message }}"]
    )
    """The words of one event, with the parts of it where they are named; left out, ours."""

    test_recipient: Annotated[str, Field(max_length=100)] | None = None
    """Who gets a message when the connection is tested, by the name above; nobody where this is left out."""

    @model_validator(mode="before")
    @classmethod
    def _state_defaults(cls, data: Any) -> Any:
        return {**cls.stated, **data} if isinstance(data, dict) else data

    @field_validator("events")
    @classmethod
    def _check_tellable(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        if more := [number for number, event in enumerate(events, start=1) if event not in TELLABLE]:
            raise ValueError(f"number {more[0]} is too much for people; they are told {', '.join(TELLABLE)}")
        return events

    @field_validator("retry_schedule")
    @classmethod
    def _check_schedule(cls, schedule: tuple[float, ...]) -> tuple[float, ...]:
        if sum(schedule) > LONGEST_SECONDS:
            raise ValueError(
                f"together at most {LONGEST_SECONDS} seconds: what else somebody is to be told waits meanwhile"
            )
        return schedule

    @field_validator("recipients")
    @classmethod
    def _check_names(cls, recipients: tuple[Recipient, ...]) -> tuple[Recipient, ...]:
        if not recipients:
            raise ValueError("name at least one")
        names = [recipient.name for recipient in recipients]
        if len({*names}) < len(names):
            raise ValueError("two of them have the same name; give each another")
        return recipients

    @field_validator("test_recipient")
    @classmethod
    def _check_tested(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and name not in [each.name for each in info.data.get("recipients", ())]:
            raise ValueError("write the name of one of the recipients, as it stands there")
        return name

    @field_validator("text_template")
    @classmethod
    def _check_text(cls, template: str | None) -> str | None:
        compile_template(template)
        return template

    @field_validator("ordered")
    @classmethod
    def _check_order(cls, ordered: str, _info: ValidationInfo) -> str:
        if ordered != "off":
            raise ValueError("leave it off: each person is told in order anyway, one message after the other")
        return ordered

    @cached_property
    def text(self) -> Template:
        """The compiled `text_template`; empty without one."""
        return compile_template(self.text_template) if self.text_template else ()

    def word(self, event: Event) -> Wording:
        """What is told of `event`."""
        return describe_notice(event, self.text)

    def find_recipient(self, notice: Notice) -> Recipient:
        """Who that is; RecipientRefused where nobody of the name is told any more."""
        for recipient in self.recipients:
            if recipient.name == notice.recipient:
                return recipient
        raise RecipientRefused("Nobody of this name is among the recipients any more.")

    @abstractmethod
    def tell(self, event: Event, notice: Notice, deadline: Deadline) -> str | None:
        """Send one message; what the other side calls it. Where `notice.is_repeat`, look first whether it went already.

        Raises RecipientRefused, RecipientOptedOut, AccountRefused, other OutsideErrors; none repeats a number,
        an address or what was said.
        """

    def check_message(self) -> Iterator[Check]:
        """The last step of a connection test: a message, where `test_recipient` says to whom."""
        if self.test_recipient:
            event = make_test_event(self.identity, self.test_recipient)
            yield run_check("message", lambda: self._send_test(event))

    def _send_test(self, event: Event) -> str:
        assert event.notice is not None  # noqa: S101 - made so
        self.tell(event, event.notice, Deadline(TEST_SECONDS))
        return f"sent to {event.notice.recipient}"

    def publish(self, events: Sequence[Event], deadline: Deadline) -> Iterator[PublishOutcome]:
        """Tell each event to its recipient, a few at a time."""
        pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="tell")
        try:
            under_way = [pool.submit(copy_context().run, self._tell, event, deadline) for event in events]
            for done in as_completed(under_way):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _tell(self, event: Event, deadline: Deadline) -> PublishOutcome:
        notice = event.notice
        if notice is None:
            return PublishOutcome(event.id, problem=RecipientRefused("It says nobody whom to tell."))
        try:
            reference = notice.reference if notice.is_repeat and notice.reference else None
            return PublishOutcome(event.id, reference=reference or self.tell(event, notice, deadline))
        except Problem as problem:
            return PublishOutcome(event.id, problem=problem)
        except Exception as error:  # noqa: BLE001 - what is wrong with one message keeps no other
            # Without its words, which may hold what was said, and to whom.
            get_log().error("a defect in telling people", delivery=event.id, kind=type(error).__name__)
            return PublishOutcome(
                event.id, problem=OutsideError("It could not be sent; the log has the details.")
            )


def make_test_event(identity: Identity, recipient: str) -> Event:
    """An alert that nobody raised, for the connection test to tell `recipient`."""
    now = datetime.now(UTC).isoformat()
    payload = {
        "id": "0",
        "kind": "test",
        "level": "warning",
        "status": "firing",
        "integration_name": identity.name or "This integration",
        "message": "This is a test: alerts reach you here.",
        "since": now,
    }
    return Event(
        str(uuid4()), "integration.test", ALERT, now, identity.organization_id, identity,
        payload=payload, notice=Notice(recipient, now),
    )  # fmt: skip
