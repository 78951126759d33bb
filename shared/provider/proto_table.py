"""Protobuf messages from a table of their fields: classes without generated code, made when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

WELL_KNOWN = {"Struct": "struct", "Timestamp": "timestamp"}
"""Messages of google.protobuf that a table may name, by their file."""


def make_message_classes(package: str, table: Mapping[str, str]) -> dict[str, Any]:
    """The classes of the messages in `table`, by their name there.

    A field is `name:number:type`. A star before the type makes it a list, `STRING>DOUBLE` a map; a type that is none of
    protobuf's is a message, of the table or of WELL_KNOWN. They have a pool of their own: others may have the names.
    """
    pool = import_module("google.protobuf.descriptor_pool").DescriptorPool()
    for file in WELL_KNOWN.values():
        pool.AddSerializedFile(import_module(f"google.protobuf.{file}_pb2").DESCRIPTOR.serialized_pb)
    pool.Add(describe_file(package, table))
    find = pool.FindMessageTypeByName
    make = import_module("google.protobuf.message_factory").GetMessageClass
    return {name: make(find(f"{package}.{name}")) for name in table}


def describe_file(package: str, table: Mapping[str, str]) -> Any:
    """The FileDescriptorProto of the messages in `table`."""
    protos = import_module("google.protobuf.descriptor_pb2")
    messages = [protos.DescriptorProto(name=name) for name in table]
    for message in messages:
        for entry in table[message.name].split():
            _add_field(message, package, table, entry)
    return protos.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        message_type=messages,
        dependency=[f"google/protobuf/{file}.proto" for file in WELL_KNOWN.values()],
    )


def _add_field(message: Any, package: str, table: Mapping[str, str], entry: str) -> None:
    Field = import_module("google.protobuf.descriptor_pb2").FieldDescriptorProto  # noqa: N806 - a class
    name, number, kind = entry.split(":")
    is_map, is_list = ">" in kind, kind.startswith("*")
    field = message.field.add(name=name, number=int(number))
    field.label = Field.LABEL_REPEATED if is_map or is_list else Field.LABEL_OPTIONAL
    kind = kind.lstrip("*")
    if is_map:
        entry_name = "".join(part.capitalize() for part in name.split("_")) + "Entry"
        nested = message.nested_type.add(name=entry_name)
        nested.options.map_entry = True
        key, value = kind.split(">")
        _add_field(nested, package, table, f"key:1:{key}")
        _add_field(nested, package, table, f"value:2:{value}")
        field.type, field.type_name = Field.TYPE_MESSAGE, f".{package}.{message.name}.{entry_name}"
    elif kind in table or kind in WELL_KNOWN:
        field.type = Field.TYPE_MESSAGE
        field.type_name = f".{package if kind in table else 'google.protobuf'}.{kind}"
    else:
        field.type = Field.Type.Value(f"TYPE_{kind}")
