"""The fields that say which methods are called, for messages and commands, and where in their answers things are."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from shared.provider import Group, check_path, check_text, compile_template, require_partner
from shared.providers.grpc.descriptors import Method, Schema, split_method
from shared.providers.grpc.plan import ReadPlan, TellPlan
from shared.providers.grpc.requests import READ_ROOTS, TELL_ROOTS, make_request
from shared.providers.grpc.service_fields import ServiceFields, decode_set

FIRST_CURSOR_LIMIT = 4_096
_READING = (
    *("method", "request", "items_path", "cursor_path", "first_cursor", "page_path"),
    *("poll_interval_seconds", "session_seconds"),
)
_TELLING = (
    *("command_method", "command_request", "command_confirmed_path"),
    *("command_idempotent", "command_timeout_seconds"),
)
_WITH_METHOD: dict[str, Any] = {"x-when": {"properties": {"method": {"not": {"const": None}}}}}
_WITH_COMMAND: dict[str, Any] = {"x-when": {"properties": {"command_method": {"not": {"const": None}}}}}
_WITH_CURSOR: dict[str, Any] = {"x-when": {"properties": {"cursor_path": {"not": {"const": None}}}}}
_WITH_TARGET: dict[str, Any] = {"x-when": {"properties": {"target": {"not": {"const": None}}}}}

MethodName = Annotated[str, Field(min_length=1, max_length=600)]


class CallFields(ServiceFields, defer_build=True):
    """For whoever calls methods of a service."""

    replaced_whole: ClassVar[frozenset[str]] = frozenset({"request", "first_cursor", "command_request"})
    groups: ClassVar[tuple[Group, ...]] = (
        *ServiceFields.groups[:1],
        Group("What is read", _READING, open=True),
        Group("Commands", _TELLING),
        *ServiceFields.groups[1:],
    )

    method: MethodName | None = Field(
        None, examples=["demo.v1.Telemetry/List"], json_schema_extra=_WITH_TARGET
    )
    """What is called for messages: a method that answers with a stream, or once, which is then polled."""
    request: Any = Field(
        None,
        examples=[{"after": "{{ cursor }}", "page_token": "{{ page }}"}],
        json_schema_extra=_WITH_METHOD,
    )
    """Its request as JSON, with {{ cursor }} and {{ page }} where they go; left out, it is empty."""
    items_path: str | None = Field(None, examples=["readings"], json_schema_extra=_WITH_METHOD)
    """Where in an answer the list of items is; left out, the answer is the only one."""
    cursor_path: str | None = Field(None, examples=["sequence"], json_schema_extra=_WITH_METHOD)
    """Where an answer, or else its last item, says what to go on from: {{ cursor }} in the next request."""
    first_cursor: JsonValue = Field(None, examples=[0], json_schema_extra=_WITH_CURSOR)
    """What {{ cursor }} is at first; left out, the request says none."""
    page_path: str | None = Field(None, examples=["next_page_token"], json_schema_extra=_WITH_METHOD)
    """Where an answer names the next page, {{ page }} in the next request; nothing there ends the poll."""
    command_method: MethodName | None = Field(
        None, examples=["demo.v1.Telemetry/Tell"], json_schema_extra=_WITH_TARGET
    )
    """What is called for a command: a method that answers once. Left out, there are no commands."""
    command_request: Any = Field(
        None,
        examples=[{"device": "{{ device }}", "action": "{{ name }}", "arguments": "{{ payload }}"}],
        json_schema_extra=_WITH_COMMAND,
    )
    """Its request as JSON, with {{ device }}, {{ name }}, {{ payload }} and {{ id }} where they go."""
    command_confirmed_path: str | None = Field(None, examples=["done"], json_schema_extra=_WITH_COMMAND)
    """Where the answer says that the device has done it; left out, an answer without error says so."""
    command_idempotent: bool = False
    """Whether a command may be sent again when no answer came: its idempotency-key stays the same."""
    command_timeout_seconds: Annotated[float, Field(ge=1, le=45)] = 15
    """How long the service may take to answer a command."""

    @field_validator("method", "command_method")
    @classmethod
    def _check_method(cls, name: str | None, info: ValidationInfo) -> str | None:
        require_partner(name, "target", info)
        if name is None:
            return name
        name = "/".join(split_method(name))
        method = _find_method(info, name)
        if method and method.is_streaming and info.field_name == "command_method":
            raise ValueError("it answers with a stream; a command needs a method that answers once")
        return name

    @field_validator("items_path", "cursor_path", "page_path", "command_confirmed_path")
    @classmethod
    def _check_place(cls, path: str | None, info: ValidationInfo) -> str | None:
        is_command = info.field_name == "command_confirmed_path"
        return require_partner(path and check_path(path), "command_method" if is_command else "method", info)

    @field_validator("request", "command_request")
    @classmethod
    def _check_request(cls, template: Any, info: ValidationInfo) -> Any:
        if template is None:
            return template
        is_command = info.field_name == "command_request"
        require_partner(template, "command_method" if is_command else "method", info)
        check_text(template)
        if not isinstance(template, dict):
            raise ValueError("write the request as a JSON object")  # noqa: TRY004 - pydantic's way
        compiled = compile_template(template, TELL_ROOTS if is_command else READ_ROOTS)
        if not is_command and (method := _find_method(info, info.data.get("method"))):
            make_request(method, compiled, {"cursor": None, "page": None})
        return template

    @field_validator("cursor_path", "page_path")
    @classmethod
    def _check_use(cls, path: str | None, info: ValidationInfo) -> str | None:
        word = "cursor" if info.field_name == "cursor_path" else "page"
        if path and "request" in info.data and word not in _list_roots(info.data["request"]):
            raise ValueError(f"request has no {{{{ {word} }}}} to be filled in with it")
        return path

    @field_validator("first_cursor")
    @classmethod
    def _check_first(cls, cursor: Any, info: ValidationInfo) -> Any:
        if cursor is not None and info.data.get("cursor_path", "") is None:
            raise ValueError("it goes with cursor_path, which is not set")
        if len(str(cursor)) > FIRST_CURSOR_LIMIT:
            raise ValueError(f"a cursor has at most {FIRST_CURSOR_LIMIT:,} characters")
        return cursor

    @property
    def read_plan(self) -> ReadPlan:
        """What a session needs to know."""
        parts = (self.target, self.method, self.request, self.first_cursor, self.cursor_path)
        return ReadPlan(
            self.method or "",
            compile_template(self.request, READ_ROOTS) if self.request is not None else None,
            self.first_cursor,
            self.items_path,
            self.cursor_path,
            self.page_path,
            hashlib.sha256(repr(parts).encode()).hexdigest()[:16],
        )

    @property
    def tell_plan(self) -> TellPlan:
        """What a command needs to know."""
        template = self.command_request
        return TellPlan(
            self.command_method or "",
            compile_template(template, TELL_ROOTS) if template is not None else None,
            self.command_confirmed_path,
            self.command_idempotent,
            self.command_timeout_seconds,
        )


def _find_method(info: ValidationInfo, name: str | None) -> Method | None:
    """The method in the descriptors that were uploaded; ValueError where it is not there."""
    described = info.data.get("descriptor_set")
    return Schema.from_set(decode_set(described)).find_method(name) if described and name else None


def _list_roots(template: Any) -> set[str]:
    """What the placeholders of a template begin with; ValueError, for what is none, is told at its field."""
    try:
        pieces = compile_template(template, READ_ROOTS)
    except ValueError:
        return {*READ_ROOTS}
    return {piece.path[0] for piece in pieces if not isinstance(piece, bytes)}
