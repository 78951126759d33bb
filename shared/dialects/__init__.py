"""The payload dialects devices speak, turned into messages: `standard`, `vmark` and `custom`. No input raises."""

from __future__ import annotations

from shared.dialects.decoder import Decoder, Dialect, PayloadFormat
from shared.dialects.readers import find_path, find_vmark_reply
from shared.dialects.times import TimestampFormat, parse_time
from shared.dialects.topics import match_topic

__all__ = [
    "Decoder",
    "Dialect",
    "PayloadFormat",
    "TimestampFormat",
    "find_path",
    "find_vmark_reply",
    "match_topic",
    "parse_time",
]
