"""A FileDescriptorSet as `protoc --include_imports --descriptor_set_out` writes it, made without protoc."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2, wrappers_pb2

PROTO = descriptor_pb2.FieldDescriptorProto
IMPORTS = (timestamp_pb2, wrappers_pb2)


def field(name: str, number: int, kind: str, *, repeated: bool = False, optional: bool = False) -> Any:
    """One field; a kind with a dot is a message or, beginning with `enum:`, an enumeration."""
    made = PROTO(name=name, number=number, label=PROTO.LABEL_REPEATED if repeated else PROTO.LABEL_OPTIONAL)
    if kind.startswith("enum:"):
        made.type, made.type_name = PROTO.TYPE_ENUM, f".{kind[5:]}"
    elif "." in kind:
        made.type, made.type_name = PROTO.TYPE_MESSAGE, f".{kind}"
    else:
        made.type = PROTO.Type.Value(f"TYPE_{kind.upper()}")
    if optional:
        made.proto3_optional, made.oneof_index = True, 0
    return made


def make_file() -> Any:
    """`plant.Report` with all kinds of fields, `plant.Point` within it, and `plant.Command` beside it."""
    point = descriptor_pb2.DescriptorProto(
        name="Point", field=[field("x", 1, "sint32"), field("y", 2, "float")]
    )
    entry = descriptor_pb2.DescriptorProto(
        name="ByNameEntry", field=[field("key", 1, "string"), field("value", 2, "plant.Point")]
    )
    entry.options.map_entry = True
    flags = descriptor_pb2.DescriptorProto(
        name="FlagsEntry", field=[field("key", 1, "bool"), field("value", 2, "int64")]
    )
    flags.options.map_entry = True
    report = descriptor_pb2.DescriptorProto(
        name="Report",
        field=[
            field("device", 1, "string"),
            field("temperature", 2, "float"),
            field("pressure", 3, "double"),
            field("counter", 4, "uint64"),
            field("offset", 5, "int64"),
            field("on", 6, "bool"),
            field("state", 7, "enum:plant.State"),
            field("raw", 8, "bytes"),
            field("samples", 9, "int32", repeated=True),
            field("points", 10, "plant.Point", repeated=True),
            field("by_name", 11, "plant.Report.ByNameEntry", repeated=True),
            field("flags", 12, "plant.Report.FlagsEntry", repeated=True),
            field("at", 13, "google.protobuf.Timestamp"),
            field("limit", 14, "google.protobuf.Int64Value"),
            field("battery", 15, "int32", optional=True),
        ],
        nested_type=[entry, flags],
        oneof_decl=[descriptor_pb2.OneofDescriptorProto(name="_battery")],
    )
    state = descriptor_pb2.EnumDescriptorProto(
        name="State",
        value=[
            descriptor_pb2.EnumValueDescriptorProto(name=name, number=at)
            for at, name in enumerate(("IDLE", "HEATING"))
        ],
    )
    command = descriptor_pb2.DescriptorProto(
        name="Command", field=[field("set_point", 1, "float"), field("reset", 2, "bool")]
    )
    return descriptor_pb2.FileDescriptorProto(
        name="plant.proto",
        package="plant",
        syntax="proto3",
        dependency=[module.DESCRIPTOR.name for module in IMPORTS],
        message_type=[point, report, command],
        enum_type=[state],
    )


def make_set(*files: Any, imports: bool = True) -> str:
    """The set in base64: what is imported first, as protoc does."""
    made = descriptor_pb2.FileDescriptorSet()
    for module in IMPORTS if imports else ():
        module.DESCRIPTOR.CopyToProto(made.file.add())
    made.file.extend(files or [make_file()])
    return base64.b64encode(made.SerializeToString()).decode()


def make_message(name: str) -> Any:
    """An empty message of that schema, for tests to fill."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(base64.b64decode(make_set())).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))()
