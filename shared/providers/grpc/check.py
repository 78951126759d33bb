"""Check: the connection test, step by step, over a connection of its own. What comes is shown, and not stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from shared.provider import (
    Check,
    Deadline,
    OutsideError,
    ProtocolFailed,
    ProviderRefused,
    TimedOut,
    explain_host,
    find_items,
    run_check,
    run_checks,
)
from shared.providers.grpc.channel import MESSAGE_BYTES, Channel, find_addresses, probe_service
from shared.providers.grpc.descriptors import Method
from shared.providers.grpc.failures import clean_words, explain_call
from shared.providers.grpc.ingest import METHOD
from shared.providers.grpc.items import MESSAGE, find_cursor
from shared.providers.grpc.poll import make_read_request
from shared.providers.grpc.service import Service, find_schema
from shared.providers.grpc.values import BodyReader

if TYPE_CHECKING:
    from shared.providers.grpc import Grpc

CHECK_SECONDS = 9.0
CALL_SECONDS = 2.0
SHOWN = 200
UNIMPLEMENTED_STATUS = 501
HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NO_SERVING = b"\x08\x01", "it says of itself that it is not serving"


def check_ways(grpc: Grpc) -> Iterator[Check]:
    """Each way that the config has; a failed step is the last. Within `CHECK_SECONDS` in all."""
    if grpc.codec:
        check = run_check("codec", grpc.check_codec)
        yield check
        if not check.ok:
            return
    if grpc.webhook_secret:
        yield run_check(
            "receive",
            lambda: f"Gateways call {METHOD} at /receive/{grpc.identity.integration_id or '<id>'}/.",
        )
    if grpc.target:
        steps = _Steps(grpc, Deadline(CHECK_SECONDS))
        try:
            yield from run_checks(steps.list())
        finally:
            steps.close()


class _Steps:
    def __init__(self, grpc: Grpc, deadline: Deadline) -> None:
        self._grpc = grpc
        self._plan = grpc.service_plan
        self._deadline = deadline
        self._channel: Channel | None = None
        self._service: Service | None = None

    def close(self) -> None:
        """End the connection."""
        if self._channel:
            self._channel.close()

    def list(self) -> Iterator[tuple[str, Callable[[], str]]]:
        plan, grpc = self._plan, self._grpc
        yield "address", partial(explain_host, plan.host, plan.port, self._deadline)
        yield "connection", self._connect
        yield "descriptors", self._find_schema
        if grpc.method:
            yield "method", partial(self._find_method, "method", grpc.method)
        if grpc.command_method:
            yield "command method", partial(self._find_method, "command_method", grpc.command_method)
        yield "health", self._ask_health
        if grpc.method:
            yield "message", self._find_message

    def _connect(self) -> str:
        find_addresses(self._plan, self._deadline)
        seen = probe_service(self._plan, self._deadline)
        self._channel = Channel(self._plan, self._deadline)
        return seen

    def _find_schema(self) -> str:
        named = [each for each in (self._grpc.method, self._grpc.command_method) if each]
        channel = self._open_channel
        self._service = Service(channel, find_schema(channel, self._plan, named))
        source = "descriptor_set" if self._plan.descriptor_set else "reflection"
        names = ", ".join(self._service.schema.names[:5])
        return clean_words(f"Known by {source}: {names}.", self._plan.secrets)

    def _find_method(self, field: str, name: str) -> str:
        method = self._open_service.find_method(field, name)
        if field == "command_method" and method.is_streaming:
            raise ProtocolFailed(f"{name} answers with a stream; a command needs a method that answers once.")
        what = "a stream of" if method.is_streaming else "one"
        return f"{name} takes {method.request.DESCRIPTOR.name} and answers {what} {method.reply.DESCRIPTOR.name}."

    def _ask_health(self) -> str:
        try:
            answer = self._open_channel.call(HEALTH, b"", CALL_SECONDS)
        except ProviderRefused as problem:
            if problem.answered == UNIMPLEMENTED_STATUS:
                return "The service does not tell how it is (grpc.health.v1), which it need not."
            raise
        if answer != SERVING:
            raise ProviderRefused(f"{self._plan.host} answers, but {NO_SERVING}.", answered=503)
        return "It is serving."

    def _find_message(self) -> str:
        """What a first answer is taken for."""
        plan = self._grpc.read_plan
        method = self._open_service.find_method("method", plan.method)
        request = make_read_request(method, plan.request, {"cursor": plan.first_cursor, "page": None})
        body = (
            self._follow(method, request)
            if method.is_streaming
            else self._open_channel.call(method.path, request, CALL_SECONDS)
        )
        if body is None:
            return f"The stream is open; nothing came within {CALL_SECONDS:g} seconds."
        try:
            document = BodyReader(self._open_service.schema.pool).read(method.reply, body)
        except ValueError as error:
            raise ProtocolFailed(f"An answer came that can't be read: {error}.") from None
        items = find_items(document, plan.items_path, MESSAGE)
        cursor = find_cursor(document, items, plan.cursor_path)
        shown = clean_words(str(cursor), self._plan.secrets)[:SHOWN]
        told = [f"An answer of {len(body):,} bytes came, with {len(items):,} items"]
        if plan.cursor_path:
            told.append("nothing is at cursor_path" if cursor is None else f"the cursor is {shown}")
        return clean_words("; ".join(told) + ".", self._plan.secrets)

    def _follow(self, method: Method, request: bytes) -> bytes | None:
        """The first message of a stream; None where none came in time."""
        call = self._open_channel.stream(method.path, request, CALL_SECONDS)
        try:
            return bytes(next(call))
        except StopIteration:
            return None
        except Exception as error:
            if not hasattr(error, "code"):
                raise
            problem: OutsideError = explain_call(error, self._plan, MESSAGE_BYTES)
            if isinstance(problem, TimedOut):
                return None
            raise problem from None
        finally:
            call.cancel()

    @property
    def _open_channel(self) -> Channel:
        assert self._channel is not None  # noqa: S101 - the step before has made it
        return self._channel

    @property
    def _open_service(self) -> Service:
        assert self._service is not None  # noqa: S101 - as above
        return self._service
