"""JavaScript codecs: what their functions are given, what they may return, and how errors name their place."""

from __future__ import annotations

from typing import Any

import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import (
    BODY_LIMIT,
    CodecFailed,
    DecodedMessage,
    EncoderAbsent,
    SourceRefused,
    ToEncode,
    Uplink,
)
from tests.unit.codecs.decoding import ORGANIZATION, decode, decode_one, find_error, read_data, uplink


def make(source: str) -> Codec:
    return Codec(ORGANIZATION, "javascript", source)


def test_decode_uplink_is_given_all_that_is_known_of_the_body() -> None:
    source = uplink(
        "const { text, recvTime, bytes } = input;"
        "return { data: { ...input, text, list: Array.isArray(bytes), at: recvTime.getTime() } }"
    )

    decoded = make(source).decode([Uplink("ü1".encode(), 7, "a/b", "2026-01-02T03:04:05Z")])[0]

    assert decoded.data == {
        "bytes": [195, 188, 49],
        "fPort": 7,
        "topic": "a/b",
        "recvTime": "2026-01-02T03:04:05.000Z",
        "text": "ü1",
        "list": True,
        "at": 1767323045000,
    }


def test_variables_are_there_for_those_who_ask() -> None:
    assert read_data("javascript", uplink("return { data: input.variables.scale || 'none' }"), b"") == "none"


def test_what_is_not_known_of_the_body_is_absent() -> None:
    source = uplink(
        "return { data: [input.fPort === null, input.topic === undefined, input.recvTime === undefined] }"
    )

    assert make(source).decode([Uplink(b"")])[0].data == [True, True, True]


def test_without_messages_of_its_own_the_data_is_the_message() -> None:
    decoded = decode_one("javascript", uplink("return { data: { t: 1 }, warnings: ['low'] }"), b"")

    assert decoded.messages == (DecodedMessage({"t": 1}),)
    assert decoded.warnings == ("low",)
    assert decoded.ok


def test_one_body_may_be_several_messages_of_several_devices_and_times() -> None:
    source = uplink("""return { messages: [
        { payload: { t: 1 }, device: 'a', time: 1767323045, event_id: 7, kind: 'state', status: 'online' },
        { payload: 2, device: 12, time: '2026-01-02T03:04:05Z' },
        { payload: null } ] }""")

    messages = decode_one("javascript", source, b"").messages

    assert messages == (
        DecodedMessage({"t": 1}, "a", 1767323045, "state", "7", "online"),
        DecodedMessage(2, "12", "2026-01-02T03:04:05Z"),
        DecodedMessage(None),
    )


def test_an_empty_list_of_messages_says_that_there_is_nothing_to_keep() -> None:
    decoded = decode_one("javascript", uplink("return { messages: [] }"), b"")

    assert decoded.ok
    assert decoded.messages == ()


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ("5", "messages has to be a list"),
        ("[1]", "messages[0] has to be an object with payload"),
        ("[{ device: 'a' }]", "messages[0] has to be an object with payload"),
        (
            "[{ payload: 1 }, { payload: 1, devise: 'a' }]",
            "messages[1] has to be an object with payload, and may have device",
        ),
        ("[{ payload: 1, device: '' }]", "messages[0].device has to be text"),
        ("[{ payload: 1, device: 'x'.repeat(513) }]", "messages[0].device has to be text"),
        ("[{ payload: 1, device: true }]", "messages[0].device has to be text"),
        ("[{ payload: 1, time: true }]", "messages[0].time has to be"),
        ("[{ payload: 1, time: {} }]", "messages[0].time has to be"),
        ("[{ payload: 1, kind: 'other' }]", "messages[0].kind has to be one of telemetry"),
        ("[{ payload: 1, kind: {} }]", "messages[0].kind has to be one of telemetry"),
        ("[{ payload: 1, status: 'away' }]", "messages[0].status has to be one of online"),
        ("Array(1001).fill({ payload: 1 })", "messages has to be a list of at most 1,000"),
    ],
)
def test_messages_that_are_none_say_where_they_are_wrong(messages: str, told: str) -> None:
    assert told in find_error("javascript", uplink(f"return {{ messages: {messages} }}"), b"")


