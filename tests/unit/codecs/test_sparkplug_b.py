"""Sparkplug B: names behind aliases, signs, births and deaths, what is missing, and payloads that are none."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, Decoded, DecodedMessage, Uplink
from shared.codecs.sandbox.kinds.sparkplug_b.schema import Payload
from shared.codecs.sandbox.kinds.sparkplug_b.values import DATA_TYPES
from tests.unit.codecs.decoding import ORGANIZATION, find_error

NODE = "spBv1.0/plant/{}/edge"
DEVICE = "spBv1.0/plant/{}/edge/oven"
AT = 1_767_323_045_000


def metric(name: str | None, data_type: str, **values: Any) -> dict[str, Any]:
    named = {} if name is None else {"name": name}
    return {**named, "datatype": DATA_TYPES.index(data_type), **values}


def payload(*metrics: dict[str, Any], **more: Any) -> bytes:
    return bytes(Payload(timestamp=AT, metrics=metrics, **more).SerializeToString())


BIRTH = payload(
    metric("bdSeq", "Int64", long_value=3),
    metric("temp", "Float", alias=1, float_value=21.3),
    metric("delta", "Int16", alias=2, int_value=2**32 - 5),
    seq=0,
)


@pytest.fixture
def codec() -> Codec:
    return Codec(ORGANIZATION, "sparkplug_b", "")


def read(codec: Codec, topic: str, body: bytes) -> Decoded:
    return codec.decode([Uplink(body, topic=topic)])[0]


def test_a_birth_says_who_is_there(codec: Codec) -> None:
    born = read(codec, NODE.format("NBIRTH"), BIRTH)

    assert born.messages == (
        DecodedMessage({"bdSeq": 3, "temp": 21.3, "delta": -5}, "plant/edge", AT, status="online"),
    )
    assert born.downlinks == ()
    assert born.data["metrics"][2] == {"name": "delta", "datatype": "Int16", "value": -5, "alias": 2}


def test_data_are_named_by_the_birth_though_they_bring_an_alias_alone(codec: Codec) -> None:
    read(codec, NODE.format("NBIRTH"), BIRTH)

    told = read(
        codec,
        NODE.format("NDATA"),
        payload({"alias": 2, "int_value": 2**16 - 7}, {"alias": 1, "float_value": 0.1}, seq=1),
    )

    assert told.messages == (DecodedMessage({"delta": -7, "temp": 0.1}, "plant/edge", AT),)
    assert (told.warnings, told.downlinks) == ((), ())


def test_what_births_told_outlives_the_codec(codec: Codec) -> None:
    read(codec, NODE.format("NBIRTH"), BIRTH)

    later = Codec(ORGANIZATION, "sparkplug_b", "", codec.state)

    assert read(later, NODE.format("NDATA"), payload({"alias": 1, "float_value": 1}, seq=1)).messages[
        0
    ].payload == {"temp": 1.0}


def test_an_alias_of_no_birth_is_an_error_and_asks_for_a_rebirth_once(codec: Codec) -> None:
    body = payload({"alias": 9, "int_value": 1}, seq=5)

    first, second = codec.decode([Uplink(body, topic=DEVICE.format("DDATA"))] * 2)

    assert "alias 9" in first.errors[0]
    assert first.messages == ()
    assert [downlink.topic for downlink in first.downlinks] == ["spBv1.0/plant/NCMD/edge"]
    asked = Payload.FromString(first.downlinks[0].body).metrics[0]
    assert (asked.name, asked.boolean_value, asked.datatype) == ("Node Control/Rebirth", True, 11)
    assert second.downlinks == ()


def test_a_gap_is_warned_of_and_asks_for_a_rebirth(codec: Codec) -> None:
    read(codec, NODE.format("NBIRTH"), BIRTH)

    told = read(codec, NODE.format("NDATA"), payload({"alias": 1, "float_value": 1}, seq=3))

    assert told.messages[0].payload == {"temp": 1.0}
    assert "messages are missing" in told.warnings[0]
    assert len(told.downlinks) == 1


def test_sequence_numbers_begin_anew_after_255(codec: Codec) -> None:
    read(codec, NODE.format("NBIRTH"), BIRTH)
    numbers = [number % 256 for number in range(1, 300)]

    told = codec.decode(
        [
            Uplink(payload({"alias": 1, "float_value": 1}, seq=number), topic=NODE.format("NDATA"))
            for number in numbers
        ]
    )

    assert {one.warnings for one in told} == {()}


def test_a_new_birth_forgets_the_old_names(codec: Codec) -> None:
    read(codec, NODE.format("NBIRTH"), BIRTH)
    read(codec, NODE.format("NBIRTH"), payload(metric("other", "Int8", alias=1, int_value=1), seq=0))

    told = read(codec, NODE.format("NDATA"), payload({"alias": 1, "int_value": 255}, seq=1))

    assert told.messages[0].payload == {"other": -1}


def test_deaths_say_who_is_gone(codec: Codec) -> None:
    read(codec, NODE.format("NBIRTH"), BIRTH)
    born = read(codec, DEVICE.format("DBIRTH"), payload(metric("on", "Boolean", boolean_value=True), seq=1))
    other = read(codec, DEVICE.format("DBIRTH") + "2", payload(seq=2))
    gone = read(codec, DEVICE.format("DDEATH") + "2", payload(seq=3))

    stale = read(codec, NODE.format("NDEATH"), payload(metric("bdSeq", "Int64", long_value=2)))
    dead = read(codec, NODE.format("NDEATH"), payload(metric("bdSeq", "Int64", long_value=3)))

    assert born.messages[0].status == "online"
    assert other.ok
    assert [(one.device, one.status, one.kind) for one in gone.messages] == [
        ("plant/edge/oven2", "offline", "state")
    ]
    assert stale.messages == ()
    assert "earlier birth" in stale.warnings[0]
    assert [one.device for one in dead.messages] == ["plant/edge", "plant/edge/oven"]


def test_metrics_of_other_times_are_messages_of_their_own(codec: Codec) -> None:
    told = read(
        codec,
        DEVICE.format("DDATA"),
        payload(
            metric("t", "Int32", int_value=1, timestamp=AT - 1000, is_historical=True),
            metric("t", "Int32", int_value=2),
        ),
    )

    assert [(one.payload, one.time) for one in told.messages] == [({"t": 1}, AT - 1000), ({"t": 2}, AT)]


def test_commands_on_their_way_are_no_messages(codec: Codec) -> None:
    told = read(codec, DEVICE.format("DCMD"), codec.encode({"on": True}).body)

    assert told.messages == ()
    assert told.data["metrics"][0]["value"] is True


def test_the_state_of_a_host_is_read_and_no_message(codec: Codec) -> None:
    told = read(codec, "spBv1.0/STATE/host", b'{"online":true,"timestamp":1}')

    assert (told.data, told.messages) == ({"online": True, "timestamp": 1}, ())


ARRAYS: list[tuple[str, dict[str, Any], Any]] = [
    ("Int8", {"int_value": 0xFFFFFFFF}, -1),
    ("Int8", {"int_value": 0xFF}, -1),
    ("Int32", {"int_value": 2**31}, -(2**31)),
    ("Int64", {"long_value": 2**64 - 1}, -1),
    ("UInt8", {"int_value": 255}, 255),
    ("UInt64", {"long_value": 2**64 - 1}, 2**64 - 1),
    ("UInt32", {"long_value": 2**32 - 1}, 2**32 - 1),
    ("Float", {"float_value": 0.1}, 0.1),
    ("Double", {"double_value": 0.1}, 0.1),
    ("Float", {"float_value": float("nan")}, None),
    ("Boolean", {"boolean_value": False}, False),
    ("String", {"string_value": "ü"}, "ü"),
    ("DateTime", {"long_value": AT}, AT),
    ("Bytes", {"bytes_value": b"\x00\xff"}, "AP8="),
    ("Int32", {"is_null": True}, None),
    ("Int32", {}, None),
    ("Int8Array", {"bytes_value": b"\xff\x01"}, [-1, 1]),
    ("Int16Array", {"bytes_value": struct.pack("<2h", -2, 300)}, [-2, 300]),
    ("UInt32Array", {"bytes_value": struct.pack("<2I", 1, 2**32 - 1) + b"\x01"}, [1, 2**32 - 1]),
    ("FloatArray", {"bytes_value": struct.pack("<2f", 1.5, 0.1)}, [1.5, 0.1]),
    ("DoubleArray", {"bytes_value": struct.pack("<d", -2.25)}, [-2.25]),
    (
        "BooleanArray",
        {"bytes_value": b"\x0a\x00\x00\x00\xb5\x40"},
        [True, False, True, True, False, True, False, True, False, True],
    ),
    ("StringArray", {"bytes_value": b"a\x00\xc3\xbc\x00"}, ["a", "ü"]),
    ("DateTimeArray", {"bytes_value": struct.pack("<Q", AT)}, [AT]),
]


@pytest.mark.parametrize(
    ("data_type", "values", "value"), ARRAYS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_value_is_read_by_its_type(
    codec: Codec, data_type: str, values: dict[str, Any], value: Any
) -> None:
    told = read(codec, DEVICE.format("DDATA"), payload(metric("m", data_type, **values)))

    assert told.messages[0].payload == {"m": value}


def test_data_sets_templates_and_properties_are_read(codec: Codec) -> None:
    rows = {"elements": [{"int_value": 255}, {"string_value": "x"}]}
    data_set = {"num_of_columns": 2, "columns": ["n", "s"], "types": [1, 12], "rows": [rows]}
    template = {
        "metrics": [metric("speed", "Int16", int_value=65535)],
        "template_ref": "motor",
        "version": "1",
    }
    properties = {
        "keys": ["unit", "low"],
        "values": [{"type": 12, "string_value": "°C"}, {"type": 1, "int_value": 254}],
    }

    told = read(
        codec,
        DEVICE.format("DDATA"),
        payload(
            metric("set", "DataSet", dataset_value=data_set),
            metric("motor", "Template", template_value=template),
            metric("t", "Int8", int_value=1, properties=properties),
        ),
    )

    assert told.messages[0].payload == {
        "set": {"columns": ["n", "s"], "types": ["Int8", "String"], "rows": [[-1, "x"]]},
        "motor": {"speed": -1, "template": "motor", "version": "1"},
        "t": 1,
    }
    assert told.data["metrics"][2]["properties"] == {"unit": "°C", "low": -2}


def test_without_a_topic_metrics_are_read_and_no_device_is_known(codec: Codec) -> None:
    told = codec.decode([Uplink(BIRTH)])[0]

    assert told.data["metrics"][1]["value"] == 21.3
    assert told.messages[0].device is None
    assert "Without a topic" in told.warnings[0]


@pytest.mark.parametrize(
    ("topic", "body", "told"),
    [
        (NODE.format("NDATA"), b"\xff", "Not a Sparkplug B payload"),
        ("other/topic", b"", "The topic is not"),
        ("spBv1.0/g/XDATA/e", b"", "The topic is not"),
        ("spBv1.0/STATE/host", b"{", "Not JSON"),
    ],
)
def test_what_is_no_sparkplug_b_says_why(topic: str, body: bytes, told: str) -> None:
    assert told in find_error("sparkplug_b", "", body, topic)


def test_a_node_with_too_many_metrics_is_refused_and_state_stays_bounded(codec: Codec) -> None:
    body = payload(*[metric(f"metric {at}", "Int32", alias=at) for at in range(5_001)])

    told = read(codec, NODE.format("NBIRTH"), body)

    assert "more than 5,000 metrics" in told.errors[0]
    assert len(codec.state["nodes"]["plant/edge"]["types"]) <= 5_000


def test_nodes_known_longest_make_room(codec: Codec) -> None:
    bodies: Iterator[Uplink] = (
        Uplink(payload(seq=0), topic=f"spBv1.0/plant/NBIRTH/edge{at}") for at in count()
    )

    codec.decode([next(bodies) for _ in range(1_010)])

    assert len(codec.state["nodes"]) == 1_000
    assert "plant/edge0" not in codec.state["nodes"]


def test_commands_are_written_by_type(codec: Codec) -> None:
    body = codec.encode(
        {
            "metrics": [
                {"name": "a", "value": -5, "datatype": "Int16"},
                {"name": "b", "value": None, "datatype": "Double"},
                {"name": "c", "value": 1.5},
            ]
        }
    ).body

    written = Payload.FromString(body)

    assert [(one.name, one.datatype, one.is_null) for one in written.metrics] == [
        ("a", 2, False),
        ("b", 10, True),
        ("c", 10, False),
    ]
    assert written.metrics[0].int_value == 2**32 - 5
    plain = codec.encode({"on": True, "n": -1, "s": "x"}).body
    assert [(one.name, one.value) for one in _list_values(read(codec, DEVICE.format("DCMD"), plain))] == [
        ("on", True),
        ("n", -1),
        ("s", "x"),
    ]


def _list_values(decoded: Decoded) -> list[Any]:
    class Pair:
        def __init__(self, told: dict[str, Any]) -> None:
            self.name, self.value = told["name"], told["value"]

    return [Pair(told) for told in decoded.data["metrics"]]


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        5,
        {"a": []},
        {"metrics": [5]},
        {"metrics": [{"value": 1}]},
        {"metrics": [{"name": "a", "value": 1, "datatype": "Nothing"}]},
        {"metrics": [{"name": "a", "value": "x", "datatype": "Int8"}]},
        {"metrics": [{"name": "a", "value": 1, "datatype": "DataSet"}]},
        {"metrics": [{"name": "a", "value": 1, "datatype": ["Int8"]}]},
        {"metrics": [{"name": "a", "value": 2**40, "datatype": "UInt8"}]},
    ],
)
def test_what_can_not_be_written_says_why(codec: Codec, data: Any) -> None:
    with pytest.raises(CodecFailed):
        codec.encode(data)
