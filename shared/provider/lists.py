"""Lists in a config, which may come as one text."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Annotated

from pydantic import BeforeValidator


def _split_list(value: object) -> object:
    """A text as the list it means: with commas or line breaks between, or a JSON array."""
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] == "[":
        with suppress(json.JSONDecodeError, RecursionError):
            return json.loads(value)
    return [part.strip() for part in re.split(r"[,\n]", value) if part.strip()]


CommaSeparated = Annotated[
    tuple[str, ...], BeforeValidator(_split_list, json_schema_input_type=tuple[str, ...] | str)
]
