"""A child's results as what callers get. The child is not trusted: whatever it says has these shapes in the end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import orjson

from shared.codecs.contract import CodecFailed, Decoded, DecodedMessage, Downlink, Encoded, EncoderAbsent
from shared.codecs.run import Result

MOST_WORDS, WORD_LIMIT = 50, 500
MOST_MESSAGES = 1_000
PLAIN = {"us", "data"}
"""What most results have, and nothing else."""

NAME_LIMIT = 512
MEMBERS = {"payload", "device", "time", "kind", "event_id", "status"}
KINDS = ("telemetry", "state", "event", "log")
STATUSES = ("online", "offline")


def read_decoded(result: Result) -> Decoded:
    """One body's result, with a message for its data where the codec made none itself."""
    if result.keys() == PLAIN:
        data = result["data"]
        return Decoded(data, (DecodedMessage(data),), microseconds=_read_time(result["us"]))
    errors = _read_words(result.get("errors"))
    messages: tuple[DecodedMessage, ...] = ()
    if not errors:
        try:
            messages = _read_messages(result)
        except ValueError as wrong:
            errors = (str(wrong),)
    return Decoded(
        result.get("data"),
        messages,
        _read_words(result.get("warnings")),
        errors,
        result.get("normalized"),
        _read_downlinks(result.get("downlinks")),
        _read_time(result.get("us")),
    )


def read_downlink(result: Result, f_port: int | None) -> Downlink | CodecFailed:
    """The body for a device, or why there is none."""
    try:
        _raise_errors(result)
    except CodecFailed as failed:
        return failed
    body = _read_body(result)
    if body is None:
        return CodecFailed("The codec's bytes are no list of whole numbers from 0 to 255.")
    told = result.get("fPort")
    if told is not None and not _is_port(told):
        return CodecFailed("The codec's fPort is no whole number from 0 to 255.")
    return Downlink(body, f_port if told is None else int(told), None, _read_words(result.get("warnings")))


def read_encoded(result: Result) -> Encoded | CodecFailed:
    """The body for a receiver, or why there is none."""
    try:
        _raise_errors(result)
    except CodecFailed as failed:
        return failed
    if "json" in result:
        return Encoded(orjson.dumps(result["json"]), "application/json")
    if isinstance(result.get("text"), str):
        return Encoded(str(result["text"]).encode(), "text/plain; charset=utf-8")
    body = _read_body(result)
    if body is None:
        return CodecFailed("The codec's body is none.")
    media_type = result.get("type")
    return Encoded(body, media_type if isinstance(media_type, str) else "application/octet-stream")


def _raise_errors(result: Result) -> None:
    errors = _read_words(result.get("errors"))
    if errors:
        kind = EncoderAbsent if result.get("absent") is True else CodecFailed
        raise kind("; ".join(errors)[:1_000])


def _read_body(result: Result) -> bytes | None:
    try:
        if "hex" in result:
            return bytes.fromhex(result["hex"])
        listed = result["bytes"]
        return bytes(map(_read_byte, listed)) if isinstance(listed, list) else None
    except (TypeError, ValueError, KeyError):
        return None


def _read_byte(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError
    return int(value)


def _is_port(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value in range(256)


def _read_words(words: Any) -> tuple[str, ...]:
    listed = words if isinstance(words, list) else [] if words is None else [words]
    return tuple(_write_word(word)[:WORD_LIMIT] for word in listed[:MOST_WORDS])


def _write_word(word: Any) -> str:
    return word if isinstance(word, str) else orjson.dumps(word).decode()


def _read_time(microseconds: Any) -> float:
    return float(microseconds) if isinstance(microseconds, int | float) else 0.0


def _read_messages(result: Result) -> tuple[DecodedMessage, ...]:
    listed = result.get("messages")
    if listed is None:
        return (DecodedMessage(result.get("data")),)
    if not isinstance(listed, list) or len(listed) > MOST_MESSAGES:
        raise ValueError(f"messages has to be a list of at most {MOST_MESSAGES:,} objects.")
    return tuple(_read_message(f"messages[{at}]", told) for at, told in enumerate(listed))


def _read_message(place: str, told: Any) -> DecodedMessage:
    if not isinstance(told, dict) or "payload" not in told or not told.keys() <= MEMBERS:
        raise ValueError(
            f"{place} has to be an object with payload, and may have {', '.join(sorted(MEMBERS - {'payload'}))}."
        )
    return DecodedMessage(
        told["payload"],
        _read_name(place, told, "device"),
        _read_moment(place, told.get("time")),
        cast("Any", _read_choice(place, told, "kind", KINDS)),
        _read_name(place, told, "event_id"),
        cast("Any", _read_choice(place, told, "status", STATUSES)),
    )


def _read_name(place: str, told: Mapping[str, Any], member: str) -> str | None:
    value = told.get(member)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= NAME_LIMIT):
        raise ValueError(f"{place}.{member} has to be text of at most {NAME_LIMIT} characters.")
    return value


def _read_moment(place: str, value: Any) -> str | float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if value is None or is_number or (isinstance(value, str) and len(value) <= NAME_LIMIT):
        return cast("str | float | None", value)
    raise ValueError(f"{place}.time has to be ISO 8601 or unix time.")


def _read_choice(place: str, told: Mapping[str, Any], member: str, choices: tuple[str, ...]) -> str | None:
    value = told.get(member)
    if value is not None and value not in choices:
        raise ValueError(f"{place}.{member} has to be one of {', '.join(choices)}.")
    return cast("str | None", value)


def _read_downlinks(listed: Any) -> tuple[Downlink, ...]:
    told = listed if isinstance(listed, list) else []
    return tuple(
        Downlink(_read_body(one) or b"", None, one["topic"])
        for one in told
        if isinstance(one, dict) and isinstance(one.get("topic"), str)
    )
