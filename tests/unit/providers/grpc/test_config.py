"""What a config of a gRPC service may say, and what is said of one that may not."""

from __future__ import annotations

import base64
import subprocess
import sys
from typing import Any

import pytest

from shared.provider import Identity, load_provider, load_safe_provider, require
from shared.providers.grpc import Grpc
from shared.runtime.errors import InvalidConfig
from tests.contract.configs import read_config
from tests.fakes.grpc.proto_files import read_set
from tests.fakes.grpc.site import COMMANDS, PAGES, STREAM

TARGET = {"target": "grpc.example.com:443"}
SET = base64.b64encode(read_set("demo")).decode()


def load(**config: Any) -> Grpc:
    return require(load_provider(config, Identity("o", "i", "grpc")), Grpc)


def refuse(**config: Any) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as refusal:
        load(**config)
    return {error.field: error.message for error in refusal.value.errors}


@pytest.mark.parametrize(
    "target",
    [
        *("grpc.example.com", "https://grpc.example.com:443", "grpc.example.com:0", "grpc.example.com:70000"),
        *(
            "grpc.example.com:443/path",
            "user:canary@grpc.example.com:443",
            "[::1",
            "::1:443",
            "",
            " ",
            "a b:443",
        ),
        *(
            "dns:///grpc.example.com:443",
            "unix:/run/x.sock",
            "grpc.example.com:443,10.0.0.1:443",
            "ipv4:1.2.3.4:5",
        ),
    ],
)
def test_a_target_is_host_and_port_and_nothing_else(target: str) -> None:
    refusal = refuse(**STREAM, target=target)

    assert "host:port" in refusal["target"]
    assert "canary" not in str(refusal)


@pytest.mark.parametrize(
    ("target", "host", "authority"),
    [
        ("GRPC.Example.com:443", "grpc.example.com", "grpc.example.com"),
        ("grpc.example.com:50051", "grpc.example.com", "grpc.example.com:50051"),
        ("[2001:DB8::1]:443", "2001:db8::1", "[2001:db8::1]"),
        (" 192.168.1.5:50051 ", "192.168.1.5", "192.168.1.5:50051"),
    ],
)
def test_host_and_authority(target: str, host: str, authority: str) -> None:
    plan = load(**STREAM, target=target).service_plan

    assert (plan.host, plan.authority) == (host, authority)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not base64!", "base64"),
        ("", "no file"),
        (base64.b64encode(b"\xff\xff").decode(), "no descriptor set"),
        ("A" * 300_000, ""),
    ],
)
def test_a_descriptor_set_that_is_none_is_refused_in_words(text: str, words: str) -> None:
    refusal = refuse(**TARGET, **STREAM, descriptor_set=text)

    assert words in refusal["descriptor_set"]


def test_a_descriptor_set_may_be_broken_into_lines_as_base64_does() -> None:
    lines = "\n".join(SET[start : start + 76] for start in range(0, len(SET), 76))

    assert load(**TARGET, **STREAM, descriptor_set=lines).service_plan.descriptor_set == read_set("demo")


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"method": "demo.v1.Telemetry/Look"}, "method", "it has Watch, List, Tell"),
        ({"method": "demo.v2.Telemetry/Watch"}, "method", "there is demo.v1.Telemetry"),
        ({"method": "demo.v1.Telemetry/Upload"}, "method", "takes a stream"),
        ({"command_method": "demo.v1.Telemetry/Watch"}, "command_method", "answers once"),
        ({**PAGES, "request": PAGES["request"] | {"side": "north"}}, "request", "fields are page_token"),
    ],
)
def test_what_the_descriptors_know_better_is_told_when_it_is_saved(
    config: dict[str, Any], field: str, words: str
) -> None:
    assert words in refuse(**TARGET, **config, descriptor_set=SET)[field]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"method": "Watch"}, "method"),
        ({"method": "demo.v1.Telemetry/Watch/More"}, "method"),
        ({"method": "demo.v1.Telemetry/Wätch"}, "method"),
        ({"method": "../../x/y"}, "method"),
        ({"method": "demo.v1.Telemetry/Watch\r\nx-evil: 1"}, "method"),
        ({**STREAM, "request": ["a"]}, "request"),
        ({**STREAM, "request": '{"a": 1}'}, "request"),
        ({**STREAM, "request": {"after": "{{ device }}"}}, "request"),
        ({**STREAM, "request": {"after": "{{ page.x }}"}}, "request"),
        ({**STREAM, "request": {}}, "cursor_path"),
        ({**STREAM, "page_path": "next"}, "page_path"),
        ({**STREAM, "cursor_path": "$.a[0]"}, "cursor_path"),
        ({"method": STREAM["method"], "first_cursor": 5}, "first_cursor"),
        ({**STREAM, "first_cursor": "x" * 5_000}, "first_cursor"),
        ({**COMMANDS, "command_request": {"a": "{{ cursor }}"}}, "command_request"),
        ({**COMMANDS, "command_timeout_seconds": 46}, "command_timeout_seconds"),
        ({**STREAM, "metadata": {"X-Tenant": "acme"}}, "metadata"),
        ({**STREAM, "metadata": {"grpc-timeout": "1S"}}, "metadata"),
        ({**STREAM, "metadata": {"x-bin": "acme"}}, "metadata"),
        ({**STREAM, "metadata": {"x-tenant": "ä"}}, "metadata"),
        ({**STREAM, "bearer_token": "canary-token", "metadata": {"authorization": "canary"}}, "metadata"),
        ({**STREAM, "poll_interval_seconds": 1}, "poll_interval_seconds"),
    ],
)
def test_a_wrong_field_is_told_by_its_name(config: dict[str, Any], field: str) -> None:
    refusal = refuse(**TARGET, **config)

    assert [*refusal] == [field]
    assert "canary" not in str(refusal)


