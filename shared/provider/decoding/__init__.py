"""The payload dialects devices speak, turned into messages: `standard`, `vmark` and `custom`. No input raises."""

from __future__ import annotations

from shared.provider.decoding.dialect import Dialect, PayloadDecoder, PayloadFormat
from shared.provider.decoding.readers import find_path, find_vmark_reply
from shared.provider.decoding.times import TimestampFormat, parse_time
from shared.provider.decoding.topics import TOPIC_BYTES, TopicRules, check_filter, check_filters, match_topic

__all__ = [
    "TOPIC_BYTES",
    "Dialect",
    "PayloadDecoder",
    "PayloadFormat",
    "TimestampFormat",
    "TopicRules",
    "check_filter",
    "check_filters",
    "find_path",
    "find_vmark_reply",
    "match_topic",
    "parse_time",
]
