"""The config: what the documents show is taken, what is half said is refused by its field, secrets are bound."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from shared.provider import Identity, load_provider, require, split_config
from shared.providers.kafka import Kafka
from shared.runtime.errors import InvalidConfig

PAGE = Path(__file__).resolve().parents[4] / "docs" / "kafka.md"
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)]
LEAST = {"bootstrap_servers": "broker.example.com", "security_protocol": "SSL", "topics": "a"}


def load(**config: Any) -> Kafka:
    return require(load_provider(config, Identity("organization", "integration", "kafka")), Kafka)


def find_errors(**config: Any) -> dict[str, str]:
    with pytest.raises(InvalidConfig) as refusal:
        load(**config)
    return {error.field: error.message for error in refusal.value.errors}


@pytest.mark.parametrize("config", EXAMPLES)
def test_what_the_document_shows_is_taken(config: dict[str, Any]) -> None:
    assert load(**config).cluster_plan.servers == (("broker-1.example.com", 9092),)
    assert not list(load(**config).list_risks())


def test_one_that_reads_is_no_subscriber_and_one_that_gets_events_is() -> None:
    reads, gets = load(**LEAST), load(**LEAST | {"topics": None, "events_topic": "out"})

    assert (reads.is_polled, gets.is_polled) == (True, False)
    assert "events" not in split_config(reads)[0]
    settings = split_config(gets)[0]
    assert (settings["events"], settings["max_concurrent"], settings["rate_limit_per_minute"]) == (
        ["*"],
        100,
        1_000_000,
    )


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"topics": None}, "events_topic"),
        ({"events_topic": "out"}, "events_topic"),
        ({"topics": ["a b"]}, "topics"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism"),
        ({"sasl_mechanism": "PLAIN"}, "sasl_mechanism"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "a"}, "password"),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "OAUTHBEARER",
                "username": "a",
                "password": "b",
            },
            "oauth_token_url",
        ),
        ({"device_from": "header"}, "device_header"),
        ({"device_header": "x"}, "device_header"),
        ({"bootstrap_servers": "kafka://x"}, "bootstrap_servers"),
        ({"bootstrap_servers": "x:0"}, "bootstrap_servers"),
        ({"bootstrap_servers": "x:65536"}, "bootstrap_servers"),
        ({"schema_registry_password": "x"}, "schema_registry_password"),
    ],
)
def test_what_is_half_said_is_refused_by_its_field(config: dict[str, Any], field: str) -> None:
    assert set(find_errors(**LEAST | config)) == {field}


def test_a_login_without_tls_is_a_risk_on_the_internet_and_none_in_private_networks() -> None:
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "username": "a",
        "password": "b",
    }

    assert [risk.field for risk in load(**LEAST | login).list_risks()] == ["security_protocol"]
    assert not list(load(**LEAST | login | {"bootstrap_servers": "10.0.0.1"}).list_risks())


@pytest.mark.parametrize(
    "change",
    [
        {"bootstrap_servers": "broker.example.com:9093"},
        {"bootstrap_servers": "broker.example.com,other.example.com"},
        {"security_protocol": "PLAINTEXT"},
        {"ca_certificate": "another"},
        {"schema_registry_url": "https://other.example.com"},
        {"oauth_token_url": "https://other.example.com"},
    ],
)
def test_secrets_are_bound_to_each_place_that_they_are_sent_to(change: dict[str, str]) -> None:
    before = LEAST | {"schema_registry_url": "https://registry.example.com"}

    assert Kafka.locate(before) != Kafka.locate(before | change)
    assert Kafka.locate(before) == Kafka.locate(before | {"bootstrap_servers": ["BROKER.example.com:9092"]})
