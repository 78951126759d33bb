"""CBOR (RFC 8949), as far as JSON can hold it. Shared and cyclic values are refused: they make small bodies endless."""

from __future__ import annotations

import io
import math
from typing import Any

import cbor2

from shared.codecs.limits import DEPTH_LIMIT
from shared.codecs.sandbox.format import Format, Parsed
from shared.codecs.sandbox.program import Body, CodecError

BIGNUM_BYTES = 128
EXPONENTS = range(-400, 401)

_SHARED = (25, 28, 29, 256)
_PLAIN = (0, 1, 30, 35, 36, 43_000, 258)
"""Tags whose content says it all: times, fractions, patterns and sets stay what they are made of."""


class Kind(Format):
    """Bytes become base64, numbers beyond 64 bits text, names that are no text their JSON."""

    label = "CBOR"
    media_type = "application/cbor"

    def read(self, body: Body) -> Parsed:
        """The one document in a body."""
        return Parsed(read_cbor(body.content))

    def write(self, data: Any, /) -> bytes:
        """The data as it is."""
        return cbor2.dumps(data)


def read_cbor(content: bytes) -> Any:
    """The document, still with bytes and names of any kind. Errors: CodecError."""
    if not content:
        raise CodecError("The body is empty.")
    try:
        return _replace(_decode(content))
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"Not CBOR: {str(error)[:300]}.") from None


def _decode(content: bytes) -> Any:
    decoder = cbor2.CBORDecoder(
        io.BytesIO(content),
        semantic_decoders=_DECODERS,
        tag_hook=lambda tag, _: tag.value,
        max_depth=DEPTH_LIMIT,
    )
    document = decoder.decode()
    try:
        decoder.read(1)
    except cbor2.CBORDecodeEOF:
        return document
    raise ValueError("more follows after its end")


def _read_bignum(content: Any, _: bool) -> str:  # noqa: FBT001 - as cbor2 calls it
    # Text, not a number: numbers can be chosen so that a dictionary with such names takes for ever.
    return str(int.from_bytes(_check_bignum(content)))


def _read_negative_bignum(content: Any, _: bool) -> str:  # noqa: FBT001 - as cbor2 calls it
    return str(-1 - int.from_bytes(_check_bignum(content)))


def _check_bignum(content: Any) -> bytes:
    if not isinstance(content, bytes) or len(content) > BIGNUM_BYTES:
        raise ValueError(f"a big number has at most {BIGNUM_BYTES} bytes")
    return content


def _read_decimal(content: Any, _: bool) -> float:  # noqa: FBT001 - as cbor2 calls it
    exponent, mantissa = _check_fraction(content)
    return float(f"{mantissa}e{exponent}")


def _read_bigfloat(content: Any, _: bool) -> float:  # noqa: FBT001 - as cbor2 calls it
    exponent, mantissa = _check_fraction(content)
    return math.ldexp(mantissa, exponent)


def _check_fraction(content: Any) -> tuple[int, int]:
    if not isinstance(content, list | tuple) or [type(part) for part in content] != [int, int]:
        raise ValueError("a fraction is a list of two whole numbers")
    exponent, mantissa = content
    if exponent not in EXPONENTS:
        raise ValueError("the exponent of a fraction is out of range")
    return exponent, mantissa


def _refuse_shared(_content: Any, _: bool) -> Any:  # noqa: FBT001 - as cbor2 calls it
    raise ValueError("shared values are not read")


_DECODERS = {
    2: _read_bignum,
    3: _read_negative_bignum,
    4: _read_decimal,
    5: _read_bigfloat,
    **dict.fromkeys(_PLAIN, lambda content, _: content),
    **dict.fromkeys(_SHARED, _refuse_shared),
}


def _replace(value: Any) -> Any:
    """`value` without what only this library knows."""
    if isinstance(value, dict):
        return {_replace(name): _replace(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner) for inner in value]
    if isinstance(value, cbor2.CBORSimpleValue):
        return value.value
    return None if value is cbor2.undefined else value
