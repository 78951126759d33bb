"""Requests: JSON with placeholders as a message of the method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.provider import CommandRefused, Template, read_json, render_template
from shared.providers.grpc.descriptors import Method

READ_ROOTS: Mapping[str, frozenset[str] | None] = {"cursor": None, "page": frozenset()}
TELL_ROOTS: Mapping[str, frozenset[str] | None] = {
    **dict.fromkeys(("id", "device", "name"), frozenset()),
    "payload": None,
}
"""What a placeholder may begin with, as `compile_template` takes it."""

MOST_NAMES = 20


def make_request(method: Method, template: Template | None, values: Mapping[str, Any]) -> bytes:
    """The request of a call; ValueError, in words, where it is no message of the method's."""
    from google.protobuf import json_format

    if template is None:
        return b""
    document = read_json(render_template(template, values))
    try:
        message = json_format.ParseDict(document, method.request(), max_recursion_depth=50)
        return bytes(message.SerializeToString())
    except (json_format.ParseError, ValueError, TypeError, RecursionError):
        # Not in the library's words, which repeat what was written.
        described = method.request.DESCRIPTOR
        names = ", ".join(each.name for each in described.fields[:MOST_NAMES]) or "none"
        raise ValueError(
            f"it is no {described.full_name}, whose fields are {names}: one has another name or type"
        ) from None


def make_command(method: Method, template: Template | None, values: Mapping[str, Any]) -> bytes:
    """The same of a command's; CommandRefused."""
    try:
        return make_request(method, template, values)
    except ValueError as error:
        raise CommandRefused(f"command_request, filled in with this command: {error}.") from None
