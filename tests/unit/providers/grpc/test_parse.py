"""What a pushed batch is read as, whatever its first bytes look like."""

from __future__ import annotations

import json

import pytest

from shared.provider import Identity, PushedRequest, load_provider, require
from shared.providers.grpc import Grpc
from shared.providers.grpc.batch import read_batch
from shared.providers.grpc.ingest import load_classes


@pytest.mark.parametrize("size", range(85, 131))
def test_a_batch_whose_first_length_is_a_bracket_is_no_json(size: int) -> None:
    make = load_classes()
    reading = make["Reading"](device="d", id="x" * (size - 5))
    assert reading.ByteSize() == size

    (read,) = read_batch(make["Batch"](readings=[reading]).SerializeToString()).readings

    assert read["id"] == "x" * (size - 5)


def test_json_may_begin_with_an_empty_line() -> None:
    assert read_batch(b"\n" + json.dumps({"readings": [{"device": "d"}]}).encode()).readings == [
        {"device": "d"}
    ]


@pytest.mark.parametrize("levels", [100, 900, 1_100, 5_000])
def test_one_reading_that_is_nested_too_deep_costs_no_other_of_its_batch(levels: int) -> None:
    good = [{"device": f"d{number}", "values": {"n": number}} for number in range(9)]
    deep = '{"device":"evil","payload":' + '{"a":' * levels + "1" + "}" * levels + "}"
    body = f'{{"readings":[{",".join([*map(json.dumps, good), deep])}]}}'
    grpc = require(load_provider({"webhook_secret": "w" * 20}, Identity("o", "i", "grpc")), Grpc)

    messages = grpc.parse(PushedRequest({}, body.encode()))

    assert [(each.device, each.payload) for each in messages if not each.error] == [
        (f"d{number}", {"n": number}) for number in range(9)
    ]
    (bad,) = [each for each in messages if each.error]
    assert (bad.device, bad.raw) == ("evil", deep)


def test_json_that_is_too_deep_to_be_stored_is_told() -> None:
    with pytest.raises(ValueError, match="levels"):
        read_batch(b'{"readings": [{"payload": ' + b'{"a": ' * 900 + b"1" + b"}" * 900 + b"}]}")
