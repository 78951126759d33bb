"""A codec: one organization's source of one kind, ready to decode and to encode."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from shared.codecs.answers import read_decoded, read_downlink, read_encoded
from shared.codecs.contract import (
    BODY_LIMIT,
    KINDS,
    SOURCE_LIMIT,
    CodecFailed,
    Decoded,
    Downlink,
    Encoded,
    SourceRefused,
    ToEncode,
    Uplink,
)
from shared.codecs.run import Item, Operation, Program, Result, Run
from shared.runtime.portable import replace_nul

_SURROGATE = re.compile("[\ud800-\udfff]")


class Codec:
    """Decodes and encodes for one organization. Not for sharing between threads; making one costs nothing.

    The source is JavaScript, a JMESPath expression or what its kind takes (docs/codecs.md), and may be empty for
    formats that need none. `state` is what the codec remembers from one body to the next (Sparkplug's births), as JSON:
    keep it with what was decoded, and give it back.

    Errors of every call but `decode`: SourceRefused; of every call: Unavailable where no child process gets free.
    """

    def __init__(
        self, organization_id: str, kind: str, source: str, state: Mapping[str, Any] | None = None
    ) -> None:
        self.state: dict[str, Any] = dict(state or {})
        self._program = Program(organization_id, kind, source)

    @property
    def kind(self) -> str:
        """How its source is read."""
        return self._program.kind

    def check(self) -> list[str]:
        """Compile the source; the names of the functions it has, where its kind has any."""
        result = self._run("check", [Item([], 0)])[0]
        errors = result.get("errors")
        if errors:
            raise SourceRefused(str(errors[0]))
        functions = result.get("functions")
        return [str(name) for name in functions] if isinstance(functions, list) else []

    def decode(self, uplinks: Sequence[Uplink]) -> list[Decoded]:
        """What each body says, in order. No body raises: what can't be decoded says why in `errors`.

        Takes ten seconds at most for each 500 bodies: whatever hangs is stopped, and after three of them the rest is
        not tried.
        """
        fitting = [uplink for uplink in uplinks if len(uplink.body) <= BODY_LIMIT]
        try:
            results = iter(
                self._run("decode", [_describe_uplink(uplink) for uplink in fitting]) if fitting else []
            )
        except SourceRefused as refused:
            return [Decoded(errors=(refused.detail,))] * len(uplinks)
        return [
            read_decoded(next(results)) if len(uplink.body) <= BODY_LIMIT else _refuse(uplink)
            for uplink in uplinks
        ]

    def encode(
        self, data: Any, f_port: int | None = None, *, name: str | None = None, topic: str | None = None
    ) -> Downlink:
        """The body that tells a device `data`, which is JSON. Errors: CodecFailed, EncoderAbsent among them."""
        (made,) = self.encode_all([ToEncode(data, f_port, name, topic)])
        if isinstance(made, CodecFailed):
            raise made
        return made

    def encode_all(self, commands: Sequence[ToEncode]) -> list[Downlink | CodecFailed]:
        """The body for each command; or why there is none."""
        described = [
            _try_describe(one.data, one.f_port, _clean(one.name), _clean(one.topic)) for one in commands
        ]
        made = self._run_fitting("encode", described)
        ports = (one.f_port for one in commands)
        return [
            each if isinstance(each, CodecFailed) else read_downlink(each, port)
            for each, port in zip(made, ports, strict=True)
        ]

    def encode_events(self, events: Sequence[Mapping[str, Any]]) -> list[Encoded | CodecFailed]:
        """The body for each event, which is JSON; or why there is none."""
        made = self._run_fitting("encode_event", [_try_describe(event) for event in events])
        return [each if isinstance(each, CodecFailed) else read_encoded(each) for each in made]

    def _run_fitting(
        self, operation: Operation, described: Sequence[Item | CodecFailed]
    ) -> list[Result | CodecFailed]:
        """The results of those that can be sent; the others are why they can't."""
        fitting = [each for each in described if isinstance(each, Item)]
        results = iter(self._run(operation, fitting) if fitting else [])
        return [next(results) if isinstance(each, Item) else each for each in described]

    def _run(self, operation: Operation, items: Sequence[Item]) -> list[Result]:
        _check_source(self._program)
        run = Run(self._program, operation, self.state)
        results = run.work(items)
        self.state = run.state
        return results


def _check_source(program: Program) -> None:
    if program.kind not in KINDS:
        raise SourceRefused(f"there is no kind {program.kind[:100]!r}; known are {', '.join(KINDS)}")
    if "\0" in program.source:
        at = program.source.index("\0")
        line = program.source.count("\n", 0, at) + 1
        raise SourceRefused("it holds the character NUL", line, at - program.source.rfind("\n", 0, at))
    if _SURROGATE.search(program.source):
        raise SourceRefused("it holds half of a surrogate pair, which is no text")
    if len(program.source.encode()) > SOURCE_LIMIT:
        raise SourceRefused(f"it has more than {SOURCE_LIMIT:,} bytes")


def _describe_uplink(uplink: Uplink) -> Item:
    more = [uplink.f_port, _clean(uplink.topic), _clean(uplink.received_at)]
    return Item([uplink.body.hex(), *more], len(uplink.body) * 2)


def _describe_data(data: Any, *more: Any) -> Item:
    try:
        text = orjson.dumps(data).decode()
    except TypeError as error:
        raise CodecFailed(f"This can't be told as JSON: {error}.") from None
    if len(text) > BODY_LIMIT:
        raise CodecFailed(f"This has {len(text):,} bytes as JSON; a codec is given at most {BODY_LIMIT:,}.")
    return Item([text, *more], len(text))


def _try_describe(data: Any, *more: Any) -> Item | CodecFailed:
    try:
        return _describe_data(data, *more)
    except CodecFailed as failed:
        return failed


def _clean(text: str | None) -> str | None:
    return text and replace_nul(_SURROGATE.sub("\ufffd", text))


def _refuse(uplink: Uplink) -> Decoded:
    size = len(uplink.body)
    return Decoded(errors=(f"The body has {size:,} bytes; a codec is given at most {BODY_LIMIT:,}.",))
