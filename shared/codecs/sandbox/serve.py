"""The loop of a child: one request after another, each answered in one or more frames until the last."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.codecs.frames import PipeBrokenError, read_frame, write_frame
from shared.codecs.limits import ALARM_SECONDS, BATCH_RESULT_LIMIT, PROGRAMS
from shared.codecs.recent import Recent
from shared.codecs.sandbox.confine import measure_peak
from shared.codecs.sandbox.program import (
    Body,
    CodecError,
    Program,
    SourceError,
    StoppedError,
    write_errors,
    write_json,
)

FLUSH_SECONDS = 0.02
FLUSH_SIZE = 1024 * 1024
"""What is sent at once: results for so long, or of so many characters."""

STDIN, STDOUT = 0, 1

TOO_MUCH = write_errors(
    f"The results of this batch are over {BATCH_RESULT_LIMIT:,} characters; decode fewer at a time."
)

Compile = Callable[[str, str], Program]
Call = Callable[[list[Any]], str]


class Server:
    """Answers requests. Programs are kept by their key; a source is sent with the first request that needs it."""

    def __init__(self, compile_source: Compile) -> None:
        self._compile = compile_source
        self._sources: Recent[tuple[str, str]] = Recent(PROGRAMS)
        self._programs: Recent[Program] = Recent(PROGRAMS)

    def serve(self) -> None:
        """Until the parent closes the pipe. Should the parent be gone, the alarm ends what hangs."""
        try:
            while True:
                request = json.loads(read_frame(STDIN))
                signal.setitimer(signal.ITIMER_REAL, ALARM_SECONDS)
                for answer in self.answer(request):
                    write_frame(STDOUT, answer)
                signal.setitimer(signal.ITIMER_REAL, 0)
        except PipeBrokenError:
            return

    def answer(self, request: Mapping[str, Any]) -> Iterator[bytes]:
        """The frames that answer one request."""
        key = request["key"]
        if "source" in request:
            self._sources.put(key, (request["kind"], request["source"]))
        try:
            yield from self._work(key, request)
        except SourceError as refused:
            told = {"reason": refused.reason, "line": refused.line, "column": refused.column}
            yield _write_answer([], refused=told, done=True)

    def _work(self, key: str, request: Mapping[str, Any]) -> Iterator[bytes]:
        self._sources.take(key)
        state: dict[str, Any] = request["state"]
        operation, careful = request["operation"], request["careful"]
        size, flushed, results = 0, 0, list[str]()
        stops, call = request["stops"], None
        flush_at = time.perf_counter() + FLUSH_SECONDS
        ends_at = time.perf_counter() + request["seconds"]
        for item in request["items"]:
            call = call or _choose_call(self._load(key, state), operation)
            begun = time.perf_counter()
            text, is_stopped = _try(call, item)
            ended = time.perf_counter()
            size += len(text)
            results.append(_add_time(text if size <= BATCH_RESULT_LIMIT else TOO_MUCH, ended - begun))
            if is_stopped:
                self._programs.drop(key)
                stops, call = stops - 1, None
            if not stops or ended > ends_at:
                break
            if careful or ended > flush_at or size - flushed > FLUSH_SIZE:
                yield _write_answer(results, **({"state": state} if careful else {}))
                results, flushed, flush_at = [], size, time.perf_counter() + FLUSH_SECONDS
        yield _write_answer(results, state=state, done=True)

    def _load(self, key: str, state: dict[str, Any]) -> Program:
        if key not in self._programs:
            self._programs.put(key, self._compile_safely(*self._sources.take(key)))
        program = self._programs.take(key)
        program.state = state
        return program

    def _compile_safely(self, kind: str, source: str) -> Program:
        try:
            return self._compile(kind, source)
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - as with bodies
            raise SourceError(f"{type(error).__name__}: {error}"[:500]) from None


def _choose_call(program: Program, operation: str) -> Call:
    if operation == "decode":
        return lambda item: program.decode(Body(bytes.fromhex(item[0]), *item[1:]))
    if operation == "encode":
        return lambda item: program.encode(*item)
    return lambda item: program.encode_event(*item) if operation == "encode_event" else program.describe()


def _try(call: Call, item: list[Any]) -> tuple[str, bool]:
    """The result's text, and whether the work had to be stopped."""
    try:
        return call(item), False
    except CodecError as failed:
        return write_errors(str(failed)), False
    except StoppedError as stopped:
        return write_errors(str(stopped), stopped=True), True
    except (MemoryError, RecursionError) as error:
        return write_errors(f"The codec used up its memory ({type(error).__name__}).", stopped=True), True
    except Exception as error:  # noqa: BLE001 - whatever a body does to a decoder, it is an answer and not an end
        return write_errors(f"{type(error).__name__}: {error}"[:500].encode(errors="replace").decode()), False


def _add_time(text: str, seconds: float) -> str:
    separator = "" if text == "{}" else ","
    return f'{{"us":{int(seconds * 1_000_000)}{separator}{text[1:]}'


def _write_answer(results: list[str], **more: Any) -> bytes:
    rest = write_json({**more, "peak": measure_peak()})
    return f'{{"results":[{",".join(results)}],{rest[1:]}'.encode()
