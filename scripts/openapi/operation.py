"""One call as the document has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from scripts.openapi.forms import Schema, refer
from scripts.openapi.headers import REQUEST_ID, TAG, Headers
from scripts.openapi.problems import Kind, refer_problems

ID = {"type": "string", "format": "uuid"}
_TEXT = {"pattern": r"^[^\x00]*$"}
NOT_MODIFIED = {"description": "You have it as it is; no body.", "headers": REQUEST_ID | TAG}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a call takes and answers; `reply` and `body` name schemas, `links` operations that take the id.

    `raw_body` is the media type of a body that may come as it is, instead.
    `media_types` are examples of what a body of any kind may be of.
    """

    name: str
    summary: str
    problems: tuple[Kind, ...]
    reply: tuple[str, ...] = ()
    status: HTTPStatus = HTTPStatus.OK
    body: str = ""
    body_required: bool = True
    raw_body: str = ""
    media_types: tuple[str, ...] = ()
    parameters: tuple[Schema, ...] = ()
    headers: Headers = field(default_factory=dict)
    links: Schema = field(default_factory=dict)
    security: tuple[dict[str, list[str]], ...] = ({"session": []},)
    description: str = ""
    not_modified: bool = False
    also: HTTPStatus | None = None
    """Another status of the same reply."""


def describe_operation(operation: Operation) -> Schema:
    """The operation object."""
    optional = {
        "description": operation.description,
        "parameters": list(operation.parameters),
        "requestBody": _describe_body(operation),
    }
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        **{name: value for name, value in optional.items() if value},
        "security": list(operation.security),
        "responses": {
            **{
                str(status.value): _describe_success(operation, status)
                for status in (operation.status, operation.also)
                if status
            },
            **({"304": NOT_MODIFIED} if operation.not_modified else {}),
            **refer_problems(operation.problems),
        },
    }


def in_query(name: str, description: str, **schema: Any) -> Schema:
    """An optional parameter of the query, text without NUL unless `schema` says else; an empty one counts as absent."""
    place = {"name": name, "in": "query", "allowEmptyValue": True}
    return place | {"description": description, "schema": {"type": "string"} | (schema or _TEXT)}


def in_header(name: str, description: str, **schema: Any) -> Schema:
    """An optional request header."""
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"} | schema}


PAGE = (
    in_query("limit", "How many at most; 50 where absent.", type="integer", minimum=1, maximum=200),
    in_query("cursor", "`next_cursor` of the page before, unchanged."),
)


def _describe_body(operation: Operation) -> Schema:
    if operation.media_types:
        return {"required": True, "content": {name: {"schema": {}} for name in operation.media_types}}
    if not operation.body:
        return {}
    content: Schema = {"application/json": {"schema": refer(operation.body)}}
    if operation.raw_body:
        content[operation.raw_body] = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
    return {"required": operation.body_required, "content": content}


def _describe_success(operation: Operation, status: HTTPStatus) -> Schema:
    schemas = [refer(name) for name in operation.reply]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    optional = {
        "content": {"application/json": {"schema": schema}} if schemas else {},
        "links": operation.links,
    }
    return {
        "description": status.phrase,
        "headers": REQUEST_ID | operation.headers,
        **{name: value for name, value in optional.items() if value},
    }
