"""ChirpStack: what its HTTP integration pushes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from shared.provider import Check, Checker, Group, LorawanEvent, LorawanReceiver, PushedRequest

EVENT_LIMIT = 40


def _check_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError(
            "expected the id that ChirpStack shows below the application's name, a UUID"
        ) from None


class LorawanChirpstack(Checker, LorawanReceiver):
    """One application of a ChirpStack."""

    label: ClassVar[str] = "ChirpStack"
    docs: ClassVar[str] = "A LoRaWAN application of ChirpStack: receives what its devices send."

    groups: ClassVar[tuple[Group, ...]] = (Group("Application", ("application_id",), open=True),)

    application_id: Annotated[str, AfterValidator(_check_id)] = Field(
        examples=["17c82e96-be03-4f38-aef3-f83d48582d97"]
    )
    """The id of the application, which ChirpStack shows below its name."""

    def name_topic(self, request: PushedRequest) -> str | None:
        """`up`, `join`, `ack` …, which the address says."""
        named = next(iter(request.query.get("event", [])), "")
        return named if named.isidentifier() and len(named) <= EVENT_LIMIT else None

    def read_event(self, topic: str | None, body: bytes) -> LorawanEvent:
        """See shared/providers/lorawan_chirpstack/parse.py."""
        from shared.providers.lorawan_chirpstack.parse import read_event

        return read_event(topic, body, self.application_id)

    def check(self) -> Iterator[Check]:
        """Where its HTTP integration posts to."""
        yield from self.check_receiver()
