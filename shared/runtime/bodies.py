"""What crosses the border of the API: the base of all bodies, and types for what rows and replies show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from types import NoneType
from typing import Annotated, Any, ClassVar, TypeVar, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from shared.runtime.errors import BadRequest, FieldError
from shared.runtime.numbers import refuse_number
from shared.runtime.sentences import explain_error, list_details

Model = TypeVar("Model", bound=BaseModel)
Parameters = TypeVar("Parameters", bound="Query")

VISIBLE = r"^[^\x00]*[^\s\x00-\x1f\x7f-\x9f][^\x00]*$"
"""The pattern of a text with something to be seen, and no NUL, which Postgres can't hold."""

Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""As the database writes it: ISO 8601 with an offset."""

Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Any text that Postgres can hold."""


def _tell_in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("Expected a time between the years 1 and 9999.") from None


Instant = Annotated[AwareDatetime, BeforeValidator(refuse_number), AfterValidator(_tell_in_utc)]
"""A time that callers send, in UTC from here on: the database knows no offset of 16 hours and more."""

PASSED_BY = frozenset({"apikey", "forceFunctionRegion"})
"""Parameters of a query that are the gateway's: supabase-js and Supabase's own gateway put them there."""


class Body(BaseModel):
    """What callers send: no fields but its own, and no error that repeats a value.

    A null counts as absent, except where null is a value, and in a change of what can not be taken away.
    """

    null_is_absent: ClassVar[bool] = True

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or None not in data.values():
            return data
        absent = _list_optional(cls)
        return {name: value for name, value in data.items() if value is not None or name not in absent}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        written = handler(core)
        properties = handler.resolve_ref_schema(written).get("properties", {})
        for name in _list_optional(cls) if not issubclass(cls, Query) else ():
            key = cls.model_fields[name].alias or name
            kind = properties[key]
            outside = {word: kind.pop(word) for word in ("title", "description", "default") if word in kind}
            properties[key] = {"anyOf": [kind, {"type": "null"}], **outside}
        return written


class Query(Body):
    """Parameters of a query, each once; an empty one counts as absent."""


def parse_model(model: type[Model], data: Mapping[str, Any]) -> Model:
    """`data` validated as `model`; BadRequest names each wrong field and never echoes a value."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise BadRequest("Some fields are missing or malformed.", errors=list_errors(error)) from None


def parse_query(model: type[Parameters], sent: Mapping[str, list[str]]) -> Parameters:
    """The values of each parameter as `model`; BadRequest names one that is unknown or comes with several values."""
    given = {name: values for name, values in sent.items() if name not in PASSED_BY}
    errors = [
        FieldError(name, objection)
        for name, values in given.items()
        if (objection := _object_to(model, name, values))
    ]
    if errors:
        raise BadRequest("The query has parameters that would not be heeded.", errors=errors)
    return parse_model(model, {name: values[0] for name, values in given.items() if values[0]})


def _object_to(model: type[Query], name: str, values: list[str]) -> str | None:
    names = [field.alias or own for own, field in model.model_fields.items()]
    if name in names:
        return "Given more than once, with different values." if len({*values}) > 1 else None
    known = ", ".join(names)
    return f"Unknown; this call takes {known}." if known else "Unknown; this call takes no parameters."


@cache
def _list_optional(model: type[BaseModel]) -> frozenset[str]:
    """The fields that null leaves out: those that may be absent, and of whose values it is none."""
    if not issubclass(model, Body) or not model.null_is_absent:
        return frozenset()
    optional = {
        name: field.annotation for name, field in model.model_fields.items() if not field.is_required()
    }
    return frozenset(
        name for name, kind in optional.items() if kind is not Any and NoneType not in get_args(kind)
    )


def list_errors(error: ValidationError) -> list[FieldError]:
    """Each wrong field by its dotted path."""
    return [FieldError(".".join(map(str, item["loc"])), explain_error(item)) for item in list_details(error)]
