"""Wording: what a message to people says. Plain text; each service cuts and dresses it as it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from shared.provider.messages import ALERT, Event, Notice, list_template_values
from shared.provider.template import Template, dump_json, render_template
from shared.runtime.errors import TooLarge

LINES = 20
"""Of a list, the others are counted."""

LINE_LENGTH = 300
_HIDDEN = dict.fromkeys(
    (*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), " "
)
"""What ends a line, for whatever program, and what turns the direction of all that follows."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What one message says: `title` in one line, `lines` one for each thing it tells of.

    `code` is what acknowledges the alert, where it is one that lasts; `is_over` that it has ended.
    """

    title: str
    lines: tuple[str, ...]
    level: str = ""
    code: str = ""
    is_over: bool = False
    url: str = ""

    @property
    def text(self) -> str:
        """Title and lines, a line each; of one thing its line alone."""
        return "\n".join((self.title, *self.lines) if len(self.lines) > 1 else self.lines)

    @property
    def is_in_title(self) -> bool:
        """Whether the title says all that the lines do."""
        return self.lines == (self.title,)

    def cut(self, length: int, ending: str = "") -> str:
        """The text and `ending` in so many characters at most: the ending whole, the text as far as it goes."""
        room = length - len(ending)
        text = self.text if len(self.text) <= room else f"{self.text[: room - 1]}…"
        return text + ending


def describe_notice(event: Event, template: Template = ()) -> Wording:
    """What is told of `event`, and of what goes along with it."""
    notice = event.notice or Notice("", event.at)
    if not notice.count:
        return _describe_one(event, template)
    told = _fold([event, *notice.events])
    count = notice.count + 1
    more = count - len(notice.events) - 1 + max(0, len(told) - LINES)
    lines = [_shorten(_describe_one(each, template).lines[0]) for each in told[:LINES]]
    lines += [f"… and {more} more"] if more else []
    levels = [str(each.payload.get("level")) for each in told if isinstance(each.payload, dict)]
    return Wording(
        f"{count} events",
        tuple(lines),
        "error" if "error" in levels else "warning" if "warning" in levels else "",
    )


def _fold(events: list[Event]) -> list[Event]:
    """Of each alert the last that is known, in the order in which they began."""
    folded: dict[str, Event] = {}
    for event in events:
        is_alert = event.type.startswith("alert.") and isinstance(event.payload, dict)
        folded[f"alert {event.payload.get('id')}" if is_alert else f"event {len(folded)}"] = event
    return [*folded.values()]


def _describe_one(event: Event, template: Template) -> Wording:
    payload: dict[str, Any] = event.payload if isinstance(event.payload, dict) else {}
    line = _word_event(event, payload, template)
    if not event.type.startswith("alert."):
        return Wording(_shorten(line), (line,))
    is_over = event.type == "alert.resolved"
    title = f"{payload.get('integration_name') or 'Organization'}: {payload.get('kind', '')}"
    return Wording(
        _shorten(title),
        (line,),
        str(payload.get("level", "")),
        "" if is_over else str(payload.get("code") or ""),
        is_over,
        str(payload.get("url") or ""),
    )


def _word_event(event: Event, payload: dict[str, Any], template: Template) -> str:
    """By the template; in our words without one, and where it comes to more than there is room for."""
    with suppress(TooLarge):
        if template:
            return _render_text(template, list_template_values(event))
    return _shorten(_say(event, payload))


def _render_text(template: Template, context: Mapping[str, object]) -> str:
    """A compiled template that is one string, as text: a value that is none as JSON, nothing for null."""
    rendered = orjson.loads(render_template(template, context))
    if rendered is None:
        return ""
    return rendered if isinstance(rendered, str) else dump_json(rendered).decode()


def _shorten(line: str) -> str:
    return line.translate(_HIDDEN)[:LINE_LENGTH]


def _say(event: Event, payload: dict[str, Any]) -> str:
    if event.kind == ALERT or event.type.startswith("alert."):
        word = "resolved" if event.type == "alert.resolved" else str(payload.get("level") or "alert")
        return " ".join(filter(None, _say_alert(word, payload)))
    device = event.device
    who = (device.name or device.external_id) if device else event.integration.name or "Event"
    if event.type in {"device.offline", "device.online"}:
        since = payload.get("silent_since")
        return f"{who} is {event.type[7:]}" + (f", silent since {since}" if since else "")
    try:
        told = event.payload if isinstance(event.payload, str) else dump_json(event.payload).decode()
    except TooLarge:
        told = "more than can be shown"
    return f"{who}: {told}"


def _say_alert(word: str, payload: dict[str, Any]) -> Iterator[str]:
    yield f"[{word}]"
    if payload.get("integration_name"):
        yield f"{payload['integration_name']}:"
    yield str(payload.get("message") or payload.get("kind") or "")
