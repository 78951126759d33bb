"""The examples of docs/codecs.md say what they say they do, and its bounds are the real ones."""

from __future__ import annotations

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.codecs import limits
from shared.codecs.codec import Codec
from shared.codecs.contract import BODY_LIMIT, KINDS, SOURCE_LIMIT, Encoded, Uplink
from shared.codecs.sandbox.kinds.sparkplug_b import nodes
from tests.unit.codecs.decoding import ORGANIZATION

PAGE = (Path(__file__).parents[3] / "docs" / "codecs.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    kind: str
    source: str
    parts: dict[str, str]


def read_examples() -> list[Example]:
    blocks = FENCE.findall(PAGE)
    starts = [at for at, (kind, _) in enumerate(blocks) if kind in KINDS]
    return [Example(blocks[at][0], blocks[at][1], _read_parts(blocks[at + 1 :])) for at in starts]


def _read_parts(blocks: list[tuple[str, str]]) -> dict[str, str]:
    return dict(takewhile(lambda block: block[0] not in KINDS, blocks))


def read_body(text: str) -> bytes:
    return json.loads(text).encode() if text.startswith('"') else bytes.fromhex(text)


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.kind)
def test_an_example_says_what_it_says_it_does(example: Example) -> None:
    topic = example.parts.get("topic", "").strip() or None

    decoded = Codec(ORGANIZATION, example.kind, example.source).decode(
        [Uplink(read_body(example.parts["body"]), 1, topic)]
    )[0]

    assert decoded.errors == ()
    if "json" in example.parts:
        assert decoded.data == json.loads(example.parts["json"])
    if "messages" in example.parts:
        told: list[dict[str, Any]] = [
            {name: value for name, value in message._asdict().items() if value is not None}
            for message in decoded.messages
        ]
        assert told == json.loads(example.parts["messages"])


def test_there_is_an_example_for_most_kinds_and_a_line_for_all() -> None:
    assert len({example.kind for example in read_examples()}) >= 5
    assert all(f"| `{kind}` |" in PAGE for kind in KINDS)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("| source |", f"{SOURCE_LIMIT // 1024} KiB"),
        ("| a body |", f"{BODY_LIMIT // 1024} KiB"),
        ("| CPU time", f"{limits.ENGINE_SECONDS:g} s"),
        ("| wall clock", f"{limits.ITEM_SECONDS:g} s"),
        ("| wall clock of 500", f"{limits.REQUEST_SECONDS:g} s"),
        ("| processes killed", f"{limits.KILLS} |"),
        ("| Sparkplug B | 1,000", f"{nodes.MOST_CHARACTERS:,} characters"),
        ("| Sparkplug B | 1,000", f"{nodes.MOST_IN_ALL:,} and {nodes.MOST_CHARACTERS_IN_ALL:,} in all"),
        ("| bodies stopped", f"{limits.STOPS} "),
        ("| memory of a JavaScript", f"{limits.ENGINE_BYTES >> 20} MiB"),
        (
            "| memory of a process",
            f"{limits.CHILD_BYTES >> 20} MiB of addresses; replaced above {limits.SWOLLEN_BYTES >> 20}",
        ),
        (
            "| a result |",
            f"{limits.RESULT_LIMIT >> 10} Ki characters, {limits.DEPTH_LIMIT} levels, {limits.VALUE_LIMIT:,}",
        ),
        ("| results of", f"{limits.REQUEST_ITEMS} bodies | {limits.BATCH_RESULT_LIMIT >> 20} Mi"),
        ("| processes", f"{limits.CHILDREN}, of which an organization has {limits.CHILDREN_OF_ONE}"),
        (
            "| processes",
            f"{limits.TROUBLE_SECONDS:g} s after one was killed | others wait, {limits.WAIT_SECONDS:g} s",
        ),
    ],
)
def test_the_bounds_are_the_real_ones(row: str, told: str) -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith(row)]

    assert any(told in line for line in lines)


def test_the_example_of_a_command_makes_the_bytes_that_stand_below_it() -> None:
    blocks = dict(FENCE.findall(PAGE))

    made = Codec(ORGANIZATION, "javascript", blocks["downlink"]).encode(**json.loads(blocks["command"]))

    assert made.body.hex() == blocks["hex"].strip()


def test_the_example_of_a_transform_makes_the_body_that_stands_below_it() -> None:
    blocks = dict(FENCE.findall(PAGE))

    (made,) = Codec(ORGANIZATION, "javascript", blocks["transform"]).encode_events(
        [json.loads(blocks["event"])]
    )

    assert isinstance(made, Encoded)
    assert made.body.decode() == blocks["text"].strip()
