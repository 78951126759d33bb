"""Whatever comes in, what comes out has its shape, can be stored, and nothing raises."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codecs.answers import read_decoded, read_downlink, read_encoded
from shared.codecs.codec import Codec
from shared.codecs.contract import KINDS, CodecFailed, Decoded, Downlink, SourceRefused, Uplink
from tests.unit.codecs.decoding import ORGANIZATION, uplink
from tests.unit.codecs.protobuf_schema import make_set

SOURCES = {
    "javascript": uplink(
        "return { data: { bytes: input.bytes, text: input.text, topic: input.topic, port: input.fPort } }"
    ),
    "jmespath": "@",
    "protobuf": json.dumps({"descriptors": make_set(), "message": "plant.Report"}),
}
BODIES = st.binary(max_size=300) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
RESULTS = st.dictionaries(
    st.sampled_from(
        [
            "us",
            "data",
            "messages",
            "warnings",
            "errors",
            "normalized",
            "downlinks",
            "bytes",
            "hex",
            "text",
            "json",
            "fPort",
            "type",
        ]
    ),
    JSON
    | st.lists(
        st.dictionaries(
            st.sampled_from(["payload", "device", "time", "kind", "event_id", "status", "topic", "hex"]), JSON
        )
    ),
)
TOPICS = (
    st.none()
    | st.text(max_size=30)
    | st.sampled_from(["spBv1.0/g/NDATA/e", "spBv1.0/g/NBIRTH/e", "spBv1.0/g/DDATA/e/d"])
)


def assert_shape(decoded: Decoded) -> None:
    assert isinstance(decoded, Decoded)
    assert all(isinstance(word, str) for word in (*decoded.errors, *decoded.warnings))
    assert not (decoded.errors and decoded.messages)


def assert_storable(decoded: Decoded) -> None:
    written = orjson.dumps(
        [decoded.data, decoded.normalized, [message.payload for message in decoded.messages]]
    )
    assert b"\\u0000" not in written.replace(b"\\\\", b"")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(
    bodies=st.lists(BODIES, min_size=1, max_size=20),
    topic=TOPICS,
    f_port=st.none() | st.integers(0, 255),
    at=st.none() | st.text(max_size=20),
)
def test_any_body_is_decoded_or_says_why_not(
    kind: str, bodies: list[bytes], topic: str | None, f_port: int | None, at: str | None
) -> None:
    codec = Codec(ORGANIZATION, kind, SOURCES.get(kind, ""))

    decoded = codec.decode([Uplink(body, f_port, topic, at) for body in bodies])

    assert len(decoded) == len(bodies)
    for one in decoded:
        assert_shape(one)
        assert_storable(one)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(source=st.text(max_size=60) | st.text(string.printable, max_size=60))
def test_any_source_compiles_or_is_refused(kind: str, source: str) -> None:
    codec = Codec(ORGANIZATION, kind, source)

    with suppress(SourceRefused):
        codec.check()
    assert_shape(codec.decode([Uplink(b"\x01")])[0])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(data=JSON)
def test_any_data_are_encoded_or_refused(kind: str, data: Any) -> None:
    codec = Codec(ORGANIZATION, kind, SOURCES.get(kind, ""))

    with suppress(CodecFailed):
        assert isinstance(codec.encode(data).body, bytes)
    assert len(codec.encode_events([{"payload": data}])) == 1


@settings(max_examples=60)
@given(value=JSON)
def test_json_goes_through_javascript_as_it_is(value: Any) -> None:
    source = uplink("return { data: [JSON.parse(input.text)] }")
    text = orjson.dumps(value)

    decoded = Codec(ORGANIZATION, "javascript", source).decode([Uplink(text)])[0]

    exact = json.loads(text, parse_int=float)
    replaced = json.loads(json.dumps(exact).replace("\\u0000", "\\ufffd"))
    assert json.loads(orjson.dumps(decoded.data), parse_int=float) == [replaced]


@settings(max_examples=300)
@given(result=RESULTS)
def test_whatever_a_child_says_it_is_read(result: dict[str, Any]) -> None:
    assert_shape(read_decoded(result))
    assert read_encoded(result)
    assert isinstance(read_downlink(result, None), Downlink | CodecFailed)
