"""Protocol Buffers, by a FileDescriptorSet that the source brings (`protoc --include_imports --descriptor_set_out`).

The source is that file in base64; or an object `{"descriptors": base64, "message"?, "downlink"?, "mapping"?}`, which
names the message of bodies that come and of those that go.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from shared.codecs.limits import DEPTH_LIMIT, VALUE_LIMIT
from shared.codecs.sandbox.format import Format, Parsed, shorten_float
from shared.codecs.sandbox.program import Body, CodecError, SourceError

FIELDS = {"descriptors", "message", "downlink", "mapping"}
WRAPPERS = {
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
}


class Kind(Format):
    """Names are those of the .proto file, whole numbers stay numbers, enumerations their names, bytes base64."""

    label = "protobuf"
    media_type = "application/x-protobuf"

    def __init__(self, source: str) -> None:
        parts = _read_source(source)
        super().__init__(parts.get("mapping", ""))
        pool, last = _make_pool(parts["descriptors"])
        self._uplink = _find_message(pool, last, parts.get("message", ""))
        self._downlink = (
            _find_message(pool, last, parts["downlink"]) if parts.get("downlink") else self._uplink
        )

    def read(self, body: Body) -> Parsed:
        """The message in a body, with a warning where it has fields that the descriptor does not know."""
        message = message_factory.GetMessageClass(self._uplink)()
        try:
            message.ParseFromString(body.content)
            unknown = len(UnknownFieldSet(message))
            document = _Reader().read_message(message)
        except (DecodeError, json_format.Error, ValueError, TypeError) as error:
            raise CodecError(f"Not a {self._uplink.full_name}: {str(error)[:300]}.") from None
        return Parsed(document, warnings=(f"{unknown} fields are not in the descriptor.",) if unknown else ())

    def write(self, data: Any, /) -> bytes:
        """The message with these members."""
        if not isinstance(data, dict):
            raise CodecError(f"A {self._downlink.full_name} is made of an object.")
        try:
            message = json_format.ParseDict(
                data, message_factory.GetMessageClass(self._downlink)(), max_recursion_depth=DEPTH_LIMIT
            )
            return bytes(message.SerializeToString(deterministic=True))
        except (json_format.Error, EncodeError, ValueError, TypeError, AttributeError) as error:
            raise CodecError(f"This is no {self._downlink.full_name}: {str(error)[:300]}.") from None


def _read_source(source: str) -> dict[str, str]:
    if not source.lstrip().startswith("{"):
        return {"descriptors": source}
    try:
        parts = json.loads(source)
    except json.JSONDecodeError as error:
        raise SourceError(error.msg, error.lineno, error.colno) from None
    if (
        "descriptors" not in parts
        or parts.keys() - FIELDS
        or not all(isinstance(part, str) for part in parts.values())
    ):
        raise SourceError(
            f"it is to be an object of text, with descriptors and at most {', '.join(sorted(FIELDS))}"
        )
    return dict(parts)


def _make_pool(descriptors: str) -> tuple[descriptor_pool.DescriptorPool, FileDescriptor]:
    pool = descriptor_pool.DescriptorPool()
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(
            base64.b64decode("".join(descriptors.split()), validate=True)
        ).file
        for file in files:
            pool.AddSerializedFile(file.SerializeToString())
        return pool, pool.FindFileByName(files[-1].name)
    except (binascii.Error, DecodeError, IndexError) as error:
        reason = "it is no FileDescriptorSet in base64; make one with protoc --include_imports --descriptor_set_out"
        raise SourceError(reason) from error
    except (TypeError, KeyError, ValueError) as error:
        raise SourceError(
            f"the descriptors do not fit together (was --include_imports given?): {str(error)[:300]}"
        ) from None


def _find_message(pool: descriptor_pool.DescriptorPool, last: FileDescriptor, name: str) -> Descriptor:
    """The message of that name, or without one the only one of the last file that is part of no other."""
    if name:
        try:
            return pool.FindMessageTypeByName(name)
        except KeyError:
            raise SourceError(f"there is no message {name[:100]!r}; it has {_list_names(last)}") from None
    messages = last.message_types_by_name.values()
    parts = {
        field.message_type
        for message in messages
        for field in message.fields
        if field.message_type is not message
    }
    whole = [message for message in messages if message not in parts]
    if len(whole) != 1:
        raise SourceError(f"name the message of the bodies: one of {_list_names(last)}")
    return whole[0]


def _list_names(file: FileDescriptor) -> str:
    return (
        ", ".join(sorted(message.full_name for message in file.message_types_by_name.values()))[:300]
        or "none"
    )


class _Reader:
    """Turns one message into JSON, but for bytes. Fields without presence are there even with their default."""

    def __init__(self) -> None:
        self._left = VALUE_LIMIT

    def read_message(self, message: Message) -> Any:
        """The message as an object; the well-known ones as JSON has them."""
        kind = message.DESCRIPTOR.full_name
        self._left -= 1 + len(message.DESCRIPTOR.fields)
        if self._left < 0:
            raise CodecError(f"The message holds more than {VALUE_LIMIT:,} values.")
        if kind in WRAPPERS:
            return message.value
        if kind.startswith("google.protobuf."):
            return json_format.MessageToDict(message, preserving_proto_field_name=True)
        there = (field for field in message.DESCRIPTOR.fields if _is_there(field, message))
        return {field.name: self._read_field(field, getattr(message, field.name)) for field in there}

    def _read_field(self, field: FieldDescriptor, value: Any) -> Any:
        if not field.is_repeated:
            return self._read_value(field, value)
        self._left -= len(value)
        if field.message_type is None or not field.message_type.GetOptions().map_entry:
            return [self._read_value(field, one) for one in value]
        of_values = field.message_type.fields_by_name["value"]
        return {_name_key(key): self._read_value(of_values, value[key]) for key in value}

    def _read_value(self, field: FieldDescriptor, value: Any) -> Any:
        if field.message_type is not None:
            return self.read_message(value)
        if field.enum_type is not None:
            known = field.enum_type.values_by_number.get(value)
            return known.name if known else value
        return shorten_float(value) if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT else value


def _is_there(field: FieldDescriptor, message: Message) -> bool:
    if field.is_repeated:
        return bool(len(getattr(message, field.name)))
    return not field.has_presence or message.HasField(field.name)


def _name_key(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
