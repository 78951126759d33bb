"""One call as the document has it: its operation object, from the declared route and the docstring of its handler."""

from __future__ import annotations

import inspect
from http import HTTPStatus

from scripts.openapi import headers
from scripts.openapi.problems import Kind, describe_problems
from scripts.openapi.schemas import Schema, has_events, list_models, list_parameters, list_replies, refer
from shared.runtime import errors
from shared.runtime.web.events import MEDIA_TYPE
from shared.runtime.web.rate_limits import TESTS
from shared.runtime.web.routes import ANY_TYPE, Route

BINARY = {"type": "string", "format": "binary", "minLength": 1}
LINKED = {
    "createIntegration": "getIntegration changeIntegration testIntegration deleteIntegration listDeliveries "
    "listActivity listRollouts beginJob listConflicts",
    "sendCommand": "getCommand",
}
"""What may be called next with the id of what was made."""


def describe_operation(route: Route) -> Schema:
    """The operation object."""
    summary, _, description = (inspect.getdoc(route.handler) or "").partition("\n\n")
    optional = {
        "description": description,
        "parameters": _list_parameters(route),
        "requestBody": _describe_body(route),
    }
    refusals = describe_problems(list_problems(route))
    return {
        "operationId": _name_operation(route),
        "summary": summary.replace("\n", " ").removesuffix("."),
        **{name: value for name, value in optional.items() if value},
        "security": [{proof: []} for proof in route.proofs],
        "responses": {
            **{
                str(each.value): _describe_success(route, each) for each in (route.status, route.also) if each
            },
            **{status: {"$ref": f"#/components/responses/{name}"} for status, (name, _) in refusals.items()},
        },
    }


def list_problems(route: Route) -> list[Kind]:
    """Everything a call may be refused with: what was declared, and what follows from the rest of the declaration."""
    kinds: list[Kind] = [errors.Unauthenticated, errors.Problem, errors.Unavailable, *route.problems]
    if list_models(route):
        kinds += [errors.BadRequest, errors.TooLarge]
    if list_models(route) and ANY_TYPE not in route.reads:
        kinds += [errors.UnsupportedMediaType]
    if route.query:
        kinds += [errors.BadRequest]
    if "{" in route.path and not route.public:
        kinds += [errors.BadRequest, errors.NotFound]
    if route.budget or route.settles:
        kinds += [errors.Forbidden, errors.NotFound, errors.RateLimited]
    if (route.budget or route.settles) not in {None, TESTS}:
        kinds += [errors.QuotaExceeded]
    return kinds


def _name_operation(route: Route) -> str:
    first, *others = route.handler.__name__.split("_")
    return first + "".join(map(str.capitalize, others))


def _list_parameters(route: Route) -> list[Schema]:
    heeded = [
        (headers.IF_MATCH, errors.PreconditionFailed in route.problems),
        (headers.IF_NONE_MATCH, route.also == HTTPStatus.NOT_MODIFIED),
        (headers.IDEMPOTENCY_KEY, errors.IdempotencyMismatch in route.problems),
    ]
    return [*list_parameters(route.query), *(header for header, is_heeded in heeded if is_heeded)]


def _describe_body(route: Route) -> Schema:
    content: Schema = {}
    for model in list_models(route):
        content["application/json"] = {"schema": refer(model)}
        if ANY_TYPE in route.reads:  # null is no body there, as whatever it does not know is
            content["application/json"] = {"schema": {"anyOf": [refer(model), {"type": "null"}]}}
    raw = {"schema": BINARY if content else {}}
    media_types = [each for each in route.reads if isinstance(each, str) and each != ANY_TYPE]
    content |= dict.fromkeys(media_types, raw)
    return {"required": route.needs_body or len(content) > 1, "content": content} if content else {}


def _describe_success(route: Route, status: HTTPStatus) -> Schema:
    if status == HTTPStatus.NOT_MODIFIED:
        return {"description": "You have it as it is; no body.", "headers": headers.pick_headers("ETag")}
    limits = headers.LIMITS if route.budget or route.settles else ()
    schemas = [{"type": "string"}] if route.media else [refer(reply) for reply in list_replies(route)]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    content: Schema = {route.media or "application/json": {"schema": schema}} if schemas else {}
    content |= {MEDIA_TYPE: {"schema": {"type": "string"}}} if has_events(route) else {}
    optional: Schema = {"content": content, "links": _describe_links(route)}
    return {
        "description": status.phrase,
        "headers": headers.pick_headers(*route.headers, *limits),
        **{name: value for name, value in optional.items() if value},
    }


def _describe_links(route: Route) -> Schema:
    names = LINKED.get(_name_operation(route), "").split()
    named = {"path.id": f"$response.body#/{next(iter(route.reply.__annotations__))}/id"} if names else {}
    return {name: {"operationId": name, "parameters": named} for name in names}
