"""demo.v1.Telemetry on a real socket: a log of readings that can be followed, polled, and be told something.

What a call does can be replaced by `answers`, with whatever a service may do. Nothing is generated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from google.protobuf import descriptor_pb2

from tests.fakes.certificates import Pair
from tests.fakes.grpc.proto_files import load_messages, read_set

SERVICE = "demo.v1.Telemetry"
WATCH, LIST, TELL = f"{SERVICE}/Watch", f"{SERVICE}/List", f"{SERVICE}/Tell"
BOTH = ("v1", "v1alpha")
PAGE = 100

Answer = Callable[[Any, grpc.ServicerContext], Any]


class FakeService:
    """Use it in a `with`. `told` are the requests of Tell with their metadata, `opened` those of Watch."""

    def __init__(  # noqa: PLR0913 - as many things a service may be
        self,
        *,
        reflection: Sequence[str] = BOTH,
        token: str = "",
        health: int | None = None,
        tls: Pair | None = None,
        client_ca: str = "",
        port: int = 0,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.readings: list[Any] = []
        self.oldest = 0
        """The sequence before which nothing is kept any more."""
        self.follows = True
        """Whether Watch goes on once it has sent what there is."""
        self.told: list[tuple[Any, dict[str, str]]] = []
        self.opened: list[Any] = []
        self.listed: list[Any] = []
        self.authorities: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.messages = load_messages("demo")
        self._token = token
        self._changed = threading.Condition()
        self._is_over = False
        self._server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0), *options])
        self._server.add_generic_rpc_handlers((self._make_handler(), *map(self._make_reflection, reflection)))
        if health is not None:
            self._server.add_generic_rpc_handlers((_make_health(health),))
        address = f"127.0.0.1:{port}"
        if tls is None:
            self.port = self._server.add_insecure_port(address)
        else:
            pairs = [(tls.key.encode(), tls.certificate.encode())]
            credentials = grpc.ssl_server_credentials(
                pairs, client_ca.encode() or None, require_client_auth=bool(client_ca)
            )
            self.port = self._server.add_secure_port(address, credentials)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(0)

    def stop(self, grace: float | None) -> None:
        """End it: calls are cut after so many seconds."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        self._server.stop(grace).wait()

    def add(self, count: int = 1, **fields: Any) -> list[Any]:
        """So many more readings, numbered on."""
        with self._changed:
            first = self.readings[-1].sequence + 1 if self.readings else 1
            fresh = [
                self.messages["Reading"](
                    **{
                        "id": f"r{number}",
                        "device": f"pump-{number % 3}",
                        "temperature": 20.5,
                        "sequence": number,
                    }
                    | fields
                )
                for number in range(first, first + count)
            ]
            self.readings += fresh
            self._changed.notify_all()
        return fresh

    def _make_handler(self) -> Any:
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        parts = {"Watch": (stream, "WatchRequest", self._watch), "List": (unary, "ListRequest", self._list)}
        parts["Tell"] = (unary, "TellRequest", self._tell)
        made = {
            name: make(self._guard(name, answer, make is stream), self.messages[takes].FromString, _write)
            for name, (make, takes, answer) in parts.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, made)

    def _guard(self, name: str, answer: Answer, is_stream: bool) -> Answer:  # noqa: FBT001 - which of two kinds
        def prove(context: grpc.ServicerContext) -> None:
            self.authorities.append(_find_authority(context))
            metadata = dict(context.invocation_metadata())
            if self._token and metadata.get("authorization") != f"Bearer {self._token}":
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

        def one(request: Any, context: grpc.ServicerContext) -> Any:
            prove(context)
            return self.answers.get(name, answer)(request, context)

        def many(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            prove(context)
            yield from self.answers.get(name, answer)(request, context)

        return many if is_stream else one

    def _watch(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        self.opened.append(request)
        if request.after and request.after < self.oldest:
            context.abort(grpc.StatusCode.OUT_OF_RANGE, "compacted")
        at = max(request.after, self.oldest)
        while context.is_active() and not self._is_over:
            with self._changed:
                fresh = [each for each in self.readings if each.sequence > at]
                if not fresh:
                    if not self.follows:
                        return
                    self._changed.wait(0.05)
            for each in fresh:
                yield each
                at = each.sequence

    def _list(self, request: Any, _context: grpc.ServicerContext) -> Any:
        self.listed.append(request)
        fresh = [each for each in self.readings if each.sequence > request.after]
        start = int(request.page_token or 0)
        page = fresh[start : start + (request.page_size or PAGE)]
        end = start + len(page)
        reply = self.messages["ListReply"](
            readings=page, next_page_token=str(end) if end < len(fresh) else ""
        )
        reply.last = page[-1].sequence if page else request.after
        return reply

    def _tell(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.told.append((request, {name: str(value) for name, value in context.invocation_metadata()}))
        return self.messages["TellReply"](done=True, reference=f"job-{len(self.told)}")

    def _make_reflection(self, version: str) -> Any:
        messages = load_messages("reflection")
        handler = grpc.stream_stream_rpc_method_handler(
            _reflect, messages["ServerReflectionRequest"].FromString, _write
        )
        return grpc.method_handlers_generic_handler(
            f"grpc.reflection.{version}.ServerReflection", {"ServerReflectionInfo": handler}
        )


def _find_authority(context: Any) -> str:
    # What HTTP/2 names who is called; grpcio shows it nowhere else.
    return str(context._rpc_event.call_details.host.decode())


def _reflect(requests: Iterator[Any], _context: grpc.ServicerContext) -> Iterator[Any]:
    messages = load_messages("reflection")
    files = {each.name: each for each in descriptor_pb2.FileDescriptorSet.FromString(read_set("demo")).file}
    for request in requests:
        reply = messages["ServerReflectionResponse"](original_request=request)
        name = "demo.proto" if request.file_containing_symbol == SERVICE else request.file_by_filename
        if name in files:
            reply.file_descriptor_response.file_descriptor_proto.append(files[name].SerializeToString())
        else:
            reply.error_response.error_code, reply.error_response.error_message = 5, "not found"
        yield reply


def _make_health(status: int) -> Any:
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: bytes((8, status)))
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})


def _write(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
