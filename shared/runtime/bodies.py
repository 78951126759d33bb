"""What crosses the border of the API: the base of all bodies, and types for what rows and replies show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from shared.runtime.errors import BadRequest, FieldError

Model = TypeVar("Model", bound=BaseModel)

VISIBLE = r"^[^\x00]*[^\s\x00-\x1f\x7f-\x9f][^\x00]*$"
"""The pattern of a text with something to be seen, and no NUL, which Postgres can't hold."""

Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""As the database writes it: ISO 8601 with an offset."""

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Any text that Postgres can hold."""


class Body(BaseModel):
    """What callers send: no fields but its own, and no error that repeats a value."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Query(Body):
    """Parameters of a query; an empty one counts as absent, others than these are left alone."""

    model_config = ConfigDict(extra="ignore")


def parse_model(model: type[Model], data: Mapping[str, Any]) -> Model:
    """`data` validated as `model`; BadRequest names each wrong field and never echoes a value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise BadRequest("Some fields are missing or malformed.", errors=list_errors(error)) from None


def list_errors(error: ValidationError) -> list[FieldError]:
    """Each wrong field by its dotted path."""
    return [
        FieldError(".".join(map(str, item["loc"])), item["msg"].removeprefix("Value error, "))
        for item in error.errors(include_url=False, include_input=False)
    ]
