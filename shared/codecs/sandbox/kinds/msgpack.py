"""MessagePack, as far as JSON can hold it."""

from __future__ import annotations

from typing import Any

import msgpack

from shared.codecs.sandbox.format import Format, Parsed
from shared.codecs.sandbox.program import Body, CodecError


class Kind(Format):
    """Bytes become base64, timestamps unix time, other extensions `{"extension": 5, "data": base64}`."""

    label = "MessagePack"
    media_type = "application/msgpack"

    def read(self, body: Body) -> Parsed:
        """The one document in a body."""
        if not body.content:
            raise CodecError("The body is empty.")
        try:
            document = msgpack.unpackb(
                body.content, strict_map_key=False, timestamp=1, ext_hook=_read_extension
            )
        except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
            raise CodecError(f"Not MessagePack: {str(error)[:300] or type(error).__name__}.") from None
        return Parsed(document)

    def write(self, data: Any, /) -> bytes:
        """The data as it is."""
        try:
            return bytes(msgpack.packb(data))
        except (OverflowError, ValueError) as error:
            raise CodecError(f"This can't be written as MessagePack: {error}.") from None


def _read_extension(code: int, data: bytes) -> Any:
    return {"extension": code, "data": data}
