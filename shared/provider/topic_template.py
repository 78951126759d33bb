"""Topic templates: where a command is published."""

from __future__ import annotations

import re

from shared.provider.decoding.topics import trim_topic
from shared.runtime.errors import CommandRefused

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


def check_topic_template(template: str, names: frozenset[str]) -> str:
    """`template` without spaces around it, where it is a topic with `{name}` for (parts of) levels; else ValueError."""
    template = trim_topic(template)
    unknown = set(_PLACEHOLDER.findall(template)) - names
    known = ", ".join(f"{{{name}}}" for name in sorted(names))
    if unknown or "{" in _PLACEHOLDER.sub("", template):
        raise ValueError(f"the placeholders are {known}")
    if re.search(r"[+#]", template):
        raise ValueError("a topic to publish to has no + and no #")
    if template.startswith("$SYS/"):
        raise ValueError("topics under $SYS/ belong to the broker")
    if not any(level and not _PLACEHOLDER.search(level) for level in template.split("/")):
        raise ValueError("one level must be fixed text, so that our own commands can be told from messages")
    return template


def fill_topic_template(template: str, values: dict[str, str]) -> str:
    """The topic that `template` means for `values`; ValueError where a value would change the topic's levels."""
    for name, value in values.items():
        if f"{{{name}}}" in template and (not value or re.search(r"[/+#\x00]", value)):
            raise ValueError(
                f"The {name} {value!r} can't be part of a topic: it is empty or holds /, + or #."
            )
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], template)


def choose_topic(template: object, device: str, name: str) -> str:
    """Where a command is published; CommandRefused without a template, and for what fits into no topic."""
    if not isinstance(template, str) or not template:
        raise CommandRefused(
            "Set command_topic to send commands, for example devices/{device}/commands/{name}."
        )
    try:
        return fill_topic_template(template, {"device": device, "name": name})
    except ValueError as error:
        raise CommandRefused(str(error)) from None


def widen_topic_template(template: str) -> str:
    """The filter that matches every topic `template` can be filled to."""
    return "/".join("+" if _PLACEHOLDER.search(level) else level for level in template.split("/"))
