"""Trying a source: on bodies that somebody sends, and on the fixtures that are saved with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

from shared.codecs.codec import Codec
from shared.codecs.contract import CodecFailed, Decoded, Downlink, Encoded, SourceRefused
from shared.integrations.codecs.bodies import (
    CodecTrial,
    EncodedCommand,
    EncodedEvent,
    ExampleBody,
    Fixture,
    ShownMessage,
    TrialResult,
    TrialResults,
)
from shared.provider import encode_raw
from shared.runtime.errors import FieldError, InvalidConfig
from shared.runtime.exact_json import write_json

Given = TypeVar("Given")
Made = TypeVar("Made", Downlink, Encoded)

SHOWN = 300
"""Characters of what a fixture became."""


def try_bodies(codec: Codec, bodies: Sequence[ExampleBody]) -> list[TrialResult]:
    """What each body becomes; what can't be decoded says why. Errors: Unavailable."""
    return [_show_result(decoded) for decoded in codec.decode([body.describe() for body in bodies])]


def try_all(codec: Codec, asked: CodecTrial) -> TrialResults:
    """All that is asked for. Errors: Unavailable."""
    results: TrialResults = {"results": try_bodies(codec, asked.bodies)}
    if asked.commands:
        made = _try_encoding(codec.encode_all, [command.describe() for command in asked.commands])
        results["commands"] = [_show_downlink(each) for each in made]
    if asked.events:
        results["events"] = [_show_encoded(each) for each in _try_encoding(codec.encode_events, asked.events)]
    return results


def _try_encoding(
    encode: Callable[[Sequence[Given]], list[Made | CodecFailed]], given: Sequence[Given]
) -> list[Made | CodecFailed]:
    try:
        return encode(given)
    except SourceRefused as refused:
        return [CodecFailed(refused.detail)] * len(given)


def check_source(codec: Codec, fixtures: Sequence[Fixture], *, force: bool) -> None:
    """SourceRefused where it does not compile; InvalidConfig for each fixture that breaks, unless `force`."""
    codec.check()
    if force or not fixtures:
        return
    results = try_bodies(codec, fixtures)
    broken = [
        FieldError(f"fixtures.{number}", words)
        for number, (fixture, result) in enumerate(zip(fixtures, results, strict=True))
        if (words := _find_break(fixture, result))
    ]
    if broken:
        raise InvalidConfig(
            "The source breaks fixtures; mend it, change them, or send force: true.", errors=broken
        )


def _find_break(fixture: Fixture, result: TrialResult) -> str | None:
    """Why the fixture is broken, None where it is not."""
    if not result["ok"]:
        return f"It is not decoded: {'; '.join(result['errors'])}"[: SHOWN * 2]
    if "data" in fixture.model_fields_set and not _equals(fixture.data, result["data"]):
        return f"Its data is now {_show(result['data'])}"
    if fixture.messages is not None and not _matches(fixture.messages, result["messages"]):
        return f"Its messages are now {_show(result['messages'])}"
    return None


def _matches(wanted: Sequence[dict[str, Any]], made: Sequence[ShownMessage]) -> bool:
    """Whether there are as many, and each has what is wanted of it."""
    return len(wanted) == len(made) and all(
        _equals(value, one.get(name))
        for each, one in zip(wanted, made, strict=True)
        for name, value in each.items()
    )


def _equals(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same; 1 is 1.0, and not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equals(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equals, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _show(value: object) -> str:
    text = write_json(value).decode()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _show_result(decoded: Decoded) -> TrialResult:
    return {
        "ok": decoded.ok,
        "data": decoded.data,
        "messages": list(_show_messages(decoded)),
        "warnings": list(decoded.warnings),
        "errors": list(decoded.errors),
        "us": round(decoded.microseconds, 1),
    }


def _show_downlink(made: Downlink | CodecFailed) -> EncodedCommand:
    if isinstance(made, CodecFailed):
        return {"ok": False, "hex": "", "f_port": None, "warnings": [], "errors": [made.detail]}
    return {
        "ok": True,
        "hex": made.body.hex(),
        "f_port": made.f_port,
        "warnings": list(made.warnings),
        "errors": [],
    }


def _show_encoded(made: Encoded | CodecFailed) -> EncodedEvent:
    if isinstance(made, CodecFailed):
        return {"ok": False, "hex": "", "text": None, "content_type": "", "errors": [made.detail]}
    text, encoding = encode_raw(made.body)
    return {
        "ok": True,
        "hex": made.body.hex(),
        "text": None if encoding else text,
        "content_type": made.content_type,
        "errors": [],
    }


def _show_messages(decoded: Decoded) -> Iterator[ShownMessage]:
    for message in decoded.messages:
        told = {name: value for name, value in message._asdict().items() if value is not None}
        yield cast("ShownMessage", {"payload": None, **told})
