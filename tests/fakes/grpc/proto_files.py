"""The .proto files of the fakes, compiled by protoc when they are first needed."""

from __future__ import annotations

import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

PROTOS = Path(__file__).parent / "protos"
INCLUDED = str(files("grpc_tools") / "_proto")


def compile_proto(file: Path) -> bytes:
    """The FileDescriptorSet of a .proto with all that it imports."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.pb"
        arguments = [
            "protoc",
            f"-I{file.parent}",
            f"-I{INCLUDED}",
            "--include_imports",
            f"--descriptor_set_out={out}",
        ]
        assert protoc.main([*arguments, file.name]) == 0
        return out.read_bytes()


@cache
def read_set(name: str) -> bytes:
    """That of one of ours."""
    return compile_proto(PROTOS / f"{name}.proto")


@cache
def load_messages(name: str) -> dict[str, Any]:
    """The messages of one of ours, as classes by their names."""
    described = descriptor_pb2.FileDescriptorSet.FromString(read_set(name)).file
    pool = descriptor_pool.DescriptorPool()
    for each in described:
        pool.Add(each)
    last = described[-1]
    find = pool.FindMessageTypeByName
    return {
        each.name: message_factory.GetMessageClass(find(f"{last.package}.{each.name}"))
        for each in last.message_type
    }
