"""What a topic says by itself, and which filters may be subscribed to (MQTT 5, section 4.7)."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, zip_longest
from typing import NamedTuple

from shared.runtime.portable import replace_nul

TOPIC_BYTES = 65_535
MOST_LEVELS = 128
"""Of a filter, with which each message is compared. Brokers take no more, most of them far fewer."""

DEVICE_LIMIT = 512
_SHARED = re.compile(r"\$(share|queue|exclusive)/", re.IGNORECASE)
"""The last two are EMQX's."""

_PLACEHOLDER = re.compile(r"\*|.*\{.*|<[^<>]*>|%\w*%|:\w+")
"""What documents write for a part that differs: * {device} <id> %topic% :id."""

_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_AROUND = f"{string.whitespace}\xa0\u200b\ufeff\"'"
STATUS_LEVELS = frozenset(("status", "availability", "lwt", "online"))


class TopicFacts(NamedTuple):
    """What a topic says by itself: the device it names, whether it carries status, whether it is ignored."""

    topic: str
    device: str | None
    is_status: bool
    ignored: bool


@dataclass(frozen=True, slots=True)
class TopicRules:
    """What the topics of one integration mean.

    `filters` are the subscriptions: the first `+` of the one that matches, or else of `status_topic`, names the device.
    `own_filter` matches what we publish ourselves.
    """

    filters: tuple[str, ...] = ()
    own_filter: str = ""
    status_topic: str = ""

    def read(self, topic: str) -> TopicFacts:
        """What `topic` says."""
        topic = replace_nul(topic)
        device = find_device(topic, (*self.filters, self.status_topic))
        is_status = (
            match_topic(self.status_topic, topic)
            if self.status_topic
            else topic.rpartition("/")[2].lower() in STATUS_LEVELS
        )
        return TopicFacts(
            topic,
            device if device and len(device) <= DEVICE_LIMIT else None,
            is_status,
            bool(self.own_filter) and match_topic(self.own_filter, topic),
        )


@dataclass(frozen=True, slots=True)
class OwnTopic(TopicRules):
    """Topics that say nothing of the device: it is known already."""

    device: str | None = None

    def read(self, topic: str) -> TopicFacts:
        """The device that is known, and what else the topic says."""
        return TopicRules.read(self, topic)._replace(device=self.device)


def match_topic(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT subscription to `topic_filter` receives `topic` (MQTT 5, section 4.7)."""
    return _matches(topic_filter.split("/"), topic.split("/"))


def _matches(wanted: Sequence[str], levels: Sequence[str]) -> bool:
    if levels[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for position, level in enumerate(wanted):
        if level == "#":
            return True
        if position >= len(levels) or level not in {"+", levels[position]}:
            return False
    return len(wanted) == len(levels)


def find_device(topic: str, filters: tuple[str, ...]) -> str | None:
    """The device a topic names: the level after `devices`, else where the filter that matches has its first `+`."""
    levels = topic.split("/")
    if "devices" in levels[:-1]:
        return levels[levels.index("devices") + 1]
    for topic_filter in filters:
        wanted = topic_filter.split("/")
        if "+" in wanted and _matches(wanted, levels):
            return levels[wanted.index("+")]
    return None


def drop_covered(filters: Iterable[str]) -> tuple[str, ...]:
    """Those of `filters` that receive what no other of them does: for each other, a broker may send a copy."""
    kept = {name: name.split("/") for name in filters}
    return tuple(
        name
        for name, inner in kept.items()
        if not any(name != wide and _covers(levels, inner) for wide, levels in kept.items())
    )


def find_overlap(filters: Sequence[str]) -> tuple[str, str] | None:
    """The first two of `filters` that may receive the same topic; None where no two do."""
    pairs = combinations([(name, name.split("/")) for name in filters], 2)
    return next(((one, other) for (one, each), (other, least) in pairs if _overlaps(each, least)), None)


def _overlaps(one: Sequence[str], other: Sequence[str]) -> bool:
    if {one[0][:1], other[0][:1]} in ({"$", "+"}, {"$", "#"}):
        return False
    for level, opposite in zip_longest(one, other):
        if "#" in {level, opposite}:
            return True
        if level != opposite and (None in {level, opposite} or "+" not in {level, opposite}):
            return False
    return True


def _covers(levels: Sequence[str], inner: Sequence[str]) -> bool:
    """Whether every topic that the filter of `inner` receives is received by that of `levels` too."""
    if inner[0].startswith("$") and levels[0] in {"+", "#"}:
        return False
    for position, level in enumerate(levels):
        if level == "#":
            return True
        if position >= len(inner) or inner[position] == "#" or level not in {"+", inner[position]}:
            return False
    return len(levels) == len(inner)


def check_filters(filters: Sequence[str]) -> tuple[str, ...]:
    """Each of them once; ValueError says which one is wrong by its number, for it may be a misplaced secret."""
    checked: list[str] = []
    for number, topic_filter in enumerate(filters, start=1):
        try:
            checked.append(check_filter(topic_filter))
        except ValueError as error:
            raise ValueError(f"number {number}: {error}") from None
    return tuple(dict.fromkeys(checked))


def check_filter(topic_filter: str) -> str:
    """`topic_filter` without spaces around it, where it may be subscribed to (MQTT 5, section 4.7); else ValueError."""
    topic_filter = trim_topic(topic_filter)
    if _SHARED.match(topic_filter):
        raise ValueError(
            "this is a shared subscription; write the topic without $share/<group>/: one session at a time reads "
            "this integration, and messages shared to an absent group member would wait in its session"
        )
    if "://" in topic_filter:
        raise ValueError("write the topic alone; the broker's address goes into broker_url")
    levels = topic_filter.split("/")
    if len(levels) > MOST_LEVELS:
        raise ValueError(f"a topic that is listened to has at most {MOST_LEVELS} levels")
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        raise ValueError("+ and # stand for whole levels, as in devices/+/telemetry or devices/#")
    if "#" in levels[:-1]:
        raise ValueError("# may only be the last level")
    if any(_PLACEHOLDER.fullmatch(level) for level in levels):
        raise ValueError("for any one level write +, for any number of levels #: as in devices/+/telemetry")
    return topic_filter


def trim_topic(topic: str) -> str:
    """`topic` without what is around it when it is pasted; ValueError where it is no topic (MQTT 5, section 1.5.4)."""
    topic = topic.strip(_AROUND)
    if not topic or len(topic.encode(errors="surrogatepass")) > TOPIC_BYTES or _UNSENDABLE.search(topic):
        raise ValueError(f"a topic has 1 to {TOPIC_BYTES} bytes and no control characters, NUL among them")
    return topic
