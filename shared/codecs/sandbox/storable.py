"""Making results storable: what Postgres can't hold is replaced, with a warning, or refused, with the reason."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from shared.codecs.limits import DEPTH_LIMIT, RESULT_LIMIT, VALUE_LIMIT
from shared.codecs.sandbox.program import CodecError, write_errors, write_json

REPLACED = "Characters that can't be stored (NUL, halves of surrogate pairs) were replaced by U+FFFD."
NOT_JSON = "Numbers that JSON has not (NaN, infinities) became null."
SAME_NAME = "Members have the same name once it is text; the last one counts."

_WHOLE_NUMBERS = range(-(2**63), 2**64)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Storable:
    """Turns a document into JSON that can be stored. `remarks` tells what had to be changed for that."""

    def __init__(self) -> None:
        self.remarks: set[str] = set()
        self._left = VALUE_LIMIT

    def make(self, value: Any, depth: int = 0) -> Any:
        """`value` as JSON has it: bytes as base64, numbers that JSON has not as text or null, names as text.

        Errors: CodecError where it is nested too deep, has too many values, or holds what can't be told in JSON.
        """
        self._left -= 1
        if self._left < 0:
            raise CodecError(f"The result holds more than {VALUE_LIMIT:,} values.")
        if isinstance(value, str):
            return self._make_text(value)
        if isinstance(value, Mapping | list | tuple):
            return self._make_container(value, depth + 1)
        if isinstance(value, float) and not math.isfinite(value):
            self.remarks.add(NOT_JSON)
            return None
        return _make_plain(value)

    def _make_container(self, value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> Any:
        if depth > DEPTH_LIMIT:
            raise CodecError(f"The result is nested deeper than {DEPTH_LIMIT} levels.")
        if isinstance(value, Mapping):
            made = {self._make_name(name): self.make(inner, depth) for name, inner in value.items()}
            if len(made) < len(value):
                self.remarks.add(SAME_NAME)
            return made
        return [self.make(inner, depth) for inner in value]

    def _make_name(self, name: Any) -> str:
        # A list or an object as a name is refused: written as text within text, it grows with every level.
        if isinstance(name, Mapping | list | tuple | set | frozenset):
            raise CodecError("The name of a member is a list or an object; JSON has only text.")
        plain = self.make(name)
        return plain if isinstance(plain, str) else write_json(plain)

    def _make_text(self, text: str) -> str:
        if not _UNSTORABLE.search(text):
            return text
        self.remarks.add(REPLACED)
        return _UNSTORABLE.sub("\ufffd", text)


def _make_plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value in _WHOLE_NUMBERS else str(value)
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    raise CodecError(f"The result holds a {type(value).__name__}, which JSON has not.")


def write_storable(result: Mapping[str, Any]) -> str:
    """The text of a result, made storable. Errors: CodecError."""
    storable = Storable()
    made = storable.make(result)
    if storable.remarks:
        made["warnings"] = [*made.get("warnings", ()), *sorted(storable.remarks)]
    text = write_json(made)
    if len(text) > RESULT_LIMIT:
        raise CodecError(f"The result has {len(text):,} characters; at most {RESULT_LIMIT:,} are kept.")
    return text


def check_text(text: str) -> str:
    """JSON text of a result from elsewhere, itself where nothing is wrong with it: a cheap look first."""
    if not text.startswith("{"):
        return write_errors("The codec has changed how results are written as JSON.")
    if "\\u" not in text and text.count("{") + text.count("[") <= DEPTH_LIMIT and len(text) <= RESULT_LIMIT:
        return text
    try:
        return write_storable(json.loads(text, parse_int=_read_number))
    except RecursionError:
        return write_errors(f"The result is nested deeper than {DEPTH_LIMIT} levels.")


def _read_number(digits: str) -> float:
    # JavaScript writes its large numbers as digits, though they are no whole numbers of so many.
    number = int(digits)
    return number if number in _WHOLE_NUMBERS else float(digits)
