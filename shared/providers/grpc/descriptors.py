"""A service as its descriptors say: its methods, and the classes of what they take and answer. Nothing is generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

MOST_FILES = 500
MOST_BYTES = 1_048_576
"""Of all descriptors of a service together."""

SHOWN = 10
WELL_KNOWN = frozenset(
    (
        *("any", "api", "descriptor", "duration", "empty", "field_mask"),
        *("source_context", "struct", "timestamp", "type", "wrappers"),
    )
)
_METHOD = re.compile(r"/?([A-Za-z_][\w.]{0,400})[./]([A-Za-z_]\w{0,200})", re.ASCII)


def split_method(name: str) -> tuple[str, str]:
    """Service and method of `demo.v1.Telemetry/Watch`; ValueError says how to write it."""
    found = _METHOD.fullmatch(name.strip())
    if found is None:
        raise ValueError("write package, service and method, as demo.v1.Telemetry/Watch")
    return found[1], found[2]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it takes and answers, as classes of messages, and whether it answers with a stream."""

    name: str
    request: Any
    reply: Any
    is_streaming: bool

    @property
    def path(self) -> str:
        """As HTTP/2 names it."""
        return f"/{self.name}"


class Schema:
    """The descriptors of a service. ValueError where they are none, in words."""

    def __init__(self, files: Iterable[bytes]) -> None:
        from google.protobuf.descriptor_pool import DescriptorPool

        self.pool = DescriptorPool()
        described = _parse_files(list(files))
        for name in described:
            _add_file(self.pool, described, name, ())
        self.names = [
            f"{each.package}.{service.name}" if each.package else service.name
            for each, _ in described.values()
            for service in each.service
        ]

    @classmethod
    def from_set(cls, body: bytes) -> Schema:
        """The descriptors in a FileDescriptorSet."""
        from google.protobuf.descriptor_pb2 import FileDescriptorSet
        from google.protobuf.message import DecodeError

        try:
            files = FileDescriptorSet.FromString(body).file
        except DecodeError:
            raise ValueError("it is no descriptor set; protoc makes one with --descriptor_set_out") from None
        return cls([each.SerializeToString() for each in files])

    def find_method(self, name: str) -> Method:
        """The method of that name, which takes one message."""
        from google.protobuf.message_factory import GetMessageClass

        service, method = split_method(name)
        try:
            found = self.pool.FindServiceByName(service).methods_by_name.get(method)
        except KeyError:
            raise ValueError(f"there is no service {service}; {_list('there is', self.names)}") from None
        if found is None:
            methods = [each.name for each in self.pool.FindServiceByName(service).methods]
            raise ValueError(f"{service} has no method {method}; {_list('it has', methods)}")
        if found.client_streaming:
            raise ValueError(f"{method} takes a stream of requests; choose a method that takes one")
        classes = (GetMessageClass(found.input_type), GetMessageClass(found.output_type))
        return Method(f"{service}/{method}", *classes, bool(found.server_streaming))


def _parse_files(files: list[bytes]) -> Mapping[str, tuple[Any, bytes]]:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.message import DecodeError

    if len(files) > MOST_FILES or sum(map(len, files)) > MOST_BYTES:
        raise ValueError(f"they are more than {MOST_FILES} files or {MOST_BYTES:,} bytes; describe less")
    described: dict[str, tuple[Any, bytes]] = {}
    for body in files:
        try:
            file = FileDescriptorProto.FromString(body)
        except DecodeError:
            raise ValueError("one of the files in it can't be read") from None
        described[file.name] = (file, body)
    if not described:
        raise ValueError("there is no file in it")
    return described


def _add_file(
    pool: Any, described: Mapping[str, tuple[Any, bytes]], name: str, within: tuple[str, ...]
) -> None:
    """Add a file after those that it imports. What of google.protobuf it leaves out is ours."""
    if name in within:
        raise ValueError(f"{_show(name)} imports itself")
    try:
        pool.FindFileByName(name)
    except KeyError:
        pass
    else:
        return
    if name not in described:
        _add_well_known(pool, name)
        return
    file, body = described[name]
    for dependency in file.dependency:
        _add_file(pool, described, dependency, (*within, name))
    try:
        pool.AddSerializedFile(body)
    except (TypeError, ValueError):
        raise ValueError(f"{_show(name)} is not valid: types are missing, or are there twice") from None


def _add_well_known(pool: Any, name: str) -> None:
    file = name.removeprefix("google/protobuf/").removesuffix(".proto")
    if not name.startswith("google/protobuf/") or file not in WELL_KNOWN:
        raise ValueError(f"{_show(name)} is imported and not there; call protoc with --include_imports")
    described = import_module(f"google.protobuf.{file}_pb2").DESCRIPTOR
    for dependency in described.dependencies:
        _add_file(pool, {}, dependency.name, ())
    pool.AddSerializedFile(described.serialized_pb)


def _list(words: str, names: list[str]) -> str:
    shown = [_show(name) for name in names[:SHOWN]]
    return f"{words} {', '.join(shown)}{' …' if len(names) > SHOWN else ''}" if shown else "there is none"


def _show(name: str) -> str:
    """As much of a stranger's name as belongs in a sentence."""
    text = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name[:120])
    return text or "a file without a name"
