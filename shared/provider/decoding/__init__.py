"""The payload dialects devices speak, turned into messages: `standard`, `vmark` and `custom`. No input raises."""

from __future__ import annotations

from shared.provider.decoding.dialect import Dialect, PayloadDecoder, PayloadFormat
from shared.provider.decoding.readers import find_path, find_vmark_reply
from shared.provider.decoding.times import TimestampFormat, parse_time
from shared.provider.decoding.topics import match_topic

__all__ = [
    "Dialect",
    "PayloadDecoder",
    "PayloadFormat",
    "TimestampFormat",
    "find_path",
    "find_vmark_reply",
    "match_topic",
    "parse_time",
]
