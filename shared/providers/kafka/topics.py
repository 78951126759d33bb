"""Topics: their names, and patterns in which * stands for any characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_STARS = 4
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""What Kafka takes for a topic's name."""


def check_name(name: str) -> str:
    """`name` where it is a topic's; ValueError says what is one."""
    if not is_name(name):
        raise ValueError("a topic's name has 1 to 249 letters, digits, full stops, _ and -")
    return name


def is_name(name: object) -> bool:
    """Whether it is one that a topic may have."""
    return isinstance(name, str) and bool(_NAME.fullmatch(name)) and name not in {".", ".."}


def check_patterns(patterns: Sequence[str]) -> tuple[str, ...]:
    """Each of them once; ValueError says which one is wrong by its number, for it may be a misplaced secret."""
    for number, pattern in enumerate(patterns, start=1):
        if pattern.count("*") > MOST_STARS or not _NAME.fullmatch(pattern.replace("*", "x")):
            raise ValueError(
                f"number {number}: write the name of a topic, of letters, digits, full stops, _ and -, "
                f"with at most {MOST_STARS} * for any characters"
            )
    return tuple(dict.fromkeys(patterns))


def is_pattern(text: str) -> bool:
    """Whether it stands for any number of topics."""
    return "*" in text


def match_topic(pattern: str, topic: str) -> str | None:
    """What the first * of `pattern` stands for in `topic`, empty where there is none; None where they differ."""
    head, *parts = pattern.split("*")
    if not parts:
        return "" if pattern == topic else None
    tail, end = parts[-1], len(topic) - len(parts[-1])
    if not topic.startswith(head) or not topic.endswith(tail) or len(head) > end:
        return None
    at, first = len(head), None
    for part in parts[:-1]:
        found = topic.find(part, at, end)
        if found < 0:
            return None
        first = topic[at:found] if first is None else first
        at = found + len(part)
    return topic[at:end] if first is None else first


def find_match(patterns: Iterable[str], topic: str) -> str | None:
    """The first of `patterns` that `topic` is one of. What is Kafka's own, as __consumer_offsets, no pattern means."""
    is_own = topic.startswith("__") or not _NAME.fullmatch(topic)
    return next(
        (
            each
            for each in patterns
            if not (is_own and is_pattern(each)) and match_topic(each, topic) is not None
        ),
        None,
    )
