"""JMESPath mappings, with three functions more: `topic()`, `topic_level(n)` and `f_port()`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import jmespath
from jmespath import exceptions, functions

from shared.codecs.sandbox.program import Body, CodecError, SourceError

LIMIT = 10_000
"""Characters of an expression."""

REASON_LIMIT = 300
NO_BODY = Body(b"", None, None, None)


class _Functions(functions.Functions):  # type: ignore[misc]  # published without types
    """Those of JMESPath, and what the transport says of the body."""

    def __init__(self, body: Body) -> None:
        self._body = body

    @functions.signature()  # type: ignore[untyped-decorator]
    def _func_topic(self) -> str | None:
        return self._body.topic

    @functions.signature({"types": ["number"]})  # type: ignore[untyped-decorator]
    def _func_topic_level(self, level: float) -> str | None:
        levels = (self._body.topic or "").split("/")
        return levels[int(level)] if -len(levels) <= level < len(levels) else None

    @functions.signature()  # type: ignore[untyped-decorator]
    def _func_f_port(self) -> int | None:
        return self._body.f_port


class Mapping:
    """A compiled expression. Errors: SourceError, with line and column."""

    def __init__(self, expression: str) -> None:
        if len(expression) > LIMIT:
            raise SourceError(f"a mapping has at most {LIMIT:,} characters")
        self._compiled = _compile(expression)
        unknown = sorted(
            set(_list_functions(self._compiled.parsed)) - set(functions.Functions.FUNCTION_TABLE) - _OWN
        )
        if unknown:
            raise SourceError(f"there is no function {unknown[0]}()")

    def apply(self, document: Any, body: Body = NO_BODY) -> Any:
        """What the expression makes of `document`. Errors: CodecError."""
        try:
            return self._compiled.search(document, jmespath.Options(custom_functions=_Functions(body)))
        except exceptions.JMESPathError as error:
            raise CodecError(f"The mapping failed: {str(error)[:REASON_LIMIT]}") from None


_OWN = {"topic", "topic_level", "f_port"}


def _compile(expression: str) -> Any:
    try:
        return jmespath.compile(expression)
    except exceptions.JMESPathError as error:
        at = getattr(error, "lex_position", getattr(error, "lexer_position", None))
        reason = str(error).partition("\n")[0][:REASON_LIMIT]
        raise SourceError(reason, *_find_place(expression, at)) from None
    except RecursionError:
        raise SourceError("the mapping is nested too deep") from None


def _find_place(text: str, at: Any) -> tuple[int, int] | tuple[()]:
    if not isinstance(at, int):
        return ()
    before = text[: max(0, at)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _list_functions(node: Any) -> Iterator[str]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, dict) and current.get("type") == "function_expression":
            yield cast("str", current["value"])
        if isinstance(current, dict):
            waiting += current.get("children", ())
