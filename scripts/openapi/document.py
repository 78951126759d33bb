"""The whole document."""

from __future__ import annotations

import re
from typing import Any

from scripts.openapi.calls import CALLS
from scripts.openapi.forms import describe_schemas
from scripts.openapi.operation import ID, describe_operation
from scripts.openapi.problems import describe_problems
from shared import __version__

DESCRIPTION = """Connections of an organization to MQTT brokers, webhooks and IoT platforms.

Explained with examples in docs/api.md. What the database offers beside these calls (devices, messages, deliveries,
activity) is read through `/rest/v1` with supabase-js."""

NAMES_OUTSIDE = {
    "setting_id": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,200}$"},
    "artifact_id": {"type": "string", "pattern": "^[A-Za-z0-9_:-][A-Za-z0-9._:-]{0,199}$"},
}
"""Parameters of paths that are the other side's ids; all others are UUIDs of ours."""

SERVERS = [
    {"url": "http://127.0.0.1:54321/functions/v1", "description": "scripts/serve"},
    {
        "url": "https://{project}.supabase.co/functions/v1",
        "description": "A Supabase project, where its functions are routed to these",
        "variables": {"project": {"default": "your-project"}},
    },
]
SECURITY = {
    "session": {"type": "http", "scheme": "bearer", "description": "The access token of a signed-in user."},
    "service_key": {"type": "http", "scheme": "bearer", "description": "The project's service role key."},
    "webhook_secret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Webhook-Secret",
        "description": "The integration's own, or another proof: its config says which.",
    },
    "scheduler_secret": {"type": "apiKey", "in": "header", "name": "X-Scheduler-Secret"},
}


def describe_api() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "device-integrations", "version": __version__, "description": DESCRIPTION},
        "servers": SERVERS,
        "paths": {path: _describe_path(path) for path in CALLS},
        "components": {
            "securitySchemes": SECURITY,
            "schemas": describe_schemas(),
            "responses": _describe_responses(),
        },
    }


def _describe_path(path: str) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", path)
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": NAMES_OUTSIDE.get(name, ID)}
        for name in names
    ]
    return ({"parameters": parameters} if parameters else {}) | {
        method: describe_operation(call) for method, call in CALLS[path].items()
    }


def _describe_responses() -> dict[str, Any]:
    named: dict[str, Any] = {}
    for calls in CALLS.values():
        for call in calls.values():
            named |= describe_problems(call.problems)
    return named
