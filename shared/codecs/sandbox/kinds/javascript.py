"""JavaScript in QuickJS: one context for one source, with limits, replaced after anything that may have spoilt it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import quickjs

from shared.codecs.limits import ENGINE_BYTES, ENGINE_SECONDS, ENGINE_STACK_BYTES
from shared.codecs.sandbox.program import Body, SourceError, StoppedError
from shared.codecs.sandbox.storable import check_text

FOLDER = Path(__file__).parents[1] / "javascript"
PARTS = ("locale.js", "text.js", "encodings.js", "buffer.js", "harden.js", "calls.js")
MOST_LINES = 20_000
"""Lines of a source; what stands below in a stack trace is our own."""

ENTRIES = (
    "decodeUplink",
    "Decoder",
    "Decode",
    "normalizeUplink",
    "encodeDownlink",
    "Encoder",
    "Encode",
    "encode",
)
_LOOK_UP = ", ".join(f"typeof {name} === 'function' ? {name} : undefined" for name in ENTRIES)
_LINK = f"(harness => harness('link', {_LOOK_UP}))"
_RENEW = "(function () {\n%s\n;return [" + _LOOK_UP + "]; })"
"""The source as the body of a function, so that it can run again: one line further down."""

_NO_CODE = re.compile(r"\A\ufeff?(?:#!.*)?")
_EXCERPT = 200
_PLACE = re.compile(r"<input>:(\d+):(\d+)")
_NO_ENTRY = (
    "it has none of the functions decodeUplink(input), Decoder(bytes, port), Decode(fPort, bytes), "
    "encodeDownlink(input), Encoder(data, port), Encode(fPort, data), encode(event)"
)


def _read_harness() -> str:
    parts = "\n".join((FOLDER / part).read_text(encoding="utf-8") for part in PARTS)
    return "\n" * MOST_LINES + f"(function () {{\n'use strict';\n{parts}\n}})()"


_HARNESS = _read_harness()
"""Read at once: later the process can open no file."""


class JavaScript:
    """A source that has run once, and whose functions are called. Not to be used again after StoppedError."""

    def __init__(self, source: str) -> None:
        self.state: dict[str, Any] = {}
        # Node and browsers read neither; the line stays, for what errors say of it.
        self._source = _NO_CODE.sub("", source)
        self._runs_again = True
        self._start()

    def describe(self) -> str:
        """The functions that the source has."""
        return f'{{"functions":{self.functions}}}'

    def decode(self, body: Body) -> str:
        """What decodeUplink, Decoder or Decode makes of a body."""
        content, f_port, topic, received_at = body
        return self._call("decode", str(list(content)), f_port, topic, received_at)

    def encode(self, data: str, f_port: int | None, name: str | None, topic: str | None) -> str:
        """What encodeDownlink, Encoder or Encode makes of data."""
        return self._call("encode", data, f_port, name, topic)

    def encode_event(self, event: str) -> str:
        """What encode makes of an event."""
        return self._call("encodeEvent", event)

    def _start(self) -> None:
        context = self._open()
        context.eval(f"{self._source}\n;void 0")
        self.functions: str = context.eval(_LINK)(self._harness)
        self._harness("lock")
        if self._runs_again and not self._renew(context):
            # It changes what the language brings and can't do so twice, or is too large: then it runs once.
            self._runs_again = False
            self._start()
            return
        self._calls = {name: self._harness(name) for name in ("decode", "encode", "encodeEvent")}
        self._is_spoilt, self._count = False, 0

    def _open(self) -> Any:
        self._context = context = quickjs.Context()
        context.set_memory_limit(ENGINE_BYTES)
        context.set_max_stack_size(ENGINE_STACK_BYTES)
        context.set_time_limit(ENGINE_SECONDS)
        self._harness = context.eval(_HARNESS)
        return context

    def _renew(self, context: Any) -> bool:
        try:
            return bool(self._harness("renew", context.eval(_RENEW % self._source)))
        except (quickjs.JSException, UnicodeDecodeError):
            return False

    def _call(self, name: str, *values: Any) -> str:
        if self._is_spoilt:
            self._start()
        is_fresh = not self._count
        try:
            text = self._call_once(name, values)
        except StoppedError as stopped:
            if is_fresh or not _is_out_of_memory(str(stopped)):
                raise
        else:
            if is_fresh or not (self._is_spoilt and _is_out_of_memory(text)):
                return text
        # What earlier bodies have left behind is not this one's: it gets a context of its own.
        self._start()
        return self._call_once(name, values)

    def _call_once(self, name: str, values: tuple[Any, ...]) -> str:
        try:
            text = self._calls[name](*values)
            self._is_spoilt = text is None
            checked = check_text(str(self._harness("take") if text is None else text))
        except quickjs.JSException as error:
            # Only what the codec can't catch comes here: it was interrupted, or no memory is left even to say so.
            raise StoppedError(_explain(error)) from None
        except UnicodeDecodeError:
            raise StoppedError("The codec ended with an error that is no text.") from None
        self._count += 1
        return checked


def compile_javascript(_kind: str, source: str) -> JavaScript:
    """Run the source once. Errors: SourceError, with line and column where the engine names them."""
    if source.count("\n") >= MOST_LINES:
        raise SourceError(f"it has more than {MOST_LINES:,} lines")
    try:
        program = JavaScript(source)
    except quickjs.JSException as error:
        raise _refuse(error) from None
    except UnicodeDecodeError:
        raise SourceError("it threw an error that is no text") from None
    if program.functions == "[]":
        raise SourceError(_NO_ENTRY)
    return program


def _refuse(error: Exception) -> SourceError:
    place = next((found for found in _PLACE.finditer(str(error)) if int(found[1]) <= MOST_LINES), None)
    return SourceError(_explain(error), *map(int, place.groups()) if place else ())


def _explain(error: Exception) -> str:
    reason = str(error).partition("\n")[0][:500]
    if reason == "InternalError: interrupted":
        return f"The codec did not end within {ENGINE_SECONDS:g} s of CPU time; it was stopped."
    return f"The codec used up its memory: {reason}" if _is_out_of_memory(reason) else reason


def _is_out_of_memory(text: str) -> bool:
    return "out of memory" in text[:_EXCERPT] or "threw null" in text[:_EXCERPT]
