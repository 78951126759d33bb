"""Whether this process can do anything at all: does the project answer, is the key accepted, are the tables there.

One cheap read, made before work that would otherwise fail piece by piece without a word of why.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.runtime.database.project import FAILURES, Answer, list_key_headers, open_project
from shared.runtime.errors import Problem, Unavailable
from shared.runtime.settings import Settings, load_settings, require_setting

PATH = "/rest/v1/integration_schedules?select=integration_id&limit=1"
"""Of a table that only the service may read: to others the database says so, which is an answer too."""

SERVICE_KEY, ANON_KEY = "supabase_service_role_key", "supabase_anon_key"
NO_PRIVILEGE = "42501"
NO_TABLE = frozenset({"42P01", "PGRST205"})
FIRST_SERVER_ERROR = 500


def name_key(function: str) -> str:
    """The setting with the key that `function` reaches the project with."""
    extra: Any = Settings.model_fields[SERVICE_KEY].json_schema_extra
    return SERVICE_KEY if function in extra["needed_by"] else ANON_KEY


def check_access(key: str) -> None:
    """Ask the project with the key in setting `key`.

    Unavailable where there is no answer; Problem where it is refused; each names the variable to look at.
    """
    try:
        url, value = require_setting("supabase_url"), require_setting(key)
    except RuntimeError as error:
        raise Problem(str(error)) from None
    try:
        answer = open_project(url).send("GET", PATH, list_key_headers(value))
    except FAILURES as error:
        raise Unavailable(
            f"SUPABASE_URL: the project at {url} does not answer ({type(error).__name__})."
        ) from None
    if not answer.is_success and (objection := _find_objection(answer, key)):
        raise objection


def _find_objection(answer: Answer, key: str) -> Problem | None:
    code = _read_code(answer)
    if answer.status >= FIRST_SERVER_ERROR:
        return Unavailable(
            f"SUPABASE_URL: the database behind {load_settings().supabase_url} answers {answer.status}."
        )
    if code in NO_TABLE:
        return Problem(
            "The project has no table integration_schedules: apply the migrations (docs/deploy.md)."
        )
    if code == NO_PRIVILEGE:
        return Problem(f"{key.upper()} is not a key of the service.") if key == SERVICE_KEY else None
    return Problem(
        f"{key.upper()} is refused by the project at SUPABASE_URL ({answer.status} {code}); "
        "copy the key from its settings, API Keys."
    )


def _read_code(answer: Answer) -> str:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return ""
    return str(body.get("code", "")) if isinstance(body, dict) else ""
