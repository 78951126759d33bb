"""The schema registry: what the frame of a body says of its schema, asked for once, for what has an id never changes.

A frame is a byte 0 and the id in 4 bytes, or a byte 1 and a GUID in 16; the body follows. Newer clients have the same
in the header `__value_schema_id`, and no frame.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from shared.provider import (
    MESSAGE_LIMIT,
    Access,
    Deadline,
    JsonApi,
    OutsideError,
    ProviderRefused,
    write_json,
)

LOOK_UP_SECONDS = 8.0
MOST_SCHEMAS = 500
SCHEMA_LENGTH = 1_000_000
MOST_REFERENCES = 50
HEADER = "__value_schema_id"
_BY_ID, _BY_GUID = 0, 1
_ID_END, _GUID_END = 5, 17
NOT_FRAMED = "It has no frame that says by which schema of the registry it is written."

NO_SCHEMA = "The schema registry answered something else than a schema."

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Schema:
    """How bodies of one schema are read; where none can be, why."""

    read: Any = None
    reason: str = ""
    is_json: bool = False


class Opened(NamedTuple):
    """What a body says, as JSON; or itself, and why it says nothing. `schema` is the id or GUID that it named."""

    body: bytes
    reason: str | None = None
    schema: int | str | None = None


class Registry:
    """One registry's schemas, of one session. Errors of looking one up: OutsideError, and nothing is passed over."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._schemas: OrderedDict[str, Schema] = OrderedDict()

    def open_body(self, value: bytes, headers: Headers) -> Opened:
        """What a framed body says. Errors: OutsideError."""
        frame, body = _split_frame(value, headers)
        if frame is None:
            # What begins a JSON document is one without a frame, as others write to the same topic.
            is_json = value[:1] in {b"{", b"["}
            return Opened(value, None if is_json else NOT_FRAMED)
        name = frame.rpartition("/")[2]
        named = int(name) if name.isdecimal() else name
        schema = self._find(frame)
        if schema.is_json:
            return Opened(body, None, named)
        if schema.read is None:
            return Opened(value, schema.reason, named)
        if len(body) > MESSAGE_LIMIT:
            reason = f"The body has {len(body):,} bytes; at most {MESSAGE_LIMIT:,} are read."
            return Opened(value, reason, named)
        try:
            return Opened(write_json(schema.read(body)), None, named)
        except (ValueError, TypeError) as error:
            return Opened(value, f"Its Avro can't be read: {error}.", named)

    def check(self) -> str:
        """Whether it answers: how many subjects it has. Errors: OutsideError."""
        subjects = self._call(Deadline(LOOK_UP_SECONDS), "/subjects")
        return f"It has {len(subjects) if isinstance(subjects, list) else 0} subjects."

    def _find(self, frame: str) -> Schema:
        if frame in self._schemas:
            self._schemas.move_to_end(frame)
            return self._schemas[frame]
        schema = self._read(frame)
        self._schemas[frame] = schema
        while len(self._schemas) > MOST_SCHEMAS:
            self._schemas.popitem(last=False)
        return schema

    def _read(self, frame: str) -> Schema:
        # In all, however many schemas this one names.
        deadline = Deadline(LOOK_UP_SECONDS)
        try:
            return self._make(self._call(deadline, f"/schemas/{frame}"), deadline)
        except ProviderRefused as refusal:
            if refusal.answered != HTTPStatus.NOT_FOUND:
                raise
            return Schema(reason=f"The registry knows no schema of the id {frame.rpartition('/')[2]}.")

    def _make(self, said: Any, deadline: Deadline) -> Schema:
        if not isinstance(said, Mapping):
            raise OutsideError(NO_SCHEMA)
        text, kind = str(said.get("schema") or ""), str(said.get("schemaType") or "AVRO")
        if kind == "JSON":
            return Schema(is_json=True)
        if kind != "AVRO" or len(text) > SCHEMA_LENGTH:
            return Schema(reason=f"Its schema is {kind[:20]}, which is not read here, or too large.")
        return self._compile(text, said, deadline)

    def _compile(self, text: str, said: Mapping[str, Any], deadline: Deadline) -> Schema:
        from shared.providers.kafka.avro import compile_schema

        references: dict[tuple[str, str], str] = {}
        try:
            self._gather(said, references, deadline)
            return Schema(compile_schema(text, list(references.values())))
        except ValueError as error:
            return Schema(reason=f"Its Avro can't be read: {error}.")

    def _gather(
        self,
        said: Mapping[str, Any],
        into: dict[tuple[str, str], str],
        deadline: Deadline,
        within: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """The schemas that one names, each once, before those that name them."""
        named = said.get("references") or ()
        if not isinstance(named, list | tuple) or not all(isinstance(each, Mapping) for each in named):
            raise OutsideError(NO_SCHEMA)
        for each in named:
            place = (str(each.get("subject")), str(each.get("version")))
            if place in into:
                continue
            if len(into) + len(within) >= MOST_REFERENCES or place in within:
                raise ValueError("its schema names too many others, or itself")
            found = self._call(deadline, "/subjects", place[0], "versions", place[1])
            if not isinstance(found, Mapping):
                raise OutsideError(NO_SCHEMA)
            self._gather(found, into, deadline, (*within, place))
            into[place] = str(found.get("schema") or "")

    def _call(self, deadline: Deadline, path: str, *parts: str) -> Any:
        with JsonApi(self._access, deadline) as api:
            answer = api.call("GET", path + (api.join_path(*parts) if parts else ""))
        if not isinstance(answer, dict | list):
            raise OutsideError("The schema registry answered something else than a JSON document.")
        return answer


def _split_frame(value: bytes, headers: Headers) -> tuple[str | None, bytes]:
    """What names the schema, as the end of an address, and the body behind the frame; None where nothing does."""
    for name, said in headers:
        if name == HEADER and said and (frame := _read_frame(said)[0]):
            return frame, value
    frame, end = _read_frame(value)
    return frame, value[end:]


def _read_frame(value: bytes) -> tuple[str | None, int]:
    if len(value) >= _ID_END and value[0] == _BY_ID:
        return f"ids/{int.from_bytes(value[1:_ID_END])}", _ID_END
    if len(value) >= _GUID_END and value[0] == _BY_GUID:
        return f"guids/{uuid.UUID(bytes=value[1:_GUID_END])}", _GUID_END
    return None, 0