def test_what_normalize_uplink_makes_of_the_data_comes_along() -> None:
    source = uplink(
        "return { data: { t: input.bytes[0] } }",
        """
        function normalizeUplink(input) {
            if (input.data.t > 9) return { errors: ['too hot'] };
            return { data: [{ air: { temperature: input.data.t } }], warnings: ['rounded'] };
        }""",
    )

    fine, hot = decode("javascript", source, b"\x05", b"\x0a")

    assert fine.normalized == [{"air": {"temperature": 5}}]
    assert fine.warnings == ("rounded",)
    assert (hot.normalized, hot.ok, hot.warnings) == (None, True, ("too hot",))


def test_a_normalize_uplink_that_throws_keeps_no_body_from_being_decoded() -> None:
    decoded = decode_one(
        "javascript",
        uplink("return { data: 1 }", "function normalizeUplink(input) { return input.none.at }"),
        b"",
    )

    assert (decoded.data, decoded.errors, decoded.normalized) == (1, (), None)
    assert decoded.warnings[0].startswith(
        "normalizeUplink: TypeError: cannot read property 'at' of undefined (line 1"
    )


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (
            "{ a: NaN, b: [1 / 0, -1 / 0], c: 'null', d: null }",
            {"a": None, "b": [None, None], "c": "null", "d": None},
        ),
        ("{ at: new Date('none') }", {"at": None}),
        ("{ big: 5n, nan: NaN }", {"big": 5, "nan": None}),
        ("NaN", None),
    ],
)
def test_a_number_that_json_has_not_is_null_and_told(data: str, made: Any) -> None:
    decoded = decode_one("javascript", uplink(f"return {{ data: {data}, warnings: ['own'] }}"), b"")

    assert decoded.errors == ()
    assert decoded.data == made
    assert decoded.warnings == (
        "own",
        "Numbers and times that JSON has not (NaN, infinities, invalid dates) became null.",
    )


@pytest.mark.parametrize("data", ["{ a: null, b: 'null', c: -0, d: [undefined] }", "{ nullable: 1 }"])
def test_what_is_null_already_is_no_news(data: str) -> None:
    assert decode_one("javascript", uplink(f"return {{ data: {data} }}"), b"").warnings == ()


def test_a_variable_at_the_top_begins_anew_for_each_body() -> None:
    source = uplink(
        "kept[input.fPort] = ++count; seen.push(input.bytes[0]); return { data: { kept, count, seen } }",
        "var kept = {}, count = 0; const seen = [];",
    )

    decoded = make(source).decode([Uplink(bytes([port]), port) for port in (1, 2, 3)])

    assert [one.data for one in decoded] == [
        {"kept": {str(port): 1}, "count": 1, "seen": [port]} for port in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "top",
    [
        "Object.defineProperty(String.prototype, 'shout', { value() { return this + '!'; } });",
        "'use strict'; String.prototype.shout = function () { return this + '!'; };",
        """String.prototype.shout = function () { return this + '!'; }; if (globalThis.ran) throw new Error('twice');
        Object.defineProperty(globalThis, 'ran', { value: 1 });""",
    ],
)
def test_a_source_that_can_run_only_once_runs_once(top: str) -> None:
    source = f"{top}\nfunction Decoder(bytes) {{ return ('' + bytes[0]).shout(); }}"

    decoded = decode("javascript", source, b"\x01", b"\x02", b"\x03")

    assert [one.data for one in decoded] == ["1!", "2!", "3!"]


def test_what_bodies_leave_behind_takes_no_later_ones_memory() -> None:
    source = uplink(
        "kept.push(new Uint8Array(1e6).fill(1)); return { data: input.bytes[0] }",
        "Object.defineProperty(Array.prototype, 'mine', { value: 1 }); const kept = [];",
    )

    decoded = decode("javascript", source, *[bytes([at]) for at in range(100)])

    assert [one.data for one in decoded] == list(range(100))


def test_an_error_in_the_first_line_after_a_mark_says_where() -> None:
    error = find_error("javascript", "\ufefffunction Decoder(bytes) { return bytes.none.at }", b"")

    assert error == "TypeError: cannot read property 'at' of undefined (line 1, column 34)"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("'one'", ("one",)),
        ("[]", ()),
        ("null", ()),
        ("false", ()),
        ("''", ()),
        ("[1, { a: 1 }, null]", ("1", '{"a":1}', "null")),
        ("{ a: 1 }", ('{"a":1}',)),
    ],
)
def test_warnings_and_errors_are_told_whatever_they_are(words: str, told: tuple[str, ...]) -> None:
    decoded = decode_one(
        "javascript", uplink(f"return {{ data: 1, warnings: {words}, errors: {words} }}"), b""
    )

    assert decoded.warnings == decoded.errors == told


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("function decodeUplink(input) {\n  return { data: 1 ;\n}", 2, 20),
        ("\n\nvar x = nothing.at;\nfunction Decoder() {}", 3, 9),
        ("function f() {\n  throw new Error('at the top');\n}\n  f();", 2, 13),
        ("let a = 1;\nlet a = 2;", 2, 7),
        ("function Decoder() { return '", 1, 29),
    ],
)
def test_a_source_that_does_not_compile_says_where(source: str, line: int, column: int) -> None:
    with pytest.raises(SourceRefused) as refused:
        make(source).check()

    assert (refused.value.line, refused.value.column) == (line, column)
    assert f"(line {line}, column {column})" in refused.value.errors[0].message
    assert refused.value.errors[0].field == "source"


