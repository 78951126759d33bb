"""Payload templates: JSON in, JSON out by construction.

A template is any JSON value. A string in it may hold placeholders, `{{ path }}`:

- alone in its string it becomes the value with its type, null where the path leads nowhere;
- among other text it becomes text: strings as they are, the rest as JSON, the empty string for null and nowhere;
- `\\{{` is a literal `{{`.

A path is names joined by full stops (`payload.items.0.temp`, `payload."battery level"`); what it may begin with is
in `CONTEXT`. A template is compiled once into pieces of JSON with slots between them, so rendering neither copies
values nor can it break out of a string, and it stops at `OUTPUT_LIMIT` however often a large payload is named.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.runtime.errors import TooLarge

TEMPLATE_LIMIT = 65_536
"""Bytes of a template, written as JSON."""

DEPTH_LIMIT, PLACEHOLDER_LIMIT = 20, 500
PATH_LIMIT = 256
"""Characters of one path."""

OUTPUT_LIMIT = 262_144
"""Bytes of what is rendered."""

Context = Mapping[str, frozenset[str] | None]
"""What a path may begin with, and the names that may follow; None for any. `CONTEXT` is that of events."""

CONTEXT: Context = {
    "event": frozenset({"id", "type", "kind", "at", "topic"}),
    "device": frozenset({"id", "external_id", "name"}),
    "integration": frozenset({"id", "name", "type"}),
    "organization_id": frozenset(),
    "payload": None,
}

_NAME = r'(?:[\w-]+|"[^"{}]+")'
_TOKEN = re.compile(r"\\\{\{|\{\{(?:\s*(" + _NAME + r"(?:\." + _NAME + r")*)\s*\}\})?")
_SEGMENT, _INDEX = re.compile(_NAME), re.compile(r"0|[1-9][0-9]{0,8}")
_LIKE_JSON = re.compile(r"""\s*(?:\{(?!\{)|\[\s*(?:["'\[\]]|\{(?!\{)))""")
_NOWHERE = object()


@dataclass(frozen=True, slots=True)
class Slot:
    """A placeholder: the path to its value, and whether it stands among other text of a string."""

    path: tuple[str, ...]
    embedded: bool


Template = tuple[bytes | Slot, ...]
"""A compiled template: JSON as it is, with slots between."""


def compile_template(template: Any, context: Context = CONTEXT) -> Template:
    """`template` ready to render. ValueError says what is wrong and where, as a JSON pointer; it repeats no value."""
    pieces: list[bytes | Slot] = []
    size = count = 0
    for piece in _compile_value(template, "", context):
        size += len(piece) if isinstance(piece, bytes) else sum(map(len, piece.path))
        count += isinstance(piece, Slot)
        if size > TEMPLATE_LIMIT or count > PLACEHOLDER_LIMIT:
            raise ValueError(
                f"a template has at most {TEMPLATE_LIMIT} bytes and {PLACEHOLDER_LIMIT} placeholders"
            )
        pieces.append(piece)
    return _join_pieces(pieces)


def render_template(template: Template, context: Mapping[str, object]) -> bytes:
    """The JSON document of a compiled template, UTF-8. TooLarge over `OUTPUT_LIMIT` bytes or for endless nesting."""
    rendered: list[bytes] = []
    size = 0
    for piece in template:
        part = piece if isinstance(piece, bytes) else _render_slot(piece, context)
        size += len(part)
        if size > OUTPUT_LIMIT:
            raise TooLarge(
                f"The payload template renders to more than {OUTPUT_LIMIT} bytes; name less of the payload."
            )
        rendered.append(part)
    return b"".join(rendered)


def list_payload_paths(template: Template) -> tuple[tuple[str, ...], ...]:
    """The paths into the payload, each once: whether they lead anywhere is for what devices send to say."""
    paths = (piece.path for piece in template if isinstance(piece, Slot))
    return tuple(dict.fromkeys(path for path in paths if path[0] == "payload" and path[1:]))


def find_gaps(paths: tuple[tuple[str, ...], ...], payload: object) -> list[str]:
    """Those of `paths` that lead nowhere in `payload`, as they are written."""
    return [".".join(path) for path in paths if _follow_path(path[1:], payload) is _NOWHERE]


def check_text(template: object) -> None:
    """ValueError where it is an object or a list in a string, or was meant to be one: nobody wants to send that."""
    if not isinstance(template, str) or not _LIKE_JSON.match(template):
        return
    try:
        orjson.loads(template)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"this is no JSON: {error.msg}, line {error.lineno}, column {error.colno}") from None
    raise ValueError("this is JSON inside a string; give the object itself, without the quotes around it")


def dump_json(value: Any) -> bytes:
    """`value` as compact JSON, UTF-8; TooLarge where it is nested too deeply to be written."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # orjson stops at 64-bit integers and 254 levels; JSON and Postgres do not.
        return _dump_slowly(value)


def _dump_slowly(value: Any) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise TooLarge("The payload is nested too deeply to be written as JSON.") from None


def _compile_value(value: Any, pointer: str, context: Context) -> Iterator[bytes | Slot]:
    if pointer.count("/") > DEPTH_LIMIT:
        raise ValueError(f"{_name_place(pointer)}: a template is nested at most {DEPTH_LIMIT} levels deep")
    if isinstance(value, str):
        yield from _compile_text(value, pointer, context)
    elif isinstance(value, Mapping):
        yield from _compile_object(value, pointer, context)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield b"," if index else b"["
            yield from _compile_value(item, f"{pointer}/{index}", context)
        yield b"]" if value else b"[]"
    else:
        yield _compile_scalar(value, pointer)


def _compile_object(value: Mapping[Any, Any], pointer: str, context: Context) -> Iterator[bytes | Slot]:
    separator = b"{"
    for name, item in value.items():
        if not isinstance(name, str) or "{{" in name:
            raise ValueError(
                f"{_name_place(pointer)}: the names in an object are fixed text; placeholders go into values"
            )
        yield separator + _dump_constant(name, pointer) + b":"
        inner = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')[:100]}"
        yield from _compile_value(item, inner, context)
        separator = b","
    yield b"}" if value else b"{}"


def _compile_text(text: str, pointer: str, context: Context) -> Iterator[bytes | Slot]:
    found = list(_TOKEN.finditer(text))
    paths = [_parse_path(token, pointer, context) if token[0] != r"\{{" else None for token in found]
    if len(found) == 1 and paths[0] and found[0].span() == (0, len(text)):
        yield Slot(paths[0], embedded=False)
        return
    yield b'"'
    end = 0
    for token, path in zip(found, paths, strict=True):
        yield _dump_constant(text[end : token.start()], pointer)[1:-1]
        yield Slot(path, embedded=True) if path else b"{{"
        end = token.end()
    yield _dump_constant(text[end:], pointer)[1:-1]
    yield b'"'


def _compile_scalar(value: Any, pointer: str) -> bytes:
    if value is not None and not isinstance(value, bool | int | float):
        raise ValueError(f"{_name_place(pointer)}: expected JSON")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_name_place(pointer)}: JSON has no infinite numbers and no NaN")
    return _dump_constant(value, pointer)


def _dump_constant(value: Any, pointer: str) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        raise ValueError(
            f"{_name_place(pointer)}: a character or an integer over 64 bits that can't be sent as JSON"
        ) from None


def _parse_path(token: re.Match[str], pointer: str, context: Context) -> tuple[str, ...]:
    place = _name_place(pointer)
    if token[1] is None:
        raise ValueError(
            f"{place}: a placeholder is names joined by full stops between {{{{ and }}}}, "
            r"such as {{ payload.items.0.temp }}; write \{{ for the characters themselves"
        )
    path = tuple(segment.strip('"') for segment in _SEGMENT.findall(token[1]))
    if len(token[1]) > PATH_LIMIT:
        raise ValueError(f"{place}: a path has at most {PATH_LIMIT} characters")
    if path[0] not in context:
        raise ValueError(f"{place}: a path begins with one of {', '.join(context)}")
    allowed = context[path[0]]
    if allowed is not None and (len(path) > 2 or not allowed.issuperset(path[1:])):  # noqa: PLR2004 - root and one name
        raise ValueError(f"{place}: {path[0]} has {', '.join(sorted(allowed)) or 'no parts'}")
    return path


def _render_slot(slot: Slot, context: Mapping[str, object]) -> bytes:
    found = _follow_path(slot.path, context)
    value = None if found is _NOWHERE else found
    if not slot.embedded:
        return dump_json(value)
    if value is None:
        return b""
    return dump_json(value if isinstance(value, str) else dump_json(value).decode())[1:-1]


def _follow_path(path: tuple[str, ...], value: object) -> object:
    for name in path:
        if isinstance(value, dict):
            value = value.get(name, _NOWHERE)
        elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return _NOWHERE
    return value


def _join_pieces(pieces: list[bytes | Slot]) -> Template:
    joined: list[bytes | Slot] = []
    constants: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            constants.append(piece)
        else:
            joined += [b"".join(constants), piece]
            constants = []
    return (*joined, b"".join(constants))


def _name_place(pointer: str) -> str:
    return f"at {pointer or 'the top'}"
