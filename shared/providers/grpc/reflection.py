"""Server reflection, v1 and v1alpha: the descriptors of a service, asked of itself.

Source: grpc/doc/server-reflection.md. Both are the same but for their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.provider import ProtocolFailed, ProviderRefused, make_message_classes
from shared.providers.grpc.channel import Channel, explain_errors
from shared.providers.grpc.descriptors import MOST_BYTES, MOST_FILES, Schema, split_method
from shared.providers.grpc.failures import UNIMPLEMENTED, clean_words
from shared.providers.grpc.plan import ServicePlan

VERSIONS = ("v1", "v1alpha")
SECONDS = 10.0
WORDS_LIMIT = 300
NOT_FOUND = 5
NONE = (
    "{host} does not tell of its methods (server reflection): switch that on there, or upload descriptor_set."
)

TABLE = {
    "Request": "host:1:STRING file_by_filename:3:STRING file_containing_symbol:4:STRING",
    "Files": "file_descriptor_proto:1:*BYTES",
    "Failure": "error_code:1:INT32 error_message:2:STRING",
    "Reply": "file_descriptor_response:4:Files error_response:7:Failure",
}


def ask_schema(channel: Channel, plan: ServicePlan, methods: Sequence[str]) -> Schema:
    """The descriptors that these methods need. Errors: OutsideError; ValueError where they are none."""
    services = dict.fromkeys(split_method(each)[0] for each in methods)
    failure: ProviderRefused | None = None
    for version in VERSIONS:
        try:
            return Schema(_Conversation(channel, plan, version).fetch([*services]))
        except ProviderRefused as problem:
            if problem.answered != 501:  # noqa: PLR2004 - what UNIMPLEMENTED comes to
                raise
            failure = problem
    raise ProviderRefused(NONE.format(host=plan.host), answered=501) from failure


class _Conversation:
    """Questions about files and symbols, on one stream."""

    def __init__(self, channel: Channel, plan: ServicePlan, version: str) -> None:
        self._channel = channel
        self._plan = plan
        self._path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
        self._classes = make_message_classes("reflection", TABLE)
        self._files: dict[bytes, None] = {}
        self._names: set[str] = set()

    def fetch(self, services: Sequence[str]) -> list[bytes]:
        """The files of those services and all that they import."""
        from google.protobuf.descriptor_pb2 import FileDescriptorProto

        left = [{"file_containing_symbol": each} for each in services]
        while left:
            for body in self._ask(left.pop()):
                file = self._parse(FileDescriptorProto, body)
                if file.name not in self._names:
                    self._names.add(file.name)
                    self._files[body] = None
                    self._check_size()
                    left += [
                        {"file_by_filename": each} for each in file.dependency if each not in self._names
                    ]
        return [*self._files]

    def _ask(self, question: dict[str, str]) -> list[bytes]:
        if question.get("file_by_filename") in self._names:
            return []
        asked = self._classes["Request"](host=self._plan.authority, **question).SerializeToString()
        call = self._channel.converse(self._path, iter([asked]), SECONDS)
        try:
            with explain_errors(self._plan):
                body = next(iter(call), None)
        finally:
            call.cancel()
        if body is None:
            raise ProtocolFailed(f"{self._plan.host} answers reflection with nothing.")
        reply = self._parse(self._classes["Reply"], body)
        if reply.HasField("error_response"):
            return self._heed_failure(reply.error_response, question)
        return list(reply.file_descriptor_response.file_descriptor_proto)

    def _heed_failure(self, failure: Any, question: dict[str, str]) -> list[bytes]:
        name = question.get("file_by_filename", "")
        if name.startswith("google/protobuf/"):
            # Some have none of those, which are ours as well.
            return []
        asked = next(iter(question.values()))
        words = clean_words(failure.error_message, self._plan.secrets)[:WORDS_LIMIT]
        answered = 501 if failure.error_code == UNIMPLEMENTED else 404
        raise ProviderRefused(f"{self._plan.host} does not know {asked}: {words}", answered=answered)

    def _parse(self, kind: Any, body: bytes) -> Any:
        from google.protobuf.message import DecodeError

        try:
            return kind.FromString(body)
        except DecodeError:
            raise ProtocolFailed(f"{self._plan.host} answers reflection with something else.") from None

    def _check_size(self) -> None:
        if len(self._files) > MOST_FILES or sum(map(len, self._files)) > MOST_BYTES:
            raise ProtocolFailed(
                f"{self._plan.host} describes its service in more than {MOST_FILES} files or {MOST_BYTES:,} bytes; "
                "upload descriptor_set, of its own .proto alone."
            )
