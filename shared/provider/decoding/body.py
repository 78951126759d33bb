"""A pushed body by its content type: JSON and CBOR as JSON, anything else as the bytes it is. No input raises."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.provider.decoding.mending import REPLACED
from shared.provider.decoding.storable import DEPTH_LIMIT, find_depth, read_document
from shared.runtime.exact_json import write_json
from shared.runtime.portable import replace_nul

JSON, CBOR = "json", "cbor"
WHOLE_NUMBERS = range(-(2**63), 2**64)
"""Others are text: that of CBOR tells them apart no better."""

BIGNUM_BYTES = 128

_KINDS = {"application/json": JSON, "text/json": JSON, "application/cbor": CBOR}
_SHARED = (25, 28, 29, 256)
"""Tags by which a small body stands for an enormous or an endless document."""

_PLAIN = (0, 1, 4, 5, 30, 35, 36, 43000, 258)
"""Tags whose content says it all: times, fractions, patterns and sets stay what they are made of."""


class DecodedBody(NamedTuple):
    """`payload` is JSON; `raw` is what came where `payload` does not say all of it; `error` why it was not decoded.

    `remark` is what was odd and did not prevent that.
    """

    payload: Any
    raw: bytes | None = None
    error: str | None = None
    remark: str | None = None


def read_media_type(content_type: str) -> str:
    """The media type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def decode_body(content_type: str, body: bytes) -> DecodedBody:
    """What `body` says. A type that is neither JSON nor CBOR is no error; without a type JSON is tried."""
    media_type = read_media_type(content_type)
    kind = _KINDS.get(media_type) or media_type.rpartition("+")[2]
    if kind == JSON:
        return _decode_json(body)
    if kind == CBOR:
        return _decode_cbor(body)
    tried = _decode_json(body) if not media_type else DecodedBody(None, body)
    return tried if tried.error is None else DecodedBody(None, body)


def _decode_json(body: bytes) -> DecodedBody:
    document, remark, error = read_document(body)
    return DecodedBody(document, body if document is None or remark else None, error, remark)


def _decode_cbor(body: bytes) -> DecodedBody:
    import cbor2

    try:
        document = _make_jsonable(_read_cbor(body))
    except (cbor2.CBORError, ValueError) as error:
        reason = f"Not CBOR that can be kept as JSON: {error}."
        return DecodedBody(None, body, reason[:500] if body else "The body is empty.")
    trouble = find_depth(document, write_json(document))
    if trouble:
        return DecodedBody(None, body, trouble)
    plain = replace_nul(document)
    return DecodedBody(plain, body, None, None if plain == document else REPLACED)


def _read_cbor(body: bytes) -> Any:
    import cbor2

    decoders = {
        2: _read_bignum,
        3: lambda content, _: -1 - _read_bignum(content, _),
        **dict.fromkeys(_PLAIN, lambda content, _: content),
        **dict.fromkeys(_SHARED, _refuse_shared),
    }
    decoder = cbor2.CBORDecoder(
        io.BytesIO(body),
        semantic_decoders=decoders,
        tag_hook=lambda tag, _: tag.value,
        max_depth=DEPTH_LIMIT,
    )
    document = decoder.decode()
    try:
        decoder.read(1)
    except cbor2.CBORDecodeEOF:
        return document
    raise ValueError("more follows after its end")


def _read_bignum(content: Any, _: bool) -> int:  # noqa: FBT001 - as cbor2 calls it
    if not isinstance(content, bytes) or len(content) > BIGNUM_BYTES:
        raise ValueError(f"a big number has at most {BIGNUM_BYTES} bytes")
    return int.from_bytes(content)


def _refuse_shared(_content: Any, _: bool) -> Any:  # noqa: FBT001 - as cbor2 calls it
    raise ValueError("shared values are not read")


def _make_jsonable(value: Any) -> Any:
    """`value` as JSON has it: bytes as base64, numbers that JSON has not as text or null, names as text."""
    if isinstance(value, Mapping):
        return {_name_member(name): _make_jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_make_jsonable(inner) for inner in value]
    return value if value is None or isinstance(value, bool | str) else _make_plain(value)


def _make_plain(value: Any) -> Any:
    import cbor2

    if isinstance(value, int):
        return value if value in WHOLE_NUMBERS else str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, cbor2.CBORSimpleValue):
        return value.value
    if value is cbor2.undefined or isinstance(value, float):
        return value if isinstance(value, float) and math.isfinite(value) else None
    return str(value)


def _name_member(name: Any) -> str:
    name = _make_jsonable(name)
    return name if isinstance(name, str) else write_json(name).decode()
