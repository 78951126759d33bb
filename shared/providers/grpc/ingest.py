"""Our own service that gateways push to, as docs/grpc/ingest.proto has it."""

from __future__ import annotations

from functools import cache
from typing import Any

from shared.provider import make_message_classes
from shared.providers.grpc.values import BodyReader

PACKAGE = "devices.v1"
SERVICE = f"{PACKAGE}.Ingest"
METHOD = f"{SERVICE}/Publish"
TABLE = {
    "Reading": "id:1:STRING device:2:STRING time:3:Timestamp values:4:STRING>DOUBLE payload:5:Struct raw:6:BYTES",
    "Batch": "readings:1:*Reading",
    "Ack": "stored:1:UINT32 duplicates:2:UINT32 failed:3:UINT32",
}


@cache
def load_classes() -> dict[str, Any]:
    """The messages as classes, made when the first batch comes."""
    return make_message_classes(PACKAGE, TABLE)


@cache
def load_reader() -> BodyReader:
    """What reads them."""
    return BodyReader(None)
