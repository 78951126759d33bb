"""Schemas of what callers send and get, from the models, rows and replies that the routes declare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from shared.integrations import bodies
from shared.jobs.kinds import find_kind, list_kinds
from shared.provider import find_provider, list_types
from shared.runtime.bodies import Query
from shared.runtime.web.events import EventStream
from shared.runtime.web.responses import ProblemDocument
from shared.runtime.web.routes import Route
from shared.runtime.web.text_reply import TextReply

Schema = dict[str, Any]
UUID = {"type": "string", "format": "uuid"}
REFERENCE = "#/components/schemas/{model}"
SEALED = "The config as a JSON string, in plain; it is sealed before it is stored. Instead of `config`."
MERGED = (
    "A merge patch (RFC 7396) of the config, with its type's fields: an absent one stays, `null` removes."
)
ABOUT = frozenset({"title", "description", "default", "examples", "readOnly", "contentMediaType"})
"""The words of a schema that say something about a field, and nothing about its values."""

NAMES = {"Check": "Step", "FieldError": "WrongField"}
"""What has another name in the code; and a `JobRow` there is a `Job` in the document."""


class _Generator(GenerateJsonSchema):
    def normalize_name(self, name: str) -> str:
        plain = super().normalize_name(name).removesuffix("Row")
        return NAMES.get(plain, plain)

    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001 - as pydantic calls it
        is_shown = self.mode == "serialization"
        return bool(field.get("required", total)) if is_shown else super().field_is_required(field, total)


def describe_schemas(routes: Sequence[Route]) -> dict[str, Schema]:
    """`components.schemas`: configs, bodies, replies. A reply has its fields and no others."""
    sent = {*map(find_provider, list_types()), *(each for route in routes for each in list_models(route))}
    replies = {ProblemDocument, *(each for route in routes for each in list_replies(route))}
    shown = _generate(replies, "serialization")
    for name, schema in shown.items():
        if "properties" in schema:
            schema |= {"title": name, "additionalProperties": False}
            for value in schema["properties"].values():
                value.pop("default", None)
    accepted = _generate(sent, "validation")
    for integration_type in list_types():
        _allow_null(accepted[find_provider(integration_type).__name__])
    return shown | accepted | _describe_forms()


def _allow_null(config: Schema) -> None:
    """Of a new config null counts as absent, so that every field that may be absent takes it."""
    for name in config["properties"].keys() - config.get("required", []):
        written = config["properties"][name]
        about = {word: value for word, value in written.items() if word in ABOUT or word.startswith("x-")}
        kind = {word: value for word, value in written.items() if word not in about}
        if kind and {"type": "null"} not in kind.get("anyOf", ()):
            config["properties"][name] = {"anyOf": [*kind.get("anyOf", [kind]), {"type": "null"}], **about}


def list_models(route: Route) -> list[type[BaseModel]]:
    """The models that the body may be of."""
    return [each for each in (route.body, *route.reads) if isinstance(each, type)]


def list_replies(route: Route) -> list[type]:
    """The TypedDicts that may be answered; none where the reply is text."""
    if route.media:
        return []
    each = get_args(route.reply) if isinstance(route.reply, UnionType) else [route.reply]
    return [reply for reply in each if reply not in {NoneType, EventStream, TextReply}]


def has_events(route: Route) -> bool:
    """Whether the reply may also come as server-sent events."""
    return EventStream in get_args(route.reply)


def refer(model: type) -> Schema:
    """A reference to one of `describe_schemas`."""
    return {"$ref": REFERENCE.format(model=model.__name__)}


def list_parameters(query: type[Query] | None) -> Iterator[Schema]:
    """The parameters of a query: all may be left out, and an empty one counts as left out."""
    for name, schema in query.model_json_schema()["properties"].items() if query else ():
        place = {"name": name, "in": "query", "allowEmptyValue": True}
        yield place | {"description": schema["description"], "schema": _strip(schema)}


def describe_parameter(route: Route, name: str) -> Schema:
    """A parameter of the path: an id of ours, or a word of the other side's."""
    words = route.words.model_json_schema()["properties"] if route.words else {}
    return {"name": name, "in": "path", "required": True, "schema": _strip(words.get(name, UUID))}


def _strip(schema: Schema) -> Schema:
    (bare,) = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    return {name: value for name, value in bare.items() if name not in {"title", "default", "description"}}


def _generate(types: set[Any], mode: Any) -> dict[str, Schema]:
    adapters: list[Any] = [(each, mode, TypeAdapter(each)) for each in sorted(types, key=str)]
    _, generated = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE, schema_generator=_Generator)
    definitions: dict[str, Schema] = generated["$defs"]
    return definitions


def _describe_forms() -> dict[str, Schema]:
    """Bodies that depend on the integration's type or the kind of job."""
    changed = (bodies.ChangedIntegration, bodies.ChangedIntegrationById)
    forms = {model.__name__: _describe_change(model) for model in changed}
    forms |= {
        each.__name__: _describe_new(each) for each in (bodies.NewIntegration, bodies.UnsavedIntegration)
    }
    return forms | {"NewJob": {"oneOf": [_describe_job(kind) for kind in list_kinds()]}}


def _describe_job(name: str) -> Schema:
    schema = find_kind(name).request.model_json_schema()
    properties = {"kind": {"const": name}, **schema.get("properties", {})}
    required = ["kind", *schema.get("required", [])]
    return schema | {"title": name.capitalize(), "properties": properties, "required": required}


def _describe_new(model: type[BaseModel]) -> Schema:
    """The body as one schema for each type, and one for all with the config as a string."""
    types = {each: refer(find_provider(each)) for each in list_types()}
    as_string = _describe_string({"oneOf": [*types.values()]})
    forms = [_describe_typed(model, each, config) for each, config in types.items()]
    named = {"integration_type": {"enum": [*types]}}
    forms.append(
        _describe_form(
            model, "The config as a string", named, ["api_key_encrypted"], api_key_encrypted=as_string
        )
    )
    return {"description": model.__doc__, "oneOf": forms}


def _describe_typed(model: type[BaseModel], integration_type: str, config: Schema) -> Schema:
    """The form with a config, which may be left out where no field of it is required."""
    provider, named = find_provider(integration_type), {"integration_type": {"const": integration_type}}
    if provider.model_json_schema().get("required"):
        return _describe_form(model, provider.label, named, ["config"], config=config)
    return _describe_form(model, provider.label, named, [], config={"anyOf": [config, {"type": "null"}]})


def _describe_form(
    model: type[BaseModel], title: str, named: Schema, needed: list[str], **config: Schema
) -> Schema:
    schema = model.model_json_schema()
    others = {name: value for name, value in schema["properties"].items() if name != "config"}
    required = [*schema["required"], *needed]
    return schema | {"title": title, "properties": others | named | config, "required": required}


def _describe_change(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema()
    for value in schema["properties"].values():
        value.pop("default", None)
    patch = {"type": "object", "description": MERGED}
    forms = {"config": patch, "api_key_encrypted": _describe_string(patch)}
    any_of = [{"required": [name]} for name in ("name", "status", *forms)]
    properties = schema["properties"] | forms
    return schema | {"properties": properties, "anyOf": any_of, "not": {"required": [*forms]}}


def _describe_string(content: Schema) -> Schema:
    form = {"contentMediaType": "application/json", "contentSchema": content}
    return {"type": "string", "description": SEALED} | form
