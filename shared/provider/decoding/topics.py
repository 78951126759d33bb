"""What a topic says by itself."""

from __future__ import annotations


def match_topic(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT subscription to `topic_filter` receives `topic` (MQTT 5, section 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
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
        if "+" in wanted and match_topic(topic_filter, topic):
            return levels[wanted.index("+")]
    return None
