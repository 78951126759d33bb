"""An MQTT integration's config: what is accepted, and which field each refusal names with which remedy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provider import (
    Identity,
    StoredBody,
    fill_topic_template,
    load_provider,
    split_config,
    widen_topic_template,
)
from shared.providers.mqtt import Mqtt
from shared.providers.mqtt.saved_state import Memory
from shared.providers.mqtt.subscriptions import warn_of_risks
from shared.runtime.errors import InvalidConfig
from tests.fakes.certificates import PemAuthority, lock_key

PEM, KEY = astuple(PemAuthority().issue("client"))
LOCKED = lock_key(KEY, "right")
CANARY = "canary-secret"
SECURE = {"broker_url": "mqtts://h"}
CUSTOM = {"payload_format": "custom"}
DATED = {**CUSTOM, "timestamp_format": "custom"}


def load(**config: Any) -> Mqtt:
    settings = {"broker_url": "mqtt://broker.example.com", "topics": "devices/+/telemetry"} | config
    provider = load_provider(settings, Identity("o", "i-1", "mqtt"))
    assert isinstance(provider, Mqtt)
    return provider


@pytest.mark.parametrize(
    ("config", "port", "secured", "path"),
    [
        ({}, 1883, False, None),
        ({"use_tls": True}, 8883, True, None),
        ({"use_tls": True, "port": 1883}, 1883, True, None),
        ({"broker_url": "mqtts://h"}, 8883, True, None),
        ({"broker_url": "mqtt://h:1999"}, 1999, False, None),
        ({"broker_url": "ws://h"}, 80, False, "/mqtt"),
        ({"broker_url": "wss://h/path"}, 443, True, "/path"),
        ({"broker_url": "ws://h/path", "use_tls": True}, 443, True, "/path"),
    ],
)
def test_scheme_port_and_tls_together_say_where_the_broker_is(
    config: dict[str, Any], port: int, *, secured: bool, path: str | None
) -> None:
    broker = load(**config).plan.broker

    assert (broker.port, broker.tls is not None, broker.websocket_path) == (port, secured, path)


@pytest.mark.parametrize("topics", [["a/+", "b/#"], "a/+ , b/#,", "a/+\r\nb/#\n", ' ["a/+", "b/#"]'])
def test_topics_are_a_list_or_a_text_of_several(topics: Any) -> None:
    assert load(topics=topics).topics == ("a/+", "b/#")


@pytest.mark.parametrize(
    ("topics", "status_topic", "filters"),
    [
        ("a/+/t", "a/+/link", ("a/+/t", "a/+/link")),
        ("a/+/t", "a/+/t", ("a/+/t",)),
        ("a/#", None, ("a/#",)),
        ("a/#", "", ("a/#",)),
    ],
)
def test_status_topics_are_listened_to_beside_the_topics(
    topics: str, status_topic: str | None, filters: tuple[str, ...]
) -> None:
    assert load(topics=topics, status_topic=status_topic).plan.filters == filters


@pytest.mark.parametrize("url", [" mqtt://h:1883", "mqtt://h:1883\n", "\ufeffmqtt://h:1883\u200b"])
def test_the_address_of_a_broker_is_stored_without_what_was_pasted_around_it(url: str) -> None:
    assert load(broker_url=url).broker_url == "mqtt://h:1883"


def test_the_client_id_is_made_of_the_integration_unless_given() -> None:
    assert load().plan.client_id == "di-i-1"
    assert load(client_id="mine").plan.client_id == "mine"


def test_password_and_key_are_secrets_and_shown_nowhere() -> None:
    provider = load(
        **SECURE,
        username="u",
        password=CANARY,
        client_certificate=PEM,
        client_key=lock_key(KEY, CANARY) + CANARY,
        client_key_passphrase=CANARY,
    )

    settings, secrets = split_config(provider)

    assert set(secrets) == {"password", "client_key", "client_key_passphrase"}
    assert CANARY not in repr(settings) + repr(provider) + repr(provider.plan)


def test_topics_paths_and_words_are_stored_as_they_are_meant() -> None:
    pasted = load(
        topics=["sp/+/t ", "\tdevices/#\n", "\ufeffa/b\u200b", '"c/d"', "a/b", "e f/g"],
        status_topic=" sp/+/t\r\n",
        command_topic=" commands/{device}/{name}\n",
        payload_format="custom",
        telemetry_path=" data.items.0.values ",
        device_id_path="meta.serial number ",
        timestamp_path="meta.time",
        timestamp_format="custom",
        timestamp_pattern=" %d.%m.%Y %H:%M ",
        event_id_path=" id",
        status_online=" up ",
        status_offline="down ",
    )

    settings, _ = split_config(pasted)

    assert settings["topics"] == ["sp/+/t", "devices/#", "a/b", "c/d", "e f/g"]
    assert {name: value for name, value in settings.items() if name.startswith(("status", "command"))} == {
        "status_topic": "sp/+/t",
        "command_topic": "commands/{device}/{name}",
        "status_online": "up",
        "status_offline": "down",
    }
    assert {name: value for name, value in settings.items() if name.endswith(("path", "pattern"))} == {
        "telemetry_path": "data.items.0.values",
        "device_id_path": "meta.serial number",
        "timestamp_path": "meta.time",
        "timestamp_pattern": "%d.%m.%Y %H:%M",
        "event_id_path": "id",
    }


@pytest.mark.parametrize(
    "pattern", ["%Y-%m-%dT%H:%M:%S.%fZ", "%y%m%d", "%d %b %Y %I:%M %p", "%G-W%V-%u", "%Y%j", "%c"]
)
def test_a_pattern_with_a_date_is_taken(pattern: str) -> None:
    assert load(**DATED, timestamp_pattern=pattern).timestamp_pattern == pattern


@given(text=st.text(max_size=40))
def test_no_topic_and_no_path_is_stored_with_what_can_not_be_heard(text: str) -> None:
    with suppress(InvalidConfig):
        provider = load(topics=[text], event_id_path=text, command_topic=text)
        for stored in (*provider.topics, provider.event_id_path or "a", provider.command_topic or "a"):
            assert stored == stored.strip()
            assert not re.search(r"[\x00-\x1f\x7f]", stored)


@pytest.mark.parametrize(
    ("config", "field", "words"),
    [
        ({"broker_url": "broker.example.com"}, "broker_url", "mqtt://host"),
        ({"broker_url": "broker.example.com:1883"}, "broker_url", "mqtt://host"),
        ({"broker_url": "http://h"}, "broker_url", "mqtt://host"),
        ({"broker_url": "mqtt://"}, "broker_url", "mqtt://host"),
        ({"broker_url": "mqtt://h:99999"}, "broker_url", "1 to 65535"),
        ({"broker_url": "mqtt://h:x"}, "broker_url", "1 to 65535"),
        ({"broker_url": "mqtt://[::1"}, "broker_url", "not valid"),
        ({"broker_url": "mqtt://[fd00:ec2::254%1]"}, "broker_url", "write it as"),
        ({"broker_url": f"mqtt://u:{CANARY}@h"}, "broker_url", "username and password"),
        ({"broker_url": "mqtt://h/topic"}, "broker_url", "topics"),
        ({"broker_url": "mqtt://h:1884", "port": 1885}, "port", "another port"),
        ({"port": 0}, "port", "Write 1 or more."),
        ({"port": 65536}, "port", "Write 65535 or less."),
        ({"password": CANARY}, "password", "set username"),
        ({"topics": ""}, "topics", "1 to 100"),
        ({"topics": [" "]}, "topics", "number 1"),
        ({"topics": ["a", "b\nc"]}, "topics", "number 2: a topic has 1 to 65535 bytes and no control"),
        ({"topics": ["a/\ud800"]}, "topics", "topic"),
        ({"topics": ["devices/*/t"]}, "topics", "write +"),
        ({"topics": ["devices/{device}/t"]}, "topics", "write +"),
        ({"topics": ["$share/g/t"]}, "topics", "shared subscription"),
        ({"topics": ["$queue/t"]}, "topics", "shared subscription"),
        ({"topics": ["mqtt://h/a/b"]}, "topics", "broker_url"),
        ({"topics": ["%prefix%/+/SENSOR"]}, "topics", "write +"),
        ({"topics": ["a/<id>/t"]}, "topics", "write +"),
        ({"topics": ["a/:id/t"]}, "topics", "write +"),
        ({"topics": "[1]"}, "topics.0", "Write a text"),
        ({"broker_url": "mqtt://ex ample"}, "broker_url", "mqtt://host"),
        ({"broker_url": "mqtt://h:0"}, "broker_url", "1 to 65535"),
        (
            {"status_topic": "c/+", "command_topic": "c/{device}"},
            "status_topic",
            "command_topic means the same",
        ),
        ({"status_topic": "  "}, "status_topic", "1 to 65535"),
        ({"status_topic": "devices/+/st#"}, "status_topic", "whole levels"),
        ({"command_topic": " \t"}, "command_topic", "1 to 65535"),
        ({"command_topic": "c/\x7f/{device}"}, "command_topic", "control characters"),
        ({**CUSTOM, "telemetry_path": "$.data"}, "telemetry_path", "without $, / and brackets"),
        ({**CUSTOM, "telemetry_path": "/data/temp"}, "telemetry_path", "without $, / and brackets"),
        ({**CUSTOM, "device_id_path": "meta[0].id"}, "device_id_path", "without $, / and brackets"),
        ({**CUSTOM, "timestamp_path": "meta..time"}, "timestamp_path", "joined by full stops"),
        ({**CUSTOM, "timestamp_path": ".time"}, "timestamp_path", "joined by full stops"),
        ({**CUSTOM, "telemetry_path": "a\nb"}, "telemetry_path", "joined by full stops"),
        ({"event_id_path": "$.id"}, "event_id_path", "without $, / and brackets"),
        ({**DATED, "timestamp_pattern": "YYYY-MM-DD"}, "timestamp_pattern", "strptime"),
        ({**DATED, "timestamp_pattern": "%H:%M:%S"}, "timestamp_pattern", "strptime"),
        (
            {**DATED, "timestamp_pattern": "%Y-%m-%d" + "x" * 93},
            "timestamp_pattern",
            "at most 100 characters",
        ),
        ({**DATED, "timestamp_pattern": "%Y-%M-%d"}, "timestamp_pattern", "strptime"),
        ({**DATED, "timestamp_pattern": "%Y-%m-%d %Q"}, "timestamp_pattern", "strptime"),
        ({**DATED, "timestamp_pattern": "%Y-%m-%d %Y"}, "timestamp_pattern", "strptime"),
        ({**DATED, "timestamp_pattern": "%"}, "timestamp_pattern", "strptime"),
        ({**DATED, "timestamp_pattern": "%d.%m.%Y %I:%M"}, "timestamp_pattern", "goes with %p"),
        ({**DATED, "timestamp_pattern": "%d.%m.%Y %H:%M %Z"}, "timestamp_pattern", "read by %z"),
        ({"timestamp_timezone": "right/Europe/Berlin"}, "timestamp_timezone", "IANA"),
        ({"timestamp_timezone": "localtime"}, "timestamp_timezone", "IANA"),
        ({"event_id_path": "meta.*"}, "event_id_path", "joined by full stops"),
        ({"event_id_path": "@.id"}, "event_id_path", "joined by full stops"),
        ({"event_id_path": "{{ id }}"}, "event_id_path", "joined by full stops"),
        ({"status_online": " "}, "status_online", "the word"),
        ({"status_online": "Up", "status_offline": " up"}, "status_offline", "the same word"),
        ({"topics": ["a"] * 101}, "topics", "1 to 100"),
        ({"topics": "a/b+"}, "topics", "whole levels"),
        ({"topics": "a/#/b"}, "topics", "last level"),
        ({"topics": ["a", "a", "b", "c/#/d"]}, "topics", "number 4: # may only be"),
        ({"topics": "$share/g/a"}, "topics", "without \\$share"),
        ({"topics": ["a\x00"]}, "topics", "NUL"),
        ({**SECURE, "use_tls": False}, "use_tls", "is TLS"),
        ({"ca_certificate": PEM}, "ca_certificate", "for TLS only"),
        ({"alpn": "mqtt"}, "alpn", "for TLS only"),
        ({**SECURE, "ca_certificate": "x"}, "ca_certificate", "PEM"),
        ({**SECURE, "client_key": KEY}, "client_key", "belong together"),
        ({**SECURE, "client_certificate": PEM}, "client_key", "belong together"),
        (
            {**SECURE, "client_certificate": PEM, "client_key": LOCKED},
            "client_key",
            "without a passphrase",
        ),
        (
            {**SECURE, "client_certificate": PEM, "client_key": LOCKED, "client_key_passphrase": CANARY},
            "client_key",
            "client_key_passphrase does not open it",
        ),
        ({**SECURE, "client_key_passphrase": CANARY}, "client_key", "set both or none"),
        ({"client_key_passphrase": CANARY}, "client_key_passphrase", "for TLS only"),
        (
            {**SECURE, "client_certificate": PEM, "client_key": PemAuthority().issue("other").key},
            "client_key",
            "not that of client_certificate",
        ),
        ({**SECURE, "client_certificate": PEM + KEY, "client_key": KEY}, "client_certificate", "client_key"),
        ({"qos": 2}, "qos", "one of: 0, 1"),
        ({"protocol_version": "3"}, "protocol_version", "one of: auto, 5, 3.1.1"),
        ({"keepalive": 0}, "keepalive", "Write 5 or more."),
        ({"session_expiry_seconds": 60}, "session_expiry_seconds", "86400"),
        ({"poll_interval_seconds": -1}, "poll_interval_seconds", "0"),
        ({"telemetry_path": "a"}, "telemetry_path", "payload_format custom"),
        ({"payload_format": "xml"}, "payload_format", "one of: standard, vmark, custom"),
        ({"payload_format": "custom", "timestamp_format": "custom"}, "timestamp_pattern", "belong together"),
        ({"timestamp_pattern": "%d"}, "timestamp_pattern", "belong together"),
        ({"timestamp_timezone": "Berlin"}, "timestamp_timezone", "such as Europe/Berlin"),
        ({"timestamp_timezone": "+02:00"}, "timestamp_timezone", "such as Europe/Berlin"),
        ({"timestamp_timezone": "../etc/passwd"}, "timestamp_timezone", "such as Europe/Berlin"),
        ({"timestamp_timezone": "Europe"}, "timestamp_timezone", "such as Europe/Berlin"),
        ({"command_topic": "devices/+/c"}, "command_topic", "no \\+ and no #"),
        ({"command_topic": "devices/{dev}/c"}, "command_topic", "{device}, {name}"),
        ({"command_topic": "{device}/{name}"}, "command_topic", "fixed text"),
        ({"command_topic": "devices/{device}/telemetry"}, "command_topic", "our own commands"),
        ({"status_topic": "a/b+"}, "status_topic", "whole levels"),
        ({"brokerurl": "x"}, "brokerurl", "Unknown field"),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(config: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load(**config)

    (error,) = refusal.value.errors
    assert error.field == field
    assert words.replace("\\", "") in error.message
    assert CANARY not in error.message


def test_every_config_in_the_documentation_is_valid() -> None:
    text = (Path(__file__).parents[4] / "docs" / "mqtt.md").read_text()
    configs = [json.loads(block) for block in re.findall(r"```json\n(.+?)```", text, re.DOTALL)]
    for config in configs:
        # They show where PEM goes, and leave it out.
        config |= {name: PEM for name in ("ca_certificate", "client_certificate") if name in config}
        config |= {name: KEY for name in ("client_key",) if name in config}

    assert [load(**config).plan.broker.port for config in configs] == [1883, 8883, 443, 1883]


def test_several_wrong_fields_are_all_named() -> None:
    with pytest.raises(InvalidConfig) as refusal:
        load(port=0, qos=7, topics="a/b#")

    assert {error.field for error in refusal.value.errors} == {"port", "qos", "topics"}


def test_a_command_topic_is_filled_by_device_and_name() -> None:
    template = "devices/{device}/c/{name}-v1"

    assert fill_topic_template(template, {"device": "d1", "name": "reboot"}) == "devices/d1/c/reboot-v1"
    assert widen_topic_template(template) == "devices/+/c/+"


@pytest.mark.parametrize("device", ["", "a/b", "+", "#", "a\x00"])
def test_a_device_id_cannot_lead_a_command_to_other_topics(device: str) -> None:
    with pytest.raises(ValueError, match="device"):
        fill_topic_template("devices/{device}/c", {"device": device, "name": "n"})


def test_loading_the_provider_does_not_import_paho() -> None:
    probe = "import sys, shared.providers.mqtt; sys.exit('paho' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def test_it_can_be_tested_polled_asked_again_and_commanded() -> None:
    assert Mqtt.capabilities() == ["check", "session", "decode", "send"]


PLAIN = {"username": "u", "password": CANARY}


@pytest.mark.parametrize(
    ("config", "risks"),
    [
        ({"broker_url": "mqtt://broker.example.com"}, 1),
        ({"broker_url": "ws://broker.example.com/mqtt"}, 1),
        ({"broker_url": "mqtt://203.0.113.7"}, 1),
        ({"broker_url": "mqtt://16843009"}, 1),
        ({"broker_url": "mqtt://0x01010101"}, 1),
        ({"broker_url": "mqtt://\uff11\uff16\uff18\uff14\uff13\uff10\uff10\uff19"}, 1),
        ({"broker_url": "mqtt://broker\u3002example\uff0ecom"}, 1),
        ({"broker_url": "mqtt://2130706433"}, 0),
        ({"broker_url": "mqtt://broker.example.com", "allow_plain_password": True}, 0),
        ({"broker_url": "mqtt://broker.example.com", "use_tls": True}, 0),
        ({"broker_url": "mqtts://broker.example.com"}, 0),
        ({"broker_url": "mqtt://127.0.0.1"}, 0),
        ({"broker_url": "mqtt://[::1]"}, 0),
        ({"broker_url": "mqtt://10.1.2.3"}, 0),
        ({"broker_url": "mqtt://mosquitto"}, 0),
        ({"broker_url": "mqtt://broker.plant.local."}, 0),
        ({"broker_url": "mqtt://broker.example.com", "username": None, "password": None}, 0),
    ],
)
def test_a_password_in_clear_to_a_public_host_is_refused_new_and_warned_of_where_it_is(
    config: dict[str, Any], risks: int
) -> None:
    provider, memory = load(**(PLAIN | config)), Memory("key", {})

    for _ in range(2):
        warn_of_risks(provider.plan, memory)

    assert [risk.field for risk in provider.list_risks()] == ["password"] * risks
    assert [note.message.partition(":")[0] for note in memory.take_notes()] == ["password"] * risks


def test_its_secrets_go_to_one_broker_however_that_is_spelt() -> None:
    base: dict[str, Any] = {"broker_url": "mqtts://broker.example.com"}
    same: list[dict[str, Any]] = [
        {"broker_url": "MQTTS://Broker.Example.com."},
        {"broker_url": "mqtts://broker.example.com:8883"},
        {**base, "port": 8883},
        {**base, "server_name": "broker.example.com"},
        {"broker_url": "mqtt://broker.example.com", "use_tls": True},
    ]
    other: list[dict[str, Any]] = [
        {"broker_url": "mqtt://broker.example.com"},
        {**base, "port": 8884},
        {**base, "server_name": "other.example.com"},
        {**base, "ca_certificate": PEM},
        {"broker_url": "wss://broker.example.com:8883"},
        {"broker_url": "mqtts://broker.example.com.evil.example"},
    ]

    assert {Mqtt.locate(config) for config in same} == {Mqtt.locate(base)}
    assert Mqtt.locate(base) not in {Mqtt.locate(config) for config in other}
    assert len({Mqtt.locate(config) for config in other}) == len(other)


def test_the_zone_of_times_without_one_and_the_place_of_the_device_are_the_integrations() -> None:
    provider = load(timestamp_timezone="Europe/Berlin", device_id_path="")

    body = StoredBody(b'{"device":"a","ts":"2025-07-01 12:00","n":1}', "e", "devices/d1/telemetry")
    ((message,),) = provider.decode([body])

    assert (message.device, message.observed_at) == ("d1", "2025-07-01T10:00:00+00:00")
