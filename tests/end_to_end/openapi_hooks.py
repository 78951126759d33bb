"""What schemathesis can't know from the document: configs that are valid beyond their types, how long a tick may last.

Loaded by its command line, as schemathesis.toml says; see test_openapi.py.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import Any

import orjson
import schemathesis

ORGANIZATION_ID = os.environ.get("OPENAPI_ORGANIZATION_ID", "")
TICK_SECONDS = 0.1
# Nobody listens there: a connection test ends at once.
CONFIGS: dict[str, dict[str, Any]] = {
    "golioth": {"api_key": "key", "project_id": "project", "base_url": "http://127.0.0.1:9/v1"},
    "http": {"webhook_secret": "sixteen-characters", "poll_url": "http://127.0.0.1:9/readings"},
    "mqtt": {"broker_url": "mqtt://127.0.0.1", "port": 9, "topics": ["devices/+/telemetry"]},
    "webhook": {"url": "http://127.0.0.1:9/hook"},
}


@schemathesis.hook
def map_case(_: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """Names our organization, keeps ticks short, and makes what is valid by the schema valid altogether."""
    if isinstance(case.body, dict):
        _name_organization(case.body)
        _shorten_tick(case.body)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        _mend_case(case)
    return case


@schemathesis.hook
def filter_path_parameters(_: schemathesis.HookContext, path_parameters: dict[str, Any] | None) -> bool:
    """Leaves line breaks out of paths: functions-framework answers those itself, before any function."""
    return not any("\n" in str(value) or "%0A" in str(value) for value in (path_parameters or {}).values())


def _name_organization(body: dict[str, Any]) -> None:
    with contextlib.suppress(KeyError, ValueError, AttributeError, TypeError):
        uuid.UUID(body["organization_id"])
        body["organization_id"] = ORGANIZATION_ID


def _shorten_tick(body: dict[str, Any]) -> None:
    for name in ("seconds", "idle_seconds"):
        if isinstance(body.get(name), int | float):
            body[name] = min(body[name], TICK_SECONDS)


def _mend_case(case: schemathesis.Case[Any]) -> None:
    if isinstance(case.query, dict):
        case.query.pop("cursor", None)
    if case.path == "/integrations" and case.method in {"PATCH", "DELETE"}:
        case.query = {"id": str(uuid.uuid4())} | {
            name: value for name, value in (case.query or {}).items() if value
        }
    if isinstance(case.body, dict):
        case.body.pop("cursor", None)
        _mend_config(case.body)


def _mend_config(body: dict[str, Any]) -> None:
    config = CONFIGS.get(str(body.get("integration_type")), {})
    if "api_key_encrypted" in body:
        body["api_key_encrypted"] = orjson.dumps(config).decode()
    elif "config" in body:
        body["config"] = config
