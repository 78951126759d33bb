"""All kinds but JavaScript, imported at once: later the process can open no file."""

from __future__ import annotations

from shared.codecs.sandbox.format import Format
from shared.codecs.sandbox.kinds import (
    cayenne_lpp,
    cbor,
    jmespath_mapping,
    msgpack,
    protobuf,
    senml,
    sparkplug_b,
)

KINDS: dict[str, type[Format]] = {
    "jmespath": jmespath_mapping.Kind,
    "cayenne_lpp": cayenne_lpp.Kind,
    "senml": senml.Kind,
    "cbor": cbor.Kind,
    "msgpack": msgpack.Kind,
    "protobuf": protobuf.Kind,
    "sparkplug_b": sparkplug_b.Kind,
}


def compile_format(kind: str, source: str) -> Format:
    """The format of that name with its source. Errors: SourceError."""
    return KINDS[kind](source)