def test_an_error_within_a_decoder_says_where() -> None:
    source = "function read(bytes) {\n  return bytes.nothing.at;\n}\nfunction Decoder(bytes) { return read(bytes); }"

    error = find_error("javascript", source, b"")

    assert error == "TypeError: cannot read property 'at' of undefined (line 2, column 10)"


def test_an_error_within_what_is_brought_along_names_the_place_that_called_it() -> None:
    error = find_error("javascript", uplink("\nreturn { data: Buffer.from([1]).readUInt16LE(0) }"), b"")

    assert "outside buffer bounds (line 3" in error


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("var x = 1;", "none of the functions"),
        ("", "none of the functions"),
        ("var decodeUplink = 5;", "none of the functions"),
        ("function Decoder() {}\0", "NUL (line 1, column 22)"),
        ("function Decoder() {} // \ud800", "surrogate"),
        ("//" + "x" * 262_144, "more than 262,144 bytes"),
        ("\n" * 20_001, "more than 20,000 lines"),
    ],
)
def test_a_source_that_is_none_is_refused(source: str, told: str) -> None:
    with pytest.raises(SourceRefused, match=r".") as refused:
        make(source).check()

    assert told in refused.value.detail


def test_a_refused_source_lets_every_body_say_so() -> None:
    decoded = decode("javascript", "function (", b"1", b"2")

    assert [one.ok for one in decoded] == [False, False]
    assert "line 1" in decoded[0].errors[0]


def test_checking_names_the_functions() -> None:
    source = uplink(
        "", "const encode = (event) => event; module.exports.encodeDownlink = () => ({ bytes: [] });"
    )

    assert make(source).check() == ["decodeUplink", "encodeDownlink", "encode"]


def test_a_body_that_is_too_large_is_not_given_to_it() -> None:
    small, large, other = decode(
        "javascript", uplink("return { data: input.bytes.length }"), b"1", b"x" * (BODY_LIMIT + 1), b"22"
    )

    assert (small.data, other.data) == (1, 2)
    assert "at most 262,144" in large.errors[0]


def test_the_largest_body_is_decoded() -> None:
    assert read_data(
        "javascript",
        uplink("return { data: [input.bytes.length, input.bytes[262143]] }"),
        b"\x07" * BODY_LIMIT,
    ) == [BODY_LIMIT, 7]


def test_a_batch_is_decoded_in_order_however_large() -> None:
    source = uplink("return { data: input.bytes[0] * 256 + input.bytes[1] }")

    decoded = decode("javascript", source, *[number.to_bytes(2) for number in range(1_700)])

    assert [one.data for one in decoded] == list(range(1_700))
    assert all(one.microseconds > 0 for one in decoded)


def test_results_that_are_too_many_are_refused_one_by_one() -> None:
    decoded = decode("javascript", uplink("return { data: 'x'.repeat(262000) }"), *[b""] * 40)

    assert decoded[0].ok
    assert "results of this batch" in decoded[-1].errors[0]


