"""The whole document: every function's declared routes, and what they name."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import groupby
from operator import attrgetter
from pkgutil import iter_modules
from typing import Any

import functions
from scripts.openapi.operations import describe_operation, list_problems
from scripts.openapi.problems import describe_problems
from scripts.openapi.schemas import describe_parameter, describe_schemas
from shared import __version__
from shared.runtime.web.routes import Route
from shared.runtime.web.routing import Router

DESCRIPTION = """Connections of an organization to MQTT brokers, webhooks and IoT platforms.

Explained with examples in docs/api.md. What the database offers beside these calls (devices, messages, deliveries,
activity) is read through `/rest/v1` with supabase-js."""

SERVERS = [
    {"url": "http://127.0.0.1:54321/functions/v1", "description": "scripts/serve"},
    {
        "url": "https://{project}.supabase.co/functions/v1",
        "description": "A Supabase project, where its functions are routed to these",
        "variables": {"project": {"default": "your-project"}},
    },
]
_BEARER, _HEADER = {"type": "http", "scheme": "bearer"}, {"type": "apiKey", "in": "header"}
SECURITY = {
    "session": _BEARER | {"description": "The access token of a signed-in user."},
    "service_key": _BEARER | {"description": "The project's service role key."},
    "webhook_secret": {
        **_HEADER,
        "name": "X-Webhook-Secret",
        "description": "The integration's own, or another proof: its config says which.",
    },
    "scheduler_secret": _HEADER | {"name": "X-Scheduler-Secret"},
    "metrics_secret": _BEARER | {"description": "The operator's METRICS_SECRET."},
}


def list_routers() -> list[Router]:
    """The router of every function that has one; the console has files and no calls."""
    names = (module.name for module in iter_modules(functions.__path__))
    modules = [import_module(f"functions.{name}") for name in sorted(names)]
    return [module.router for module in modules if hasattr(module, "router")]


def describe_api() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    by_path = attrgetter("path")
    paths = {
        f"/{router.name}{path.rstrip('/')}": [*same]
        for router in list_routers()
        for path, same in groupby(sorted(router.routes, key=by_path), key=by_path)
    }
    routes = [route for same in paths.values() for route in same]
    refusals = [refusal for route in routes for refusal in describe_problems(list_problems(route)).values()]
    components = {"schemas": describe_schemas(routes), "responses": dict(refusals)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "device-integrations", "version": __version__, "description": DESCRIPTION},
        "servers": SERVERS,
        "paths": {path: _describe_path(same) for path, same in paths.items()},
        "components": {"securitySchemes": SECURITY} | components,
    }


def _describe_path(same: list[Route]) -> dict[str, Any]:
    parameters = [describe_parameter(same[0], name) for name in re.findall(r"{(\w+)}", same[0].path)]
    shared = {"parameters": parameters} if parameters else {}
    return shared | {route.method.lower(): describe_operation(route) for route in same}
