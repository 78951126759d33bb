"""Patterns of topics: what one finds, and what names a device in it."""

from __future__ import annotations

import time

import pytest

from shared.providers.kafka.topics import check_patterns, find_match, match_topic


@pytest.mark.parametrize(
    ("pattern", "topic", "first"),
    [
        ("a.b", "a.b", ""),
        ("a.b", "a.bc", None),
        ("site.*.telemetry", "site.pump-1.telemetry", "pump-1"),
        ("site.*.telemetry", "site.telemetry", None),
        ("*", "anything", "anything"),
        ("*.x.*", "a.x.b.x.c", "a"),
        ("a*", "a", ""),
        ("a*a", "a", None),
        ("*b", "ab", "a"),
    ],
)
def test_what_the_first_star_stands_for(pattern: str, topic: str, first: str | None) -> None:
    assert match_topic(pattern, topic) == first


def test_what_is_kafka_s_own_or_no_name_is_found_by_no_pattern() -> None:
    topics = ["__consumer_offsets", "plant", "pl\x00ant", ""]

    assert [topic for topic in topics if find_match(["*"], topic)] == ["plant"]
    assert find_match(["__consumer_offsets"], "__consumer_offsets") == "__consumer_offsets"


def test_no_pattern_takes_long() -> None:
    begun = time.process_time()

    for _ in range(1_000):
        match_topic("*a*a*a*b", "a" * 249)

    assert time.process_time() - begun < 5


@pytest.mark.parametrize("pattern", ["", "a b", "ü", "a/b", "*****", "x" * 250, "https://x"])
def test_what_is_no_topic_is_refused_by_its_number_and_not_repeated(pattern: str) -> None:
    with pytest.raises(ValueError, match="number 2: write the name of a topic"):
        check_patterns(["good.topic", pattern])