@pytest.mark.parametrize(
    "config",
    [
        STREAM,
        COMMANDS,
        {"webhook_secret": "x" * 20, "bearer_token": "t"},
        {"webhook_secret": "x" * 20, "descriptor_set": SET},
    ],
)
def test_what_goes_with_a_service_needs_one(config: dict[str, Any]) -> None:
    assert any("target" in message for message in refuse(**config).values())


def test_without_anything_to_do_it_is_refused() -> None:
    assert "nothing would come or go" in str(refuse(**TARGET))


def test_a_method_may_be_written_with_a_full_stop_or_a_slash_before_it() -> None:
    for name in ("demo.v1.Telemetry.Watch", "/demo.v1.Telemetry/Watch"):
        assert load(**TARGET, **STREAM | {"method": name}).method == "demo.v1.Telemetry/Watch"


def test_another_question_has_another_cursor_and_the_same_keeps_it() -> None:
    keys = {
        load(**TARGET, **config).read_plan.key
        for config in (
            STREAM,
            PAGES,
            STREAM | {"first_cursor": 5},
            STREAM | {"request": {"site": "{{ cursor }}"}},
        )
    }

    assert len(keys) == 4
    assert (
        load(**TARGET, **STREAM).read_plan.key == load(**TARGET, **STREAM, bearer_token="new").read_plan.key
    )


def test_plain_text_on_the_internet_is_a_risk() -> None:
    risky = load(**TARGET, **STREAM, use_tls=False)
    private = load(target="plc.local:50051", use_tls=False, **STREAM)

    assert [risk.field for risk in risky.list_risks()] == ["use_tls"]
    assert not [*private.list_risks()]


def test_importing_the_type_imports_neither_grpc_nor_protobuf() -> None:
    heavy = ("grpc", "google.protobuf", "cryptography", "certifi")
    program = (
        "import sys; from shared.provider import find_provider, Identity, load_provider\n"
        "find_provider('grpc')\n"
        "config = {'target': 'a.example:443', 'method': 'a.B/C', 'bearer_token': 't'}\n"
        "load_provider(config, Identity('o', 'i', 'grpc'))\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said == "[]\n"


def test_the_sample_reads_and_tells() -> None:
    provider = load(**read_config("grpc"))

    assert provider.is_polled
    assert provider.tell_plan.is_idempotent


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first_cursor", "a\x00b"),
        ("first_cursor", {"a": ["\x00"]}),
        ("request", PAGES["request"] | {"side": "\x00"}),
        ("command_request", {"\x00": 1}),
        ("status_online", "\x00"),
    ],
)
def test_a_character_that_no_database_keeps_is_told_by_its_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load_safe_provider(TARGET | PAGES | COMMANDS | {field: value}, Identity("o", "i", "grpc"))

    assert {error.field: "NUL" in error.message for error in refusal.value.errors} == {field: True}
