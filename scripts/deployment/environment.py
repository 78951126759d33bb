"""The environment file: NAME=value lines, read as they are meant, checked before anything is run.

A value in single quotes is taken as it is, one in double quotes with the escapes \\" \\\\ \\$ and \\n, one without
quotes to the end of its line: `it's #1` needs none. Errors name the line or the variable, never a value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shared.runtime.settings import Settings, list_missing, list_variables, read_settings
from shared.runtime.vault.ring import Vault

NAMES = frozenset(variable.name for variable in list_variables())
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_SINGLE = re.compile(r"'([^']*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")


class EnvironmentFileError(Exception):
    """The file can't be used; the message says what to change."""


def read_environment(file: Path) -> dict[str, str]:
    """The variables in `file`, each known to the functions."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EnvironmentFileError(
            f"{file} can't be read ({error.strerror}); docs/deploy.md says what it holds."
        ) from None
    environment: dict[str, str] = {}
    for number, name, value in _read_lines(lines, file):
        if name in environment:
            raise EnvironmentFileError(f"Line {number} of {file} sets {name} a second time.")
        if name not in NAMES:
            raise EnvironmentFileError(f"Line {number} of {file} sets {name}, {_suggest(name)}")
        environment[name] = value
    return environment


def check_environment(environment: Mapping[str, str], functions: Sequence[str], file: Path) -> Settings:
    """The settings that `functions` would run with; refused where one of them could not start."""
    try:
        settings = read_settings(environment)
        if settings.integration_keys:
            Vault.from_text(settings.integration_keys)
    except RuntimeError as error:
        raise EnvironmentFileError(f"{file}: {error}") from None
    missing = dict.fromkeys(name for function in functions for name in list_missing(function, settings))
    if missing:
        raise EnvironmentFileError(
            f"{file} does not set {', '.join(missing)}; docs/deploy.md says what they hold."
        )
    return settings


def _read_lines(lines: Sequence[str], file: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            found = _LINE.fullmatch(text)
            if found is None:
                raise EnvironmentFileError(f"Line {number} of {file} is not NAME=value.")
            yield number, found[1], _read_value(found[2], number, file)


def _read_value(text: str, number: int, file: Path) -> str:
    if text[:1] not in {"'", '"'}:
        return text
    quoted = (_SINGLE if text[0] == "'" else _DOUBLE).match(text)
    rest = text[quoted.end() :].strip() if quoted else ""
    if quoted is None or (rest and not rest.startswith("#")):
        raise EnvironmentFileError(
            f"Line {number} of {file} begins with {text[0]} and does not end with it: leave out the quotes, "
            "or put the whole value in quotes of the other kind."
        )
    return quoted[1] if text[0] == "'" else _ESCAPE.sub(_unescape, quoted[1])


def _unescape(escape: re.Match[str]) -> str:
    return {"n": "\n"}.get(escape[1], escape[1] if escape[1] in '"\\$' else escape[0])


def _suggest(name: str) -> str:
    close = difflib.get_close_matches(name, NAMES, n=1)
    meant = f"did you mean {close[0]}?" if close else "docs/deploy.md lists those there are."
    return f"which no function reads: {meant}"
