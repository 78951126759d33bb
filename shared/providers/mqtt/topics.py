"""Topic filters and topic templates: what may be subscribed to, and where a command is published."""

from __future__ import annotations

import re
from collections.abc import Sequence

TOPIC_BYTES = 65_535
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def check_filters(filters: Sequence[str]) -> tuple[str, ...]:
    """Each of them once; ValueError says which one is wrong by its number, for it may be a misplaced secret."""
    for number, topic_filter in enumerate(filters, start=1):
        try:
            check_filter(topic_filter)
        except ValueError as error:
            raise ValueError(f"number {number}: {error}") from None
    return tuple(dict.fromkeys(filters))


def check_filter(topic_filter: str) -> str:
    """`topic_filter` itself, where a broker may be subscribed to it (MQTT 5, section 4.7); else ValueError."""
    if not topic_filter or len(topic_filter.encode()) > TOPIC_BYTES or "\x00" in topic_filter:
        raise ValueError(f"a topic has 1 to {TOPIC_BYTES} bytes and no NUL character")
    if topic_filter.startswith("$share/"):
        raise ValueError(
            "this is a shared subscription; write the topic without $share/<group>/: one session at a time reads "
            "this integration, and messages shared to an absent group member would wait in its session"
        )
    levels = topic_filter.split("/")
    if any(("+" in level or "#" in level) and len(level) > 1 for level in levels):
        raise ValueError("+ and # stand for whole levels, as in devices/+/telemetry or devices/#")
    if "#" in levels[:-1]:
        raise ValueError("# may only be the last level")
    return topic_filter


def check_template(template: str, names: frozenset[str]) -> str:
    """`template` itself, where it is a topic with `{name}` placeholders for (parts of) levels; else ValueError."""
    unknown = set(_PLACEHOLDER.findall(template)) - names
    known = ", ".join(f"{{{name}}}" for name in sorted(names))
    if unknown or "{" in _PLACEHOLDER.sub("", template):
        raise ValueError(f"the placeholders are {known}")
    if not template or len(template.encode()) > TOPIC_BYTES or re.search(r"[+#\x00]", template):
        raise ValueError("a topic to publish to has no + and no #")
    if template.startswith("$SYS/"):
        raise ValueError("topics under $SYS/ belong to the broker")
    if not any(level and not _PLACEHOLDER.search(level) for level in template.split("/")):
        raise ValueError("one level must be fixed text, so that our own commands can be told from messages")
    return template


def fill_template(template: str, values: dict[str, str]) -> str:
    """The topic that `template` means for `values`; ValueError where a value would change the topic's levels."""
    for name, value in values.items():
        if f"{{{name}}}" in template and (not value or re.search(r"[/+#\x00]", value)):
            raise ValueError(
                f"The {name} {value!r} can't be part of a topic: it is empty or holds /, + or #."
            )
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], template)


def widen_template(template: str) -> str:
    """The filter that matches every topic `template` can be filled to."""
    return "/".join("+" if _PLACEHOLDER.search(level) else level for level in template.split("/"))
