"""Messages as Slack takes them: text for notifications, blocks for the eye."""

from __future__ import annotations

from typing import Any

from shared.provider import Wording

TEXT_LENGTH, SECTION_LENGTH = 3_000, 2_900
SIGNS = {"error": ":rotating_light:", "warning": ":warning:"}


def make_message(wording: Wording) -> dict[str, Any]:
    """`text` and `blocks` of one message; of a person's words nothing is taken for Slack's own markup."""
    sign = ":white_check_mark:" if wording.is_over else SIGNS.get(wording.level, ":information_source:")
    lines = "\n".join(f"• {line}" if len(wording.lines) > 1 else line for line in wording.lines)
    section = f"{sign} *{escape(wording.title)}*" + ("" if wording.is_in_title else f"\n{escape(lines)}")
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": _cut(section, SECTION_LENGTH)}}
    ]
    if wording.url:
        said = f"{'resolved' if wording.is_over else wording.level} · {wording.url}"
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(escape(said), 500)}]})
    return {
        "text": _cut(escape(wording.text), TEXT_LENGTH),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escape(text: str) -> str:
    """`text` without what Slack reads as markup: mentions of everybody, links, channels."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    kept = text[: length - 1]
    # Not in the middle of an &amp;
    begun = kept.rfind("&", len(kept) - 4)
    return f"{kept[:begun] if begun >= 0 and ';' not in kept[begun:] else kept}…"
