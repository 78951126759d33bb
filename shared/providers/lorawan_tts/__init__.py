"""The Things Stack: what its webhooks push."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from shared.provider import Check, Checker, Group, LorawanEvent, LorawanReceiver

ID = re.compile(r"[a-z0-9](?:-?[a-z0-9]){1,35}")


def _check_id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError("expected the id that the console shows: small letters, digits and single dashes")
    return text


class LorawanTts(Checker, LorawanReceiver):
    """One application of The Things Stack."""

    label: ClassVar[str] = "The Things Stack"
    docs: ClassVar[str] = "A LoRaWAN application of The Things Stack: receives what its devices send."

    groups: ClassVar[tuple[Group, ...]] = (Group("Application", ("application_id",), open=True),)

    application_id: Annotated[str, AfterValidator(_check_id)] = Field(examples=["acme-sensors"])
    """The id of the application, from the console."""

    def read_event(self, topic: str | None, body: bytes) -> LorawanEvent:  # noqa: ARG002 - the body says what it is
        """See shared/providers/lorawan_tts/parse.py."""
        from shared.providers.lorawan_tts.parse import read_event

        return read_event(body, self.application_id)

    def check(self) -> Iterator[Check]:
        """Where its webhook posts to."""
        yield from self.check_receiver()
