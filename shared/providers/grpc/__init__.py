"""gRPC: services that are called, for messages and commands, without generated code; gateways that push to us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from shared.provider import (
    Batch,
    Check,
    Checker,
    CodecFields,
    Command,
    Commander,
    CommandRefused,
    Deadline,
    Group,
    Message,
    Outcome,
    PayloadFields,
    Poller,
    PushedRequest,
    Receiver,
    StoredBody,
    TextReply,
)
from shared.providers.grpc.call_fields import CallFields

NO_COMMANDS = "Set command_method to send commands, for example demo.v1.Telemetry/Tell."


class Grpc(Checker, Poller, Receiver, Commander, CallFields, CodecFields, PayloadFields):
    """A service and its methods, or how gateways prove themselves that push."""

    label: ClassVar[str] = "gRPC"
    docs: ClassVar[str] = (
        "A gRPC service: follows streams, polls, sends commands; and gateways that push by gRPC."
    )

    groups: ClassVar[tuple[Group, ...]] = CallFields.groups

    poll_interval_seconds: Annotated[float, Field(ge=5, le=86_400)] = 60
    """How long after a poll, or the end of a stream, the next one is due; a stream that goes on is followed at once."""

    @model_validator(mode="after")
    def _check_ways(self) -> Grpc:
        if not (self.webhook_secret or self.method or self.command_method):
            raise ValueError(
                "nothing would come or go: set target with method or command_method, or webhook_secret for what pushes"
            )
        return self

    @property
    def is_polled(self) -> bool:
        """Whether there is a method to call for messages."""
        return self.method is not None

    def session(self, state: Mapping[str, object], deadline: Deadline) -> Iterator[Batch]:
        """See shared/providers/grpc/session.py; ends after `session_seconds` at the latest."""
        from shared.providers.grpc.session import run_session

        yield from run_session(self, state, self.limit_session(deadline))

    def parse(self, request: PushedRequest) -> list[Message]:
        """The readings of a batch that was pushed; see shared/providers/grpc/parse.py."""
        from shared.providers.grpc.parse import parse_batch

        return parse_batch(self, request)

    def answer_push(self, request: PushedRequest, receipt: Mapping[str, int]) -> TextReply | None:
        """What became of them, in the protocol that was asked in."""
        from shared.providers.grpc.parse import answer_batch

        return answer_batch(request, receipt)

    @classmethod
    def check_command(cls, settings: Mapping[str, object], device: str, name: str) -> None:  # noqa: ARG003 - any will do
        """CommandRefused without `command_method`."""
        if not settings.get("command_method"):
            raise CommandRefused(NO_COMMANDS)

    def send(self, command: Command) -> Outcome:
        """Call `command_method`; see shared/providers/grpc/send.py."""
        if self.command_method is None:
            raise CommandRefused(NO_COMMANDS)
        from shared.providers.grpc.send import tell_service

        return tell_service(self, command)

    def check(self) -> Iterator[Check]:
        """Each way that the config has, step by step; see shared/providers/grpc/check.py."""
        from shared.providers.grpc.check import check_ways

        yield from check_ways(self)

    def decode(self, stored: Sequence[StoredBody]) -> list[list[Message]]:
        """As it is decoded when it comes, by today's fields and descriptors."""
        from shared.providers.grpc.replay import decode_stored

        return decode_stored(self, stored, super().decode)
