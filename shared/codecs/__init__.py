"""Payload codecs: an organization's own decoders, run in child processes with limits.

A `Codec` turns bodies into JSON and messages, and commands and events into bodies. Its source is never trusted:
whatever its kind, it runs in a process of its own (`sandbox/`) that has no environment, no files and no network, and is
killed at its deadline. Providers use this room; it knows no provider and no database. See docs/codecs.md.
"""

from __future__ import annotations

from shared.codecs.codec import Codec
from shared.codecs.contract import (
    BODY_LIMIT,
    KINDS,
    CodecFailed,
    Decoded,
    DecodedMessage,
    Downlink,
    Encoded,
    SourceRefused,
    Uplink,
)

__all__ = [
    "BODY_LIMIT",
    "KINDS",
    "Codec",
    "CodecFailed",
    "Decoded",
    "DecodedMessage",
    "Downlink",
    "Encoded",
    "SourceRefused",
    "Uplink",
]
