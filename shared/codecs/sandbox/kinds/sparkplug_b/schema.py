"""The messages of Sparkplug B as protobuf classes, made from a table of their fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "sparkplug"
_VALUES = (
    "int_value:UINT32",
    "long_value:UINT64",
    "float_value:FLOAT",
    "double_value:DOUBLE",
    "boolean_value:BOOL",
    "string_value:STRING",
)


def _number(first: int) -> str:
    """The six plain values, whose numbers follow one another."""
    pairs = (value.split(":") for value in _VALUES)
    return " ".join(f"{name}:{first + at}:{kind}" for at, (name, kind) in enumerate(pairs))


# name:number:type; a star makes it a list, another type is a message of this table.
TABLE = {
    "Payload": "timestamp:1:UINT64 metrics:2:*Metric seq:3:UINT64 uuid:4:STRING body:5:BYTES",
    "Metric": "name:1:STRING alias:2:UINT64 timestamp:3:UINT64 datatype:4:UINT32 is_historical:5:BOOL"
    f" is_transient:6:BOOL is_null:7:BOOL metadata:8:MetaData properties:9:PropertySet {_number(10)}"
    " bytes_value:16:BYTES dataset_value:17:DataSet template_value:18:Template",
    "MetaData": "is_multi_part:1:BOOL content_type:2:STRING size:3:UINT64 seq:4:UINT64 file_name:5:STRING"
    " file_type:6:STRING md5:7:STRING description:8:STRING",
    "PropertySet": "keys:1:*STRING values:2:*PropertyValue",
    "PropertyValue": f"type:1:UINT32 is_null:2:BOOL {_number(3)} propertyset_value:9:PropertySet"
    " propertysets_value:10:PropertySetList",
    "PropertySetList": "propertyset:1:*PropertySet",
    "DataSet": "num_of_columns:1:UINT64 columns:2:*STRING types:3:*UINT32 rows:4:*Row",
    "Row": "elements:1:*DataSetValue",
    "DataSetValue": _number(1),
    "Template": "version:1:STRING metrics:2:*Metric parameters:3:*Parameter template_ref:4:STRING is_definition:5:BOOL",
    "Parameter": f"name:1:STRING type:2:UINT32 {_number(3)}",
}


def _make_fields(table: str) -> Iterator[descriptor_pb2.FieldDescriptorProto]:
    proto = descriptor_pb2.FieldDescriptorProto
    for entry in table.split():
        name, number, kind = entry.split(":")
        label = proto.LABEL_REPEATED if kind.startswith("*") else proto.LABEL_OPTIONAL
        field = proto(name=name, number=int(number), label=label)
        kind = kind.lstrip("*")
        if kind in TABLE:
            field.type, field.type_name = proto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
        else:
            field.type = proto.Type.Value(f"TYPE_{kind}")
        yield field


def _make_payload() -> Any:
    messages = [
        descriptor_pb2.DescriptorProto(name=name, field=_make_fields(fields))
        for name, fields in TABLE.items()
    ]
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{PACKAGE}.proto", package=PACKAGE, syntax="proto2", message_type=messages
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Payload"))


Payload = _make_payload()
"""`Payload.FromString(body)`; nested messages are made with `add()`."""