@pytest.mark.parametrize(
    ("source", "data", "f_port", "body", "told_port"),
    [
        (
            "function encodeDownlink(i) { return { bytes: [i.data.on ? 1 : 0, i.fPort], fPort: 3 } }",
            {"on": True},
            9,
            b"\x01\x09",
            3,
        ),
        ("function encodeDownlink(i) { return { bytes: new Uint8Array([1]) } }", {}, 9, b"\x01", 9),
        (
            "function encodeDownlink(i) { return { bytes: Buffer.from('0aff', 'hex'), fPort: null } }",
            {},
            None,
            b"\x0a\xff",
            None,
        ),
        ("function Encoder(o, port) { return [o.n, port] }", {"n": 5}, 2, b"\x05\x02", 2),
        ("function Encode(fPort, obj, variables) { return [obj.n, fPort] }", {"n": 5}, 2, b"\x05\x02", 2),
        ("function encodeDownlink(i) { return { bytes: i.data } }", [1, 2, 3.0], 1, b"\x01\x02\x03", 1),
        ("function encodeDownlink(i) { return { bytes: [] } }", None, 1, b"", 1),
    ],
)
def test_a_command_becomes_bytes(
    source: str, data: Any, f_port: int | None, body: bytes, told_port: int | None
) -> None:
    downlink = make(source).encode(data, f_port)

    assert (downlink.body, downlink.f_port) == (body, told_port)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("undefined", "returned nothing"),
        ("{}", "no list of whole numbers"),
        ("{ bytes: 'AQ==' }", "no list of whole numbers"),
        ("{ bytes: [256] }", "no list of whole numbers"),
        ("{ bytes: [-1] }", "no list of whole numbers"),
        ("{ bytes: [1.5] }", "no list of whole numbers"),
        ("{ bytes: [true] }", "no list of whole numbers"),
        ("{ bytes: [1], fPort: 256 }", "fPort"),
        ("{ bytes: [1], fPort: '1' }", "fPort"),
        ("{ bytes: [1], errors: ['unknown command', 'too hot'] }", "unknown command; too hot"),
        ("nothing.at", "ReferenceError"),
    ],
)
def test_a_command_that_becomes_none_says_why(returned: str, told: str) -> None:
    codec = make(f"function encodeDownlink(input) {{ return {returned} }}")

    with pytest.raises(CodecFailed, match=r".") as failed:
        codec.encode({})

    assert told in failed.value.detail


def test_an_encoder_is_given_all_that_is_known_of_the_command() -> None:
    codec = make("function encodeDownlink(i) { return { bytes: Buffer.from(JSON.stringify(i)) } }")

    whole = codec.encode({"t": 1}, 3, name="set", topic="a/b")
    least = codec.encode({"t": 1})

    assert whole.body == b'{"data":{"t":1},"fPort":3,"name":"set","topic":"a/b"}'
    assert least.body == b'{"data":{"t":1}}'


def test_of_many_commands_the_one_that_fails_is_its_own_affair() -> None:
    codec = make("function encodeDownlink(i) { return [i.data.n] }")

    made = codec.encode_all([ToEncode({"n": 1}), ToEncode({}), ToEncode(object()), ToEncode({"n": 2})])

    assert [getattr(one, "body", None) for one in made] == [b"\x01", None, None, b"\x02"]
    assert all(isinstance(one, CodecFailed) and not isinstance(one, EncoderAbsent) for one in made[1:3])


def test_a_source_that_only_decodes_can_not_encode() -> None:
    codec = make(uplink("return { data: 1 }"))

    with pytest.raises(EncoderAbsent, match="encodeDownlink"):
        codec.encode({})
    assert isinstance(codec.encode_events([{}])[0], CodecFailed)


@pytest.mark.parametrize(
    ("made", "body", "media_type"),
    [
        ("{ value: event.payload.t }", b'{"value":21.5}', "application/json"),
        ("[1, 2]", b"[1,2]", "application/json"),
        ("42", b"42", "application/json"),
        ("`t=${event.payload.t} ü`", "t=21.5 ü".encode(), "text/plain; charset=utf-8"),
        ("new Uint8Array([0, 255])", b"\x00\xff", "application/octet-stream"),
        ("Buffer.from('hi')", b"hi", "application/octet-stream"),
    ],
)
def test_an_event_becomes_a_body(made: str, body: bytes, media_type: str) -> None:
    encoded = make(f"function encode(event) {{ return {made} }}").encode_events([{"payload": {"t": 21.5}}])

    assert encoded == [(body, media_type)]


def test_of_many_events_the_one_that_fails_is_its_own_affair() -> None:
    encoded = make("function encode(event) { return { n: event.payload.n } }").encode_events(
        [{"payload": {"n": 1}}, {}, {"payload": {"n": 3}}]
    )

    assert [getattr(one, "body", None) for one in encoded] == [b'{"n":1}', None, b'{"n":3}']
    assert isinstance(encoded[1], CodecFailed)


def test_what_is_no_json_can_not_be_encoded() -> None:
    with pytest.raises(CodecFailed, match="JSON"):
        make("function Encoder(o) { return [] }").encode(object())


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SourceRefused, match="there is no kind 'lua'"):
        Codec(ORGANIZATION, "lua", "").check()
