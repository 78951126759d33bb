"""Decoders as they are written in the field run unmodified, and say what they say in Node.

`decoders/expected.json` holds Node's results; where Node is installed it is asked again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, Uplink
from tests.unit.codecs.decoding import DECODERS, ORGANIZATION, read_cases, read_number

CASES = read_cases()
NOT_JSON = "Numbers and times that JSON has not (NaN, infinities, invalid dates) became null."


def name_case(case: dict[str, Any]) -> str:
    return f"{case['decoder']}-{case['f_port']}-{case.get('hex', 'encode')}"


def describe(case: dict[str, Any]) -> Uplink:
    return Uplink(bytes.fromhex(case["hex"]), case["f_port"], received_at=case.get("received_at"))


def open_result(result: Any) -> dict[str, Any]:
    """What decodeUplink returned in its envelope; without one it is the data itself."""
    if isinstance(result, dict) and (not result or result.keys() & {"data", "warnings", "errors"}):
        return result
    return {} if result is None else {"data": result}


def write(value: Any) -> str:
    """As text, so that the order of members counts; JavaScript has one kind of number."""
    return json.dumps(json.loads(json.dumps(value), parse_int=float))


def load(case: dict[str, Any]) -> Codec:
    return Codec(ORGANIZATION, "javascript", (DECODERS / case["decoder"]).read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [case for case in CASES if "hex" in case], ids=name_case)
def test_a_decoder_says_what_it_says_in_node(case: dict[str, Any]) -> None:
    decoded = load(case).decode([describe(case)])[0]

    expected = open_result(case.get("result"))
    assert write(decoded.data) == write(expected.get("data"))
    assert [word for word in decoded.warnings if word != NOT_JSON] == (expected.get("warnings") or [])
    if expected.get("errors"):
        assert list(decoded.errors) == expected["errors"]
    assert decoded.ok == (expected.get("data") is not None and not expected.get("errors"))


@pytest.mark.parametrize("case", [case for case in CASES if "hex" not in case], ids=name_case)
def test_an_encoder_says_what_it_says_in_node(case: dict[str, Any]) -> None:
    codec = load(case)

    if case.get("threw"):
        with pytest.raises(CodecFailed):
            codec.encode(case["data"], case["f_port"])
    else:
        downlink = codec.encode(case["data"], case["f_port"])
        assert list(downlink.body) == case["result"]["bytes"]
        assert downlink.f_port == case["result"].get("fPort", case["f_port"])


@pytest.mark.parametrize("decoder", sorted({case["decoder"] for case in CASES if "hex" in case}))
def test_a_body_is_decoded_the_same_whatever_came_before_it(decoder: str) -> None:
    cases = [case for case in CASES if case["decoder"] == decoder and "hex" in case]
    uplinks = [describe(case) for case in cases]
    alone = [load(case).decode([uplink])[0].data for case, uplink in zip(cases, uplinks, strict=True)]

    together = load(cases[0]).decode([*uplinks, *reversed(uplinks), *uplinks])

    assert [one.data for one in together] == [*alone, *reversed(alone), *alone]


def test_there_is_a_case_for_every_decoder() -> None:
    assert {case["decoder"] for case in CASES} == {file.name for file in DECODERS.glob("*.js")}


def test_what_is_expected_is_what_node_says() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")

    script = str(Path(__file__).with_name("run_in_node.cjs"))
    ran = subprocess.run(
        [node, script],
        input=json.dumps(CASES).encode(),
        capture_output=True,
        check=True,
        timeout=60,
        env={"TZ": "UTC"},
    )

    told = ("result", "threw")
    said = json.loads(ran.stdout, parse_int=read_number)
    assert said == [{name: case[name] for name in told if name in case} for case in CASES]
